/** What the beacons of others admit, counted as they count it: in fixed seconds, and the rest is dropped silently. */
import type { Endpoint } from '../../../src/base/types.ts'
import { formatEndpoint } from '../../../src/base/types.ts'

const TYPE_PUNCH = 0x03
const TYPE_RELAY = 0x05

export class ForeignLimits {
  relayDropped = 0
  readonly punchesDropped = new Map<string, number>() // by address
  #second = -1
  readonly #relayed = new Map<string, number>()
  readonly #punchedAt = new Map<string, number>()
  #punches = 0

  admits(nowMs: number, bytes: Uint8Array, source: Endpoint): boolean {
    const second = Math.floor(nowMs / 1_000)
    if (second !== this.#second) {
      this.#second = second
      this.#relayed.clear()
      this.#punches = 0
    }
    const { address } = source
    if (bytes[0] === TYPE_PUNCH && !this.#admitsPunch(nowMs, address))
      this.punchesDropped.set(address, (this.punchesDropped.get(address) ?? 0) + 1)
    else if (bytes[0] === TYPE_RELAY && !this.#admitsRelay(source)) this.relayDropped += 1
    else return true
    return false
  }

  #admitsPunch(nowMs: number, address: string): boolean {
    if (this.#punches >= 10 || nowMs - (this.#punchedAt.get(address) ?? -Infinity) < 1_000) return false
    this.#punches += 1
    this.#punchedAt.set(address, nowMs)
    return true
  }

  #admitsRelay(source: Endpoint): boolean {
    const key = formatEndpoint(source)
    const count = (this.#relayed.get(key) ?? 0) + 1
    this.#relayed.set(key, count)
    return count <= 4_000
  }
}
