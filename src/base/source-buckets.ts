/**
 * A share for each source of work, such as an address or a node, so that a flooding one uses up only its own. Bounded: the
 * oldest are evicted.
 */
import { TokenBucket } from './token-bucket.ts'
import type { Instant } from './types.ts'

export class SourceBuckets<Source> {
  readonly #perSecond: number
  readonly #burst: number
  readonly #buckets = new Map<Source, TokenBucket>() // in order of their last use

  constructor(perSecond: number, burst: number = perSecond) {
    this.#perSecond = perSecond
    this.#burst = burst
  }

  take(now: Instant, source: Source): boolean {
    const bucket = this.#buckets.get(source) ?? new TokenBucket(this.#perSecond, this.#burst)
    this.#buckets.delete(source)
    if (this.#buckets.size >= MAX_SOURCES) this.#buckets.delete(this.#buckets.keys().next().value!)
    this.#buckets.set(source, bucket)
    return bucket.take(now)
  }
}

/** With forged sources anyone can fill the table; then the overall limit applies. */
const MAX_SOURCES = 1_024
