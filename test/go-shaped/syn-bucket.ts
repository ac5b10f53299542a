/** How many SYNs of one source a Go-shaped node admits: a burst, then ten a second in whole tokens (stream.md §2.2). */
import type { NodeId } from '../../src/base/types.ts'

export interface SynBucket {
  tokens: number
  at: number
}

export function takeSynToken(buckets: Map<NodeId, SynBucket>, now: number, from: NodeId, burst: number): boolean {
  const bucket = buckets.get(from) ?? { tokens: burst, at: now }
  const earned = Math.floor((now - bucket.at) / 100)
  if (earned > 0) {
    bucket.tokens = Math.min(burst, bucket.tokens + earned)
    bucket.at = now
  }
  buckets.set(from, bucket)
  if (bucket.tokens < 1) return false
  bucket.tokens -= 1
  return true
}
