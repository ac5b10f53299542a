/**
 * Token buckets of one kind, one per source, refilled continuously. A source is an IPv4 address or an IPv6 /64, the
 * smallest network that one customer gets. Loopback is exempt: a whole test overlay, or all clients behind a local
 * proxy, share 127.0.0.1, and a local program can do worse to this machine anyway.
 */
import { toHex } from '../base/bytes.ts'
import { SourceBuckets } from '../base/source-buckets.ts'
import { isLoopback } from '../base/types.ts'
import { encodeIp, sourceNet } from '../wire/ip-address.ts'

export class TokenBuckets {
  readonly #buckets: SourceBuckets<string>
  readonly #netOf: (ip: string) => string

  constructor(burst: number, perMinute: number, netOf: (ip: string) => string = sourceNet) {
    this.#buckets = new SourceBuckets(perMinute / 60, burst, MAX_SOURCES)
    this.#netOf = netOf
  }

  /** Takes one token; false if there is none. `now` in ms, only differences mean anything. */
  take(now: number, sourceIp: string): boolean {
    return isLoopback(sourceIp) || this.#buckets.take(now, this.#netOf(sourceIp))
  }

  /** Forgets sources that were idle long enough to be full again. */
  sweep(now: number): void {
    this.#buckets.sweep(now)
  }
}

/** The network of one organisation: an IPv4 address, an IPv6 /48. */
export function siteNet(ip: string): string {
  const bytes = encodeIp(ip)
  return bytes?.length === 16 ? toHex(bytes.subarray(0, 6)) : ip
}

const MAX_SOURCES = 65_536 // tracked at a time: the least recently used is forgotten, and starts again with a full bucket
