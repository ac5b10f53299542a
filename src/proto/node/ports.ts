/** Overlay ports of this node: who listens, and which ephemeral port the next dial goes out from. */
import type { Instant, RandomBytes } from '../../base/types.ts'
import { TIME_WAIT_MS } from '../stream/constants.ts'
import type { Stream } from '../stream/stream.ts'
import { EPHEMERAL_COUNT, EPHEMERAL_FIRST, REUSE_AFTER_MS } from './constants.ts'

export class Ports {
  readonly #listening = new Set<number>()
  /** Ports for datagrams: a separate namespace, like UDP's next to TCP's. */
  readonly datagrams = new Set<number>()
  /** Datagrams to ports that are not open are taken too: a driver's clients choose among them. */
  takesAllDatagrams = false
  #next: number
  #nextDatagrams: number

  /** Starts at a random port: after a restart a peer may still remember our last ports (stream.md Q9). */
  constructor(random: RandomBytes) {
    const bytes = random(2)
    this.#next = ((bytes[0]! << 8) | bytes[1]!) % EPHEMERAL_COUNT
    this.#nextDatagrams = this.#next
  }

  /** @returns false if the port is taken. */
  listen(port: number): boolean {
    if (this.#listening.has(port)) return false
    this.#listening.add(port)
    return true
  }

  unlisten(port: number): void {
    this.#listening.delete(port)
  }
  isListening(port: number): boolean {
    return this.#listening.has(port)
  }

  /** @param wanted undefined: one of the ephemeral range. @returns the port, or undefined when it is, or all are, taken. */
  openDatagrams(wanted: number | undefined): number | undefined {
    let port = wanted
    for (let tries = 0; port === undefined && tries < EPHEMERAL_COUNT; tries++) {
      const next = EPHEMERAL_FIRST + this.#nextDatagrams
      this.#nextDatagrams = (this.#nextDatagrams + 1) % EPHEMERAL_COUNT
      if (!this.datagrams.has(next)) port = next
    }
    if (port === undefined || this.datagrams.has(port)) return undefined
    this.datagrams.add(port)
    return port
  }

  /**
   * A local port towards this peer and remote port that is free, or whose stream has ended; undefined if all are in
   * use. Ports are used in turn, so a recently used one is chosen only if all others are in use.
   */
  ephemeral(now: Instant, streams: ReadonlyMap<number, Stream>, remotePort: number): number | undefined {
    for (let tries = 0; tries < EPHEMERAL_COUNT; tries++) {
      const port = EPHEMERAL_FIRST + this.#next
      this.#next = (this.#next + 1) % EPHEMERAL_COUNT
      const stream = streams.get(streamKey(port, remotePort))
      if ((stream === undefined || isPast(now, stream)) && !this.#listening.has(port)) return port
    }
    return undefined
  }
}

/**
 * A SYN on its ports ends any remainder of it at the peer and does no other harm (Stream.isForeignSyn). A Go peer would
 * answer from the old stream (stream.md Q9).
 */
function isPast(now: Instant, stream: Stream): boolean {
  if (!stream.extended) return false
  const left = stream.nextTimeout() - now
  return stream.phase === 'time-wait'
    ? left <= TIME_WAIT_MS - REUSE_AFTER_MS
    : stream.phase === 'resetting' && left > REUSE_AFTER_MS // between its later RSTs
}

/** Streams of one peer are found by both ports. The network part of addresses does not count (addressing §6). */
export function streamKey(localPort: number, remotePort: number): number {
  return (localPort << 16) | remotePort // 32 bits, signed: stays a small integer
}
