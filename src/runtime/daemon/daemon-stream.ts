/**
 * A stream carried by a daemon, as a Duplex that libraries take for a socket. Above: overlay.ts, which defines it.
 * Below: a carrier (a separate connection for a dialled stream, a shared one for accepted ones) and its inbox.
 *
 * A daemon has no half-close: its Close ends both directions, and anything that the peer still sends is lost (stream.md
 * §5). So the end of a client's request is held back until the answer has ended; the end of a server's answer is passed
 * on once everything before it is acknowledged. An end, a reset and a vanished peer all look the same.
 */
import { PilotError } from '../../base/errors.ts'
import type { ErrorCode } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import { HELD_FIN_MS } from '../../proto/stream/constants.ts'
import { TimedSocket } from '../socket-duplex.ts'
import type { OverlayStream } from '../overlay.ts'
import type { Inbox } from './inbox.ts'

/** How the bytes of one stream reach the daemon. */
export interface StreamCarrier {
  readonly connection: number
  readonly inbox: Inbox
  /** `done` when more may come; until then the bytes must not change. */
  send(bytes: Uint8Array, done: (error?: Error | null) => void): void
  /** Resolves when the peer has acknowledged everything, or when waiting is pointless. */
  whenAcknowledged(bytesSent: number): Promise<void>
  /** Both directions, immediately. Idempotent. */
  close(): void
}

export interface DaemonStreamAbout {
  readonly peer: NodeId
  readonly peerName: string
  readonly localPort: number // 0: a daemon does not report which port it dials from
  readonly remotePort: number
  readonly dialled: boolean
  /** A half-close was held for the maximum time. */
  readonly onHeldTooLong: () => void
}

export class DaemonStream extends TimedSocket implements OverlayStream {
  readonly peer: NodeId
  readonly peerName: string
  readonly localPort: number
  readonly remotePort: number
  readonly connecting = false
  readonly halfCloses = false
  handsOver = false
  bytesRead = 0
  bytesWritten = 0
  readonly #carrier: StreamCarrier
  readonly #about: DaemonStreamAbout
  #wantsBytes = false
  #heldEnd: NodeJS.Timeout | undefined

  constructor(carrier: StreamCarrier, about: DaemonStreamAbout) {
    super({ allowHalfOpen: true, readableHighWaterMark: BUFFER_BYTES, writableHighWaterMark: BUFFER_BYTES })
    this.peer = about.peer
    this.peerName = about.peerName
    this.localPort = about.localPort
    this.remotePort = about.remotePort
    this.#carrier = carrier
    this.#about = about
    carrier.inbox.attach({
      onBytes: () => this.#pump(),
      onEnd: () => this.#onEnd(),
      onFailure: (code, text) => this.#fail(code, text),
    })
    const { ended, failure } = carrier.inbox
    if (ended) setImmediate(() => this.#onEnd()) // a turn later: the caller must have had a chance to listen
    if (failure !== undefined) setImmediate(() => this.#fail(failure.code, failure.text))
  }

  get remoteAddress(): string {
    return this.peerName
  }

  override _read(): void {
    this.#wantsBytes = true
    this.#pump()
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.alive()
    if (this.#carrier.inbox.ended)
      return done(
        new PilotError('PEER_RESET', `${this.peerName}:${this.remotePort}: ended by the other side`, {
          peer: this.peerName,
          port: this.remotePort,
        }),
      )
    this.bytesWritten += chunk.length
    this.#carrier.send(chunk, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    done()
    if (this.#carrier.inbox.ended) return
    if (this.#about.dialled) this.#heldEnd = setTimeout(() => this.#stopHolding(), HELD_FIN_MS)
    else this.#endBoth()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#heldEnd)
    this.#carrier.inbox.clear()
    // Ended in order by us and not by the peer: its bytes are discarded, ours must still arrive.
    if (error === null && this.writableFinished && !this.#carrier.inbox.ended) this.#endBoth()
    else this.#carrier.close()
    super._destroy(error, done)
  }

  /** A daemon has no reset: the peer sees an end. */
  resetAndDestroy(): this {
    this.#carrier.close()
    this.destroy()
    return this
  }

  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  /** Only the daemon knows its paths. */
  refuseRelay(): void {}

  #pump(): void {
    const { inbox } = this.#carrier
    while (this.#wantsBytes) {
      const chunk = inbox.shift()
      if (chunk === undefined) break
      this.bytesRead += chunk.length
      this.alive()
      this.#wantsBytes = this.push(chunk)
    }
    if (inbox.ended && inbox.bytes === 0 && this.#wantsBytes && !this.readableEnded) {
      this.#wantsBytes = false
      this.push(null)
    }
  }

  /** The peer's end is the end of both directions: nothing written now would arrive. */
  #onEnd(): void {
    clearTimeout(this.#heldEnd)
    if (this.destroyed) return
    if (!this.writableEnded) this.end()
    this.#pump()
  }

  #fail(code: ErrorCode, text: string): void {
    this.destroy(
      new PilotError(code, `${this.peerName}:${this.remotePort}: ${text}`, {
        peer: this.peerName,
        port: this.remotePort,
      }),
    )
  }

  #endBoth(): void {
    this.#carrier.whenAcknowledged(this.bytesWritten).then(
      () => this.#carrier.close(),
      () => this.#carrier.close(),
    )
  }

  #stopHolding(): void {
    this.#about.onHeldTooLong()
    this.#endBoth()
  }
}

const BUFFER_BYTES = 65_536 // per direction, as for our own streams
