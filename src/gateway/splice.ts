/**
 * Where a TCP connection becomes an overlay stream: two pipes, joined. Above: mapping.ts and expose.ts, which made the
 * two ends. Below: an OverlayStream and node:net.
 *
 * Each direction ends by itself (half-close); a reset on one side is a reset on the other and never looks like an end;
 * what one side does not read, the other may not write.
 *
 * Not Node's pipe() and once(): for each connection they hold some 4 KB of listeners that never do anything here.
 */
import type { Socket } from 'node:net'
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
  const ended = (): void => {
    if (isReset(socket)) socket.destroy(new Error('reset behind the last byte'))
    else stream.end()
  }
  if (socket.readableEnded) ended() // without a byte, while its peer was dialled
  else socket.on('end', ended)
  stream.on('end', () => endWhenFlushed(socket))
  // An end that closed in order has passed on its own end already; what the other still has to deliver is its own affair.
  socket.on('close', () => {
    if (!socket.readableEnded || !socket.writableFinished) stream.destroy()
    closed()
  })
  stream.on('close', () => {
    if (!stream.readableEnded || !stream.writableFinished) resetSocket(socket)
    closed()
  })
  pump(socket, stream, pace)
  pump(stream, socket, pace)
}

type End = Socket | OverlayStream

/** What one side reads the other writes; while it cannot, or a limit says to wait, nothing is read. */
function pump (source: End, sink: End, pace: ((bytes: number) => number) | undefined): void {
  source.on('data', (chunk: Uint8Array) => {
    if (!sink.writable) return abort(source) // nothing arrives any more, and its writer shall know
    if (!sink.write(chunk)) source.pause()
    if (pace !== undefined) slow(source, sink, pace(chunk.length))
  })
  sink.on('drain', () => { if (!waiting.has(source)) source.resume() })
  source.resume() // it was paused when it was accepted
}

function abort (end: End): void {
  if ('halfCloses' in end) end.resetAndDestroy()
  else resetSocket(end)
}

function slow (source: End, sink: End, waitMs: number): void {
  if (waitMs <= 0) return
  source.pause()
  clearTimeout(waiting.get(source))
  waiting.set(source, setTimeout(() => {
    waiting.delete(source)
    if (!sink.writableNeedDrain) source.resume()
  }, waitMs))
}

/** Sources that a limit keeps from being read, and until when. */
const waiting = new Map<End, NodeJS.Timeout>()

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
  if (socket.writableEnded) return false
  ;(socket as Socket & { _peername?: unknown })._peername = undefined // where Node remembers the answer of before
  return socket.remoteAddress === undefined && isTcp(socket)
}

/** A Unix socket has no port; a TCP socket keeps its own even after a reset. */
function isTcp (socket: Socket): boolean {
  return socket.localPort !== undefined
}
