/**
 * A share for each source of work, such as an address or a node, so that a flooding one uses up only its own. Bounded: the
 * oldest are evicted.
 */
import { TokenBucket } from './token-bucket.ts'
import type { Instant } from './types.ts'

export class SourceBuckets<Source> {
  readonly #perSecond: number
  readonly #burst: number
  readonly #maxSources: number
  readonly #buckets = new Map<Source, TokenBucket>() // in order of their last use

  constructor(perSecond: number, burst: number = perSecond, maxSources: number = MAX_SOURCES) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#maxSources = maxSources
  }

  take(now: Instant, source: Source): boolean {
    const bucket = this.#buckets.get(source) ?? new TokenBucket(this.#perSecond, this.#burst)
    this.#buckets.delete(source)
    if (this.#buckets.size >= this.#maxSources) this.#buckets.delete(this.#buckets.keys().next().value!)
    this.#buckets.set(source, bucket)
    return bucket.take(now)
  }

  /** Forgets sources that were idle long enough to be full again. */
  sweep(now: Instant): void {
    for (const [source, bucket] of this.#buckets) {
      if (!bucket.isFull(now)) return
      this.#buckets.delete(source)
    }
  }
}

/** With forged sources anyone can fill the table; then the overall limit applies. */
const MAX_SOURCES = 1_024
