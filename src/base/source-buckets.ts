/**
 * A share for each source address of datagrams, so that a flooding source uses up only its own. Bounded: the oldest are
 * evicted.
 */
import { TokenBucket } from './token-bucket.ts'
import type { Instant } from './types.ts'

export class SourceBuckets {
  readonly #perSecond: number
  readonly #buckets = new Map<string, TokenBucket>() // in order of their last use

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  take(now: Instant, address: string): boolean {
    const bucket = this.#buckets.get(address) ?? new TokenBucket(this.#perSecond)
    this.#buckets.delete(address)
    if (this.#buckets.size >= MAX_SOURCES) this.#buckets.delete(this.#buckets.keys().next().value!)
    this.#buckets.set(address, bucket)
    return bucket.take(now)
  }
}

/** With forged sources anyone can fill the table; then the overall limit applies. */
const MAX_SOURCES = 1_024
