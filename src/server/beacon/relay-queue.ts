/**
 * Outgoing relayed datagrams. Each source (a node's public endpoint) has its own queue, and sources take turns by bytes
 * (deficit round robin), so that a heavy sender only queues behind itself. A source also has a rate limit; the excess
 * over rate or queue is dropped, which congestion control notices.
 */
import type { Endpoint } from '../../base/types.ts'
import { Ring } from '../../base/ring.ts'
import { formatEndpoint } from '../../base/types.ts'
import {
  MAX_RELAY_SOURCES,
  RELAY_BURST_BYTES,
  RELAY_BYTES_PER_SECOND,
  RELAY_QUANTUM_BYTES,
  RELAY_QUEUE_BYTES,
  RELAY_TOTAL_BYTES,
} from './constants.ts'

interface Waiting {
  readonly bytes: Uint8Array
  readonly to: Endpoint
}

interface Source {
  readonly queue: Ring<Waiting>
  queuedBytes: number
  deficit: number
  tokens: number // bytes
  tokensAt: number
  active: boolean
}

export interface RelayLimits {
  readonly bytesPerSecond: number
  readonly burstBytes: number
}

export class RelayQueue {
  /** Dropped since start: over a source's rate, over its queue or the total queue, and too many sources. */
  readonly counters = { relaysOverRate: 0, relaysQueueFull: 0, relaysNoRoom: 0 }
  readonly #limits: RelayLimits
  readonly #sources = new Map<string, Source>() // least recently used first
  readonly #turns = new Ring<Source>()
  #turn: Source | undefined // whose turn it is
  #totalBytes = 0

  constructor(limits: RelayLimits = { bytesPerSecond: RELAY_BYTES_PER_SECOND, burstBytes: RELAY_BURST_BYTES }) {
    this.#limits = limits
  }

  get queuedBytes(): number {
    return this.#totalBytes
  }

  /** Queues it, or drops and counts it. Takes ownership of `bytes`. */
  push(now: number, from: Endpoint, bytes: Uint8Array, to: Endpoint): void {
    const source = this.#source(now, formatEndpoint(from))
    if (source === undefined) {
      this.counters.relaysNoRoom++
      return
    }
    const { bytesPerSecond, burstBytes } = this.#limits
    source.tokens = Math.min(burstBytes, source.tokens + (Math.max(0, now - source.tokensAt) * bytesPerSecond) / 1_000)
    source.tokensAt = now
    if (source.tokens < bytes.length) {
      this.counters.relaysOverRate++
      return
    }
    if (source.queuedBytes + bytes.length > RELAY_QUEUE_BYTES || this.#totalBytes + bytes.length > RELAY_TOTAL_BYTES) {
      this.counters.relaysQueueFull++
      return
    }
    source.tokens -= bytes.length
    source.queuedBytes += bytes.length
    this.#totalBytes += bytes.length
    source.queue.push({ bytes, to })
    if (!source.active) {
      source.active = true
      this.#turns.push(source)
    }
  }

  /** The next datagram to send, fairly; undefined when none waits. */
  shift(): Waiting | undefined {
    for (;;) {
      const source = this.#turn ?? this.#turns.shift()
      if (source === undefined) return undefined
      const head = source.queue.at(0)
      this.#turn = undefined
      if (head === undefined) {
        source.active = false
        source.deficit = 0
      } else if (source.deficit < head.bytes.length) {
        // its turn is over; the next one gets another quantum
        source.deficit += RELAY_QUANTUM_BYTES
        this.#turns.push(source)
      } else {
        this.#turn = source // continues while its deficit lasts
        source.queue.shift()
        source.deficit -= head.bytes.length
        source.queuedBytes -= head.bytes.length
        this.#totalBytes -= head.bytes.length
        return head
      }
    }
  }

  /** Forgets idle sources with a full bucket. */
  sweep(now: number): void {
    const fullAfterMs = (1_000 * this.#limits.burstBytes) / this.#limits.bytesPerSecond
    for (const [name, source] of this.#sources) {
      if (!source.active && now - source.tokensAt > fullAfterMs) this.#sources.delete(name)
    }
  }

  #source(now: number, name: string): Source | undefined {
    let source = this.#sources.get(name)
    if (source !== undefined) return source
    if (this.#sources.size >= MAX_RELAY_SOURCES) return undefined
    source = {
      queue: new Ring(),
      queuedBytes: 0,
      deficit: 0,
      tokens: this.#limits.burstBytes,
      tokensAt: now,
      active: false,
    }
    this.#sources.set(name, source)
    return source
  }
}
