/**
 * Where a TCP connection becomes an overlay stream: two pipes, joined. Above: mapping.ts and expose.ts, which made the
 * two ends. Below: an OverlayStream and node:net.
 *
 * Each direction ends by itself (half-close); a reset on one side is a reset on the other and never looks like an end;
 * what one side does not read, the other may not write.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { OverlayStream } from '../runtime/overlay.ts'

/**
 * `onClosed` is called once, when both ends are closed, with the error that ended them early, if one did.
 * @param pace where bytes are limited: takes those that have just been read, tells how long to read no more, ms.
 */
export function splice (socket: Socket, stream: OverlayStream, onClosed: (error: Error | undefined) => void, pace?: (bytes: number) => number): void {
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
  socket.once('end', () => {
    if (isReset(socket)) socket.destroy(new Error('reset behind the last byte'))
    else stream.end()
  })
  stream.once('end', () => endWhenFlushed(socket))
  // An end that closed in order has passed on its own end already; what the other still has to deliver is its own affair.
  socket.once('close', () => {
    if (!socket.readableEnded || !socket.writableFinished) stream.destroy()
    closed()
  })
  stream.once('close', () => {
    if (!stream.readableEnded || !stream.writableFinished) resetSocket(socket)
    closed()
  })
  socket.pipe(stream, { end: false })
  stream.pipe(socket, { end: false })
  if (pace === undefined) return
  slow(socket, stream, pace)
  slow(stream, socket, pace)
}

/** Beside the pipe: its own resuming, after a drain, lets one chunk through early, for which the next pause is longer. */
function slow (source: Duplex, sink: Duplex, pace: (bytes: number) => number): void {
  let timer: NodeJS.Timeout | undefined
  source.on('data', (chunk: Uint8Array) => {
    const waitMs = pace(chunk.length)
    if (waitMs <= 0) return
    source.pause()
    clearTimeout(timer)
    timer = setTimeout(() => { if (!sink.writableNeedDrain) source.resume() }, waitMs) // else the pipe resumes it
  })
  source.once('close', () => clearTimeout(timer))
}

/** RST where the socket can send one; a Unix socket, or one that is not connected yet, is just closed. */
export function resetSocket (socket: Socket): void {
  if (socket.destroyed) return
  if (socket.connecting || !isTcp(socket)) socket.destroy()
  else if (socket.writableEnded && !socket.writableFinished) socket.once('finish', () => socket.resetAndDestroy()) // libuv refuses to reset during a shutdown
  else socket.resetAndDestroy()
}

/** FIN only when nothing waits to be written before it: so the shutdown is over in a moment, and a reset can follow it. */
function endWhenFlushed (socket: Socket): void {
  if (socket.writableLength === 0) socket.end()
  else socket.write('', () => socket.end()) // called behind everything before it; 'drain' comes only after a refused write
}

/**
 * libuv reports a reset that arrives together with the last bytes as an orderly end (it sees the hang-up before it
 * reads the error). The kernel knows better: a connection that was reset has no peer any more, one that ended has.
 * Unless our side had ended before: then neither has, and an end is believed.
 */
function isReset (socket: Socket): boolean {
  if (!isTcp(socket) || socket.writableEnded) return false
  ;(socket as Socket & { _peername?: unknown })._peername = undefined // where Node remembers the answer of before
  return socket.remoteAddress === undefined
}

/** A Unix socket has no port; a TCP socket keeps its own even after a reset. */
function isTcp (socket: Socket): boolean {
  return socket.localPort !== undefined
}
