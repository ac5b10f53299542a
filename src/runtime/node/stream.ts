/**
 * A stream of our own node as a Node Duplex that libraries take for a socket. Above: gateway/service/splice.ts, or any
 * user of the API. Below: node/node.ts, which passes it the stream's news and the core's operations.
 *
 * Half-close, backpressure and resets mean what they mean on a TCP socket: `end()` ends our direction only, `write`
 * returns false when the peer's window is full, `destroy()` before both directions have ended is a reset.
 */
import { PilotError } from '../../base/errors.ts'
import type { ErrorCode } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import { NEWS_ENDED, NEWS_READABLE, NEWS_WRITABLE } from '../../proto/stream/stream-view.ts'
import type { StreamEnd } from '../../proto/stream/lifecycle.ts'
import type { StreamApp, StreamView } from '../../proto/stream/stream-view.ts'
import type { OverlayStream } from '../overlay.ts'
import { TimedSocket } from '../socket-duplex.ts'

/** What the stream needs from the node. */
export interface StreamVerbs {
  write(stream: StreamView, bytes: Uint8Array, more: boolean): boolean
  shutdown(stream: StreamView): void
  close(stream: StreamView): void
  reset(stream: StreamView): void
  afterRead(stream: StreamView): void
  refuseRelay(stream: StreamView): void
}

export class NodeStream extends TimedSocket implements OverlayStream, StreamApp {
  readonly #stream: StreamView
  readonly #verbs: StreamVerbs
  readonly peer: NodeId
  readonly peerName: string
  /** Set if ownership of every written chunk is passed on (a splice): then nothing is copied. */
  handsOver = false
  bytesRead = 0
  bytesWritten = 0
  readonly connecting = false
  #wantsBytes = false
  #discards = false // after destroySoon
  #afterWrite: ((error?: Error | null) => void) | undefined
  #failure: PilotError | undefined

  constructor(stream: StreamView, verbs: StreamVerbs, peerName: string) {
    super({ allowHalfOpen: true, readableHighWaterMark: BUFFER_BYTES, writableHighWaterMark: BUFFER_BYTES })
    this.#stream = stream
    this.#verbs = verbs
    this.peer = stream.peer
    this.peerName = peerName
    stream.app = this
    if (stream.end !== undefined) this.#onEnd(stream.end) // before anything listened
  }

  get localPort(): number {
    return this.#stream.localPort
  }
  get remotePort(): number {
    return this.#stream.remotePort
  }
  get remoteAddress(): string {
    return this.peerName
  }
  /** Each direction can end on its own: the peer is a pilotgate. */
  get halfCloses(): boolean {
    return this.#stream.extended
  }

  /** Written, but not acknowledged yet. */
  get unacknowledgedBytes(): number {
    const { buffer, una } = this.#stream.sender
    return Math.max(0, buffer.end - una)
  }

  /** What the peer has room for beyond what it has acknowledged. */
  get peerRoomBytes(): number {
    return this.#stream.sender.peerRoomBytes
  }

  /** From now on it does not use a relay: without another path it waits, and fails after waiting too long. */
  refuseRelay(): void {
    this.#verbs.refuseRelay(this.#stream)
  }

  /** The node's news of the stream. */
  onNews(_stream: StreamView, news: number): void {
    if ((news & NEWS_WRITABLE) !== 0) this.#finishWrite()
    if ((news & NEWS_ENDED) !== 0) this.#onEnd(this.#stream.end!)
    if ((news & (NEWS_READABLE | NEWS_ENDED)) !== 0 && this.#wantsBytes) this.#pump()
  }

  override _read(): void {
    this.#wantsBytes = true
    this.#pump()
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#failure !== undefined) return done(this.#failure)
    this.bytesWritten += chunk.length
    this.alive()
    // The core keeps the bytes until they are acknowledged; a caller may change its array once `done` was called.
    const goOn = this.#verbs.write(
      this.#stream,
      this.handsOver ? chunk : Uint8Array.prototype.slice.call(chunk),
      chunk.length >= FULL_READ_BYTES,
    )
    if (goOn) done()
    else this.#afterWrite = done
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#verbs.shutdown(this.#stream)
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // The core may hold unread bytes even of an ended stream: a reset frees them.
    const bothDone =
      error === null && this.writableFinished && (this.readableEnded || (this.#discards && this.#stream.readEnded))
    if (bothDone) this.#verbs.close(this.#stream)
    else this.#verbs.reset(this.#stream)
    this.#finishWrite()
    super._destroy(error, done)
  }

  /** Like net.Socket: RST to the peer, whatever is still in transit. */
  resetAndDestroy(): this {
    this.#verbs.reset(this.#stream)
    this.destroy()
    return this
  }

  /**
   * Like net.Socket: written data still arrives, incoming data is discarded. An immediate destroy would be a reset,
   * which overtakes the last bytes, so the peer gets some time to end its direction.
   */
  destroySoon(): void {
    if (this.destroyed || this.#discards) return
    if (this.writable) this.end()
    this.#discards = true
    this.#wantsBytes = true
    const { sender } = this.#stream
    let acknowledged = -1
    const limit = setInterval(() => {
      if (sender.drained || sender.una === acknowledged) this.destroy() // a slow path gets more time, a peer that accepts nothing does not
      acknowledged = sender.una
    }, LINGER_MS)
    this.once('close', () => clearInterval(limit))
    if (!this.writableFinished) this.once('finish', () => this.#pump())
    this.#pump()
  }

  #pump(): void {
    let took = false
    while (this.#wantsBytes) {
      const chunk = this.#stream.read()
      if (chunk === undefined) break
      took = true
      this.bytesRead += chunk.length
      this.#wantsBytes = this.#discards || this.push(chunk)
    }
    if (took) {
      this.alive()
      this.#verbs.afterRead(this.#stream)
    }
    if (this.#stream.receiver.queuedBytes > 0) return
    if (this.#failure !== undefined) this.#fail()
    else if (this.#discards && (this.#stream.readEnded || this.readableEnded) && this.writableFinished) this.destroy()
    else if (this.#stream.readEnded && !this.readableEnded) this.push(null)
  }

  #onEnd(end: StreamEnd): void {
    this.#stream.app = undefined // it stays a few seconds to answer retransmissions, without further news: we need not keep it
    this.#finishWrite()
    if (end === 'finished') {
      // Towards a peer without half-close its end is the end of both directions: nothing written now would arrive.
      if (!this.#stream.extended && !this.writableEnded) this.end()
      this.#wantsBytes = true
      return
    }
    this.#failure = streamError(end, this.peerName, this.#stream.remotePort)
    if (end === 'truncated') this.#wantsBytes = true // data that has arrived is delivered first
    else if (end === 'local') this.destroy()
    else this.#fail()
  }

  /** A turn later: a caller that has just received this stream from a promise needs a chance to listen for errors. */
  #fail(): void {
    setImmediate(() => this.destroy(this.#failure))
  }

  #finishWrite(): void {
    const done = this.#afterWrite
    this.#afterWrite = undefined
    done?.(this.#failure ?? null)
  }
}

/** The end of a stream as an error that people understand. */
export function streamError(end: StreamEnd, peer: string, port: number): PilotError {
  const [code, text] = ENDS[end]
  return new PilotError(code, `${peer}:${port}: ${text}`, { peer, port, end })
}

const ENDS: Readonly<Record<StreamEnd, readonly [ErrorCode, string]>> = {
  finished: ['FAILED', 'ended in order'],
  local: ['FAILED', 'closed by us'],
  refused: ['CONNECTION_REFUSED', 'refused'],
  target_unreachable: ['TARGET_UNREACHABLE', 'the service behind this port does not accept connections'],
  stale: ['PEER_UNREACHABLE', 'the node answers only on older connections'],
  no_answer: ['PEER_UNREACHABLE', 'no answer to the connection request'],
  reset_by_peer: ['PEER_RESET', 'reset by the other side'],
  truncated: ['PEER_RESET', 'the other side ended before all data had arrived'],
  timed_out: ['TIMED_OUT', 'the peer stopped acknowledging data'],
  peer_gone: ['PEER_UNREACHABLE', 'the node has stopped answering'],
  relay_only: ['RELAY_REFUSED', 'only the relay is left, and path: direct refuses it'],
}

/** How long a peer may keep sending unread data after `destroySoon`. */
const LINGER_MS = 10_000
/** node:net reads no more at once: a read of this size means that more is waiting. */
const FULL_READ_BYTES = 65_536
const BUFFER_BYTES = 65_536 // per direction, on top of the core's windows: about one segment
