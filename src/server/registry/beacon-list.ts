/** Beacons that announced themselves (registry.md §7). In memory only: they announce again every 30 seconds. */
import { BEACON_LIVES_MS, MAX_BEACONS } from './constants.ts'

export class BeaconList {
  readonly #beacons = new Map<number, { readonly addr: string; readonly atMs: number }>()

  /** False when the list is full. */
  put(now: number, id: number, addr: string): boolean {
    this.sweep(now)
    if (!this.#beacons.has(id) && this.#beacons.size >= MAX_BEACONS) return false
    this.#beacons.set(id, { addr, atMs: now })
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
