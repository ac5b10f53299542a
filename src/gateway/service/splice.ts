/**
 * Where a TCP connection becomes an overlay stream: two pipes, joined. Above: map/tcp.ts and expose/tcp.ts, which made the
 * two ends. Below: an OverlayStream and node:net.
 *
 * Each direction ends by itself (half-close); a reset on one side is a reset on the other and never looks like an end;
 * what one side does not read, the other may not write.
 *
 * Not Node's pipe() and once(), and no closures: what every open connection holds is one joint, and listeners that all share.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { OverlayStream } from '../../runtime/overlay.ts'

/**
 * `onClosed` is called once, when both ends are closed, with the error that ended them early, if one did.
 * @param pace where bytes are limited: takes those that have just been read, tells how long to read no more, ms.
 */
export function splice(
  socket: Socket,
  stream: OverlayStream,
  onClosed: (error: Error | undefined) => void,
  pace?: (bytes: number) => number,
): void {
  stream.handsOver = true // node:net gives every chunk a buffer of its own
  const joint: Joint = { socket, stream, onClosed, pace, open: 2, failure: undefined }
  for (const end of [socket, stream]) (end as Joined)[JOINT] = joint
  for (const end of [socket, stream] as Duplex[])
    end.on('error', onError).on('end', onEnd).on('close', onClose).on('data', onData).on('drain', onDrain)
  if (socket.readableEnded) onEnd.call(socket) // without a byte, while its peer was dialled
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

/** Where an end keeps its joint, for the listeners to find it. */
const JOINT = Symbol('joint')

type Joined = End & { [JOINT]: Joint }

function jointOf(end: End): Joint {
  return (end as Joined)[JOINT]
}

function otherThan(end: End, { socket, stream }: Joint): End {
  return end === socket ? stream : socket
}

/** What one side reads the other writes; while it cannot, or a limit says to wait, nothing is read. */
function onData(this: End, chunk: Uint8Array): void {
  const joint = jointOf(this)
  const sink = otherThan(this, joint)
  if (!sink.writable) return reset(this, joint) // nothing arrives any more, and its writer has to know
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

/** An end that closed in order has passed on its own end already; what the other still has to deliver is its own affair. */
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

/** Sources that a limit keeps from being read, and until when. */
const waiting = new Map<End, NodeJS.Timeout>()

/** RST where the socket can send one; a Unix socket, or one that is not connected yet, is just closed. */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return
  if (socket.connecting || !isTcp(socket)) socket.destroy()
  else if (socket.writableEnded && !socket.writableFinished) socket.once('finish', () => socket.resetAndDestroy()) // libuv refuses to reset during a shutdown
  else socket.resetAndDestroy()
}

/** FIN only when nothing waits to be written before it: so the shutdown is over in a moment, and a reset can follow it. */
function endWhenFlushed(socket: Socket): void {
  if (socket.writableLength === 0) socket.end()
  else socket.write('', () => socket.end()) // called behind everything before it; 'drain' comes only after a refused write
}

/**
 * libuv reports a reset that arrives together with the last bytes as an orderly end (it sees the hang-up before it
 * reads the error). The kernel knows better: a connection that was reset has no peer any more, one that ended has.
 * Unless our side had ended before: then neither has, and an end is believed.
 */
function isReset(socket: Socket): boolean {
  if (socket.writableEnded) return false
  ;(socket as Socket & { _peername?: unknown })._peername = undefined // where Node remembers the answer of before
  return socket.remoteAddress === undefined && isTcp(socket)
}

/** A Unix socket has no port; a TCP socket keeps its own even after a reset. */
function isTcp(socket: Socket): boolean {
  return socket.localPort !== undefined
}
