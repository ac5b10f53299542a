/**
 * Token buckets of one kind, one per source, refilled continuously. A source is an IPv4 address or an IPv6 /64, the
 * smallest network that one customer gets. Loopback is exempt: a whole test overlay, or all clients behind a local
 * proxy, share 127.0.0.1, and a local program can do worse to this machine anyway.
 */
import { toHex } from '../base/bytes.ts'
import { isLoopback } from '../base/types.ts'
import { encodeIp, sourceNet } from '../wire/ip-address.ts'

export class TokenBuckets {
  readonly #burst: number
  readonly #perMs: number
  readonly #levels = new Map<string, { tokens: number; at: number }>() // by source, least recently used first

  readonly #netOf: (ip: string) => string

  constructor(burst: number, perMinute: number, netOf: (ip: string) => string = sourceNet) {
    this.#netOf = netOf
    this.#burst = burst
    this.#perMs = perMinute / 60_000
  }

  /** Takes one token; false if there is none. `now` in ms, only differences mean anything. */
  take(now: number, sourceIp: string): boolean {
    if (isLoopback(sourceIp)) return true
    const source = this.#netOf(sourceIp)
    const level = this.#levels.get(source) ?? { tokens: this.#burst, at: now }
    level.tokens = Math.min(this.#burst, level.tokens + Math.max(0, now - level.at) * this.#perMs)
    level.at = now
    const allowed = level.tokens >= 1
    if (allowed) level.tokens--
    this.#levels.delete(source)
    this.#levels.set(source, level)
    if (this.#levels.size > MAX_SOURCES) this.#forgetOldest()
    return allowed
  }

  /** Forgets sources that were idle long enough to be full again. */
  sweep(now: number): void {
    for (const [source, level] of this.#levels) {
      if ((now - level.at) * this.#perMs < this.#burst) return
      this.#levels.delete(source)
    }
  }

  #forgetOldest(): void {
    for (const source of this.#levels.keys()) {
      this.#levels.delete(source)
      return
    }
  }
}

/** The network of one organisation: an IPv4 address, an IPv6 /48. */
export function siteNet(ip: string): string {
  const bytes = encodeIp(ip)
  return bytes?.length === 16 ? toHex(bytes.subarray(0, 6)) : ip
}

const MAX_SOURCES = 65_536 // tracked at a time: the least recently used is forgotten, and starts again with a full bucket
