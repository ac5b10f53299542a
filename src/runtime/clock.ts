/** Time and chance, the two things the core must not find by itself. */
import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import type { Instant, RandomBytes } from '../base/types.ts'

export const monotonicNow = (): Instant => performance.now()

/** The wall-clock time of an instant of `monotonicNow`, RFC 3339 to the second, UTC. */
export function timestampOf (now: Instant): string {
  return new Date(Math.round(performance.timeOrigin + now)).toISOString().replace(/\.\d+Z$/, 'Z')
}

export const systemRandom: RandomBytes = (count) => new Uint8Array(randomBytes(count))
