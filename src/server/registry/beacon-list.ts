/** Beacons that announced themselves (registry.md §7). In memory only: they announce again every 30 seconds. */
import { isLoopback } from '../../base/types.ts'
import { sourceNet } from '../../wire/ip-address.ts'
import { BEACON_LIVES_MS, MAX_BEACONS, MAX_BEACONS_PER_SOURCE } from './constants.ts'

export class BeaconList {
  readonly #beacons = new Map<number, { readonly addr: string; readonly source: string; readonly atMs: number }>()

  /**
   * False if the list is full, or `sourceIp` has its share. Beacons are not authenticated; loopback belongs to the
   * operator.
   */
  put(now: number, id: number, addr: string, sourceIp: string): boolean {
    this.sweep(now)
    const source = sourceNet(sourceIp)
    const known = this.#beacons.get(id)
    const own = [...this.#beacons.values()].filter((beacon) => beacon.source === source).length
    const hasShare = isLoopback(sourceIp) || known?.source === source || own < MAX_BEACONS_PER_SOURCE
    if (!hasShare || (known === undefined && this.#beacons.size >= MAX_BEACONS)) return false
    this.#beacons.set(id, { addr, source, atMs: now })
    return true
  }

  list(now: number): readonly { readonly id: number; readonly addr: string }[] {
    this.sweep(now)
    return [...this.#beacons].map(([id, { addr }]) => ({ id, addr }))
  }

  sweep(now: number): void {
    for (const [id, beacon] of this.#beacons) if (now - beacon.atMs > BEACON_LIVES_MS) this.#beacons.delete(id)
  }
}
