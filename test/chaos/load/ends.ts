/**
 * Is it a FIN, or a reset mistaken for one? See `ending` in test/e2e/servers.ts: libuv confuses them right after data.
 */
import type { Socket } from 'node:net'

/** Valid in the 'end' event, while our own side is open and the socket's address has not been read before. */
export function isTrueEnd(socket: Socket): boolean {
  return socket.writableEnded || socket.remoteFamily !== undefined
}
