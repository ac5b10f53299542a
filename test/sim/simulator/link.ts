/** One direction of a network path: delay, jitter (which reorders), loss, duplication, rate with a queue. */
import type { Random } from './random.ts'
import type { World } from './world.ts'

export interface LinkOptions {
  readonly delayMs?: number
  readonly jitterMs?: number // each datagram is late by up to this much more, so they overtake each other
  readonly lossRate?: number
  readonly duplicateRate?: number
  readonly rateBps?: number // absent: unlimited
  readonly queueBytes?: number // at a limited rate; beyond it datagrams are dropped
}

export class Link {
  readonly #world: World
  readonly #random: Random
  readonly #options: LinkOptions
  readonly #deliver: (datagram: Uint8Array) => void
  #freeAt = 0
  /** A cut link loses everything. */
  cut = false
  sent = 0
  lost = 0

  constructor(world: World, random: Random, options: LinkOptions, deliver: (datagram: Uint8Array) => void) {
    this.#world = world
    this.#random = random
    this.#options = options
    this.#deliver = deliver
  }

  /** The bytes are copied: the sender may reuse its array. */
  send(datagram: Uint8Array): void {
    this.sent += 1
    const { lossRate = 0, duplicateRate = 0 } = this.#options
    if (this.cut || this.#random.chance(lossRate)) {
      this.lost += 1
      return
    }
    const queuedMs = this.#queue(datagram.length)
    if (queuedMs === undefined) {
      this.lost += 1
      return
    }
    this.#deliverLater(datagram, queuedMs)
    if (this.#random.chance(duplicateRate)) this.#deliverLater(datagram, queuedMs)
  }

  #deliverLater(datagram: Uint8Array, queuedMs: number): void {
    const { delayMs = 0, jitterMs = 0 } = this.#options
    const copy = datagram.slice()
    this.#world.after(queuedMs + delayMs + this.#random.next() * jitterMs, () => this.#deliver(copy))
  }

  #queue(bytes: number): number | undefined {
    const { rateBps, queueBytes = 256 * 1024 } = this.#options
    if (rateBps === undefined) return 0
    const now = this.#world.nowMs
    const start = Math.max(now, this.#freeAt)
    if (((start - now) * rateBps) / 8_000 > queueBytes) return undefined
    this.#freeAt = start + (bytes * 8_000) / rateBps
    return this.#freeAt - now
  }
}
