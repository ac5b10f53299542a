/**
 * Where a TCP connection becomes an overlay stream: two pipes, joined. Above: mapping.ts and expose.ts, which made the
 * two ends. Below: runtime/overlay-stream.ts and node:net.
 *
 * Each direction ends by itself (half-close); a reset on one side is a reset on the other; what one side does not
 * read, the other may not write.
 */
import type { Socket } from 'node:net'
import type { OverlayStream } from '../runtime/overlay-stream.ts'

/** `onClosed` is called once, when both ends are closed, with the error that ended them early, if one did. */
export function splice (socket: Socket, stream: OverlayStream, onClosed: (error: Error | undefined) => void): void {
  let failure: Error | undefined
  let open = 2
  const closed = (): void => {
    open -= 1
    if (open === 0) onClosed(failure)
  }
  stream.handsOver = true // node:net gives every chunk a buffer of its own
  socket.on('error', (error) => {
    failure ??= error
    stream.resetAndDestroy()
  })
  stream.on('error', (error) => {
    failure ??= error
    resetSocket(socket)
  })
  socket.once('close', () => {
    if (!stream.readableEnded || !stream.writableFinished) stream.destroy()
    closed()
  })
  stream.once('close', () => {
    if (!socket.readableEnded || !socket.writableEnded) resetSocket(socket)
    closed()
  })
  socket.pipe(stream)
  stream.pipe(socket)
}

/** RST where the socket can send one; a Unix socket, or one not connected yet, is just closed. */
export function resetSocket (socket: Socket): void {
  if (socket.destroyed || socket.connecting || socket.remoteFamily === undefined) socket.destroy()
  else socket.resetAndDestroy()
}
