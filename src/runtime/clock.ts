/** Time and randomness, which the core must not obtain itself. */
import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import type { Instant, RandomBytes } from '../base/types.ts'

export const monotonicNow = (): Instant => performance.now()

/** The wall-clock time of an instant of `monotonicNow`, RFC 3339 to the second, UTC. */
export function timestampOf(now: Instant): string {
  return new Date(Math.round(performance.timeOrigin + now)).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** The same in unix seconds. The wall clock may have been set since the start: it is asked now. */
export function unixSecondsOf(now: Instant): number {
  return Math.floor((Date.now() + now - performance.now()) / 1_000)
}

/**
 * Small requests are served from a pool: each connection needs one, and each call to OpenSSL costs 30 µs. No byte is
 * used twice.
 */
export const systemRandom: RandomBytes = (count) => {
  if (count > SMALL_BYTES) return new Uint8Array(randomBytes(count))
  if (drawn + count > store.length) {
    store = randomBytes(STORE_BYTES)
    drawn = 0
  }
  const bytes = new Uint8Array(store.subarray(drawn, drawn + count)) // a copy
  store.fill(0, drawn, drawn + count)
  drawn += count
  return bytes
}

const SMALL_BYTES = 8 // ports, sequence numbers, nonce prefixes; keys come directly from OpenSSL
const STORE_BYTES = 1_024
let store = new Uint8Array(0)
let drawn = 0
