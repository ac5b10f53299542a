/**
 * How many connections each source has: an IPv4 address or IPv6 /64, and an IPv6 /48, which holds 65,536 of these.
 * Loopback is exempt, as in token-buckets.ts.
 */
import { isLoopback } from '../base/types.ts'
import { sourceNet } from '../wire/ip-address.ts'
import { siteNet } from './token-buckets.ts'

export class SourceCounts {
  readonly #perSource = new Map<string, number>()
  readonly #perSite = new Map<string, number>()

  /** @returns false if this source has its share. */
  mayAdd(ip: string): boolean {
    if (isLoopback(ip)) return true
    return (
      (this.#perSource.get(sourceNet(ip)) ?? 0) < MAX_PER_SOURCE && (this.#perSite.get(siteNet(ip)) ?? 0) < MAX_PER_SITE
    )
  }

  add(ip: string): void {
    change(this.#perSource, sourceNet(ip), 1)
    change(this.#perSite, siteNet(ip), 1)
  }

  remove(ip: string): void {
    change(this.#perSource, sourceNet(ip), -1)
    change(this.#perSite, siteNet(ip), -1)
  }
}

function change(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const sum = (counts.get(key) ?? 0) + by
  if (sum === 0) counts.delete(key)
  else counts.set(key, sum)
}

const MAX_PER_SOURCE = 1_024 // per IPv4 address or IPv6 /64: further ones are closed on accept
const MAX_PER_SITE = 4_096 // per IPv6 /48
