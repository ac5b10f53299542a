/** Is it an end or a reset that was taken for one? See `ending` in test/e2e/servers.ts: libuv confuses them right behind data. */
import type { Socket } from 'node:net'

/** In the 'end' event, as long as our own side is open and the socket's address has not been read before. */
export function isTrueEnd(socket: Socket): boolean {
  return socket.writableEnded || socket.remoteFamily !== undefined
}
