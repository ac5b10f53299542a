/** Streams of a service that each hold something: bounded together, and each peer has a share, so that none keeps out the others. */
import type { NodeId } from '../base/types.ts'

export class Shares {
  readonly #total: number
  readonly #each: number
  readonly #open = new Map<NodeId, number>()
  #sum = 0

  constructor(total: number, each: number) {
    this.#total = total
    this.#each = each
  }

  /** @returns false if there is no room. Otherwise `release` must follow. */
  take(peer: NodeId): boolean {
    const own = this.#open.get(peer) ?? 0
    if (this.#sum >= this.#total || own >= this.#each) return false
    this.#open.set(peer, own + 1)
    this.#sum += 1
    return true
  }

  release(peer: NodeId): void {
    const own = (this.#open.get(peer) ?? 1) - 1
    if (own === 0) this.#open.delete(peer)
    else this.#open.set(peer, own)
    this.#sum -= 1
  }
}
