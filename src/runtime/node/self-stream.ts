/**
 * A stream from our node to itself: no packet leaves, and its two ends are both here. Programs on the driver socket reach the
 * services of their own node in this way. Above: driver-desk.ts.
 */
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { TrustedEntry } from '../../wire/trust-file.ts'
import { TimedSocket } from '../socket-duplex.ts'
import type { Incoming, OverlayStream } from '../overlay.ts'

/** Who we are, and the ports of the end that dials. */
export interface SelfEnds {
  readonly node: NodeId
  readonly name: string
  readonly localPort: number
  readonly remotePort: number
}

/**
 * Offers a stream to the listener of our own port. @throws PilotError CONNECTION_REFUSED if there is no listener, or it
 * refuses.
 */
export function dialSelf(
  ends: SelfEnds,
  listener: ((incoming: Incoming) => void) | undefined,
  signal: AbortSignal,
): Promise<OverlayStream> {
  return new Promise((resolve, reject) => {
    const refused = (): void =>
      reject(
        new PilotError('CONNECTION_REFUSED', `${ends.name}:${ends.remotePort}: refused`, { port: ends.remotePort }),
      )
    if (listener === undefined) return refused()
    signal.addEventListener('abort', refused, { once: true })
    listener({
      peer: ends.node,
      peerName: ends.name,
      port: ends.remotePort,
      get gone() {
        return signal.aborted
      },
      accept: () => {
        const [near, far] = selfPair(ends)
        signal.removeEventListener('abort', refused)
        resolve(near)
        return far
      },
      refuse: refused,
    })
  })
}

/** Such streams are trusted: a program of this user is at the other end. */
export function ownEntry(nodeId: NodeId, publicKey: string): TrustedEntry {
  return { nodeId, publicKey, approvedAt: '', mutual: true, network: 0 }
}

/** The end that dials, and the end that accepts. */
function selfPair(ends: SelfEnds): [SelfStream, SelfStream] {
  const near = new SelfStream(ends)
  const far = new SelfStream({ ...ends, localPort: ends.remotePort, remotePort: ends.localPort })
  near.other = far
  far.other = near
  return [near, far]
}

class SelfStream extends TimedSocket implements OverlayStream {
  readonly peer: NodeId
  readonly peerName: string
  readonly localPort: number
  readonly remotePort: number
  readonly connecting = false
  readonly halfCloses = true
  handsOver = false
  bytesRead = 0
  bytesWritten = 0
  other!: SelfStream
  #afterWrite: (() => void) | undefined // the other end has room again

  constructor({ node, name, localPort, remotePort }: SelfEnds) {
    super({ allowHalfOpen: true })
    this.peer = node
    this.peerName = name
    this.localPort = localPort
    this.remotePort = remotePort
  }

  get remoteAddress(): string {
    return this.peerName
  }

  override _read(): void {
    this.other.#goOn()
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    if (this.other.destroyed) return done()
    this.bytesWritten += chunk.length
    this.other.bytesRead += chunk.length
    this.alive()
    this.other.alive()
    // a caller may change its array once `done` was called
    if (this.other.push(this.handsOver ? chunk : Uint8Array.prototype.slice.call(chunk))) done()
    else this.#afterWrite = done
  }

  override _final(done: () => void): void {
    if (!this.other.destroyed) this.other.push(null)
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const bothEnded = this.writableFinished && this.readableEnded
    if (!bothEnded && !this.other.destroyed)
      this.other.destroy(
        new PilotError('PEER_RESET', `${this.peerName}:${this.localPort}: reset by the other side`, {
          port: this.localPort,
        }),
      )
    this.#goOn()
    this.other.#goOn()
    super._destroy(error, done)
  }

  refuseRelay(): void {} // there is no path

  resetAndDestroy(): this {
    return this.destroy()
  }

  /** What was written still arrives, what comes is discarded; an end that never comes is not waited for. */
  destroySoon(): void {
    if (this.writable) this.end()
    this.resume()
    const limit = setTimeout(() => this.destroy(), LINGER_MS)
    this.once('close', () => clearTimeout(limit))
  }

  #goOn(): void {
    const done = this.#afterWrite
    this.#afterWrite = undefined
    done?.()
  }
}

/** As for streams of the overlay. */
const LINGER_MS = 10_000
