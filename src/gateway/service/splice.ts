/**
 * Where a TCP connection becomes an overlay stream: two pipes, joined. Above: map/tcp.ts and expose/tcp.ts, which made
 * the two ends. Below: an OverlayStream and node:net.
 *
 * Each direction ends on its own (half-close); a reset on one side becomes a reset on the other and never looks like an
 * end; if one side does not read, the other cannot write.
 *
 * Not Node's pipe() and once(), and no closures: every open connection holds only one joint; all share the listeners.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { OverlayStream } from '../../runtime/overlay.ts'

/**
 * `onClosed` is called once, when both ends are closed, with the error that ended them early, if one did.
 * @param pace if bytes are limited: takes those just read, returns how long to stop reading, ms.
 */
export function splice(
  socket: Socket,
  stream: OverlayStream,
  onClosed: (error: Error | undefined) => void,
  pace?: (bytes: number) => number,
): void {
  stream.handsOver = true // node:net gives every chunk its own buffer
  const joint: Joint = { socket, stream, onClosed, pace, open: 2, failure: undefined }
  for (const end of [socket, stream]) (end as Joined)[JOINT] = joint
  for (const end of [socket, stream] as Duplex[])
    end.on('error', onError).on('end', onEnd).on('close', onClose).on('data', onData).on('drain', onDrain)
  if (socket.readableEnded) onEnd.call(socket) // without data, while its peer was being dialled
  socket.resume() // it was paused when it was accepted
  stream.resume()
}

type End = Socket | OverlayStream

interface Joint {
  readonly socket: Socket
  readonly stream: OverlayStream
  readonly onClosed: (error: Error | undefined) => void
  readonly pace: ((bytes: number) => number) | undefined
  open: number // ends
  failure: Error | undefined
}

/** Key of an end's joint, for the listeners. */
const JOINT = Symbol('joint')

type Joined = End & { [JOINT]: Joint }

function jointOf(end: End): Joint {
  return (end as Joined)[JOINT]
}

function otherThan(end: End, { socket, stream }: Joint): End {
  return end === socket ? stream : socket
}

/** One side's reads are the other's writes; while the other cannot write, or a limit applies, nothing is read. */
function onData(this: End, chunk: Uint8Array): void {
  const joint = jointOf(this)
  const sink = otherThan(this, joint)
  if (!sink.writable) return reset(this, joint) // nothing arrives any more, and its writer must know
  if (!sink.write(chunk)) this.pause()
  if (joint.pace !== undefined) slow(this, sink, joint.pace(chunk.length))
}

function onDrain(this: End): void {
  const source = otherThan(this, jointOf(this))
  if (!waiting.has(source)) source.resume()
}

function onEnd(this: End): void {
  const { socket, stream } = jointOf(this)
  if (this === stream) endWhenFlushed(socket)
  else if (isReset(socket)) socket.destroy(new Error('reset after the last byte'))
  else stream.end()
}

function onError(this: End, error: Error): void {
  const joint = jointOf(this)
  joint.failure ??= error
  reset(otherThan(this, joint), joint)
}

/** An end that closed in order has already forwarded its own end; the other delivers the rest on its own. */
function onClose(this: End): void {
  const joint = jointOf(this)
  if (!this.readableEnded || !this.writableFinished) {
    if (this === joint.socket) joint.stream.destroy()
    else resetSocket(joint.socket)
  }
  joint.open -= 1
  if (joint.open === 0) joint.onClosed(joint.failure)
}

function reset(end: End, { socket, stream }: Joint): void {
  if (end === socket) resetSocket(socket)
  else stream.resetAndDestroy()
}

function slow(source: End, sink: End, waitMs: number): void {
  if (waitMs <= 0) return
  source.pause()
  clearTimeout(waiting.get(source))
  waiting.set(
    source,
    setTimeout(() => {
      waiting.delete(source)
      if (!sink.writableNeedDrain) source.resume()
    }, waitMs),
  )
}

/** Sources paused by a limit, and until when. */
const waiting = new Map<End, NodeJS.Timeout>()

/** RST if the socket can send one; a Unix socket, or one that is not connected yet, is just closed. */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return
  if (socket.connecting || !isTcp(socket)) socket.destroy()
  else if (socket.writableEnded && !socket.writableFinished) socket.once('finish', () => socket.resetAndDestroy()) // libuv refuses to reset during a shutdown
  else socket.resetAndDestroy()
}

/** FIN only when nothing is left to write: the shutdown is then over in a moment, and a reset can follow it. */
function endWhenFlushed(socket: Socket): void {
  if (socket.writableLength === 0) socket.end()
  else socket.write('', () => socket.end()) // called after all earlier writes; 'drain' comes only after a refused write
}

/**
 * libuv reports a reset that arrives together with the last bytes as an orderly end (it sees the hang-up before it
 * reads the error). The kernel knows better: a reset connection no longer has a peer, an ended one does. Unless our
 * side had ended before: then neither has one, and an end is believed.
 */
function isReset(socket: Socket): boolean {
  if (socket.writableEnded) return false
  ;(socket as Socket & { _peername?: unknown })._peername = undefined // where Node caches the earlier answer
  return socket.remoteAddress === undefined && isTcp(socket)
}

/** A Unix socket has no port; a TCP socket keeps its own even after a reset. */
function isTcp(socket: Socket): boolean {
  return socket.localPort !== undefined
}
