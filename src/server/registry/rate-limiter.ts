/** Rate limits per source and kind of request (registry.md §1.4). */
import { siteNet, TokenBuckets } from '../token-buckets.ts'

export type Bucket =
  | 'register'
  | 'query'
  | 'resolve'
  | 'heartbeat'
  | 'named_handshake'
  | 'join_token'
  | 'rename'
  | 'change'
  | 'site'

/** Requests per minute and source; also the burst. */
export type RateLimits = Readonly<Record<Bucket, number>>

export const DEFAULT_RATE_LIMITS: RateLimits = {
  register: 10,
  query: 500,
  resolve: 100,
  heartbeat: 1_000, // 500 nodes behind one address with a heartbeat every 30 s; a percent of a core if none is remembered
  named_handshake: 60, // ours: slows down the guessing of private names
  join_token: 30, // ours: slows down the guessing of a network's token
  rename: 20, // ours: `already in use` reveals that a name exists
  change: 600, // ours: trust, handshakes, attributes: one signature and one write each
  site: 200, // ours: registrations of an IPv6 /48, which holds 65,536 sources
}

export class RateLimiter {
  readonly #buckets: Readonly<Record<Bucket, TokenBuckets>>

  constructor(limits: RateLimits) {
    this.#buckets = {
      register: new TokenBuckets(limits.register, limits.register),
      query: new TokenBuckets(limits.query, limits.query),
      resolve: new TokenBuckets(limits.resolve, limits.resolve),
      heartbeat: new TokenBuckets(limits.heartbeat, limits.heartbeat),
      named_handshake: new TokenBuckets(limits.named_handshake, limits.named_handshake),
      join_token: new TokenBuckets(limits.join_token, limits.join_token),
      rename: new TokenBuckets(limits.rename, limits.rename),
      change: new TokenBuckets(limits.change, limits.change),
      site: new TokenBuckets(limits.site, limits.site, siteNet),
    }
  }

  /** Takes one token; false if there is none. */
  take(now: number, bucket: Bucket, sourceIp: string): boolean {
    return this.#buckets[bucket].take(now, sourceIp)
  }

  sweep(now: number): void {
    for (const buckets of Object.values(this.#buckets)) buckets.sweep(now)
  }
}
