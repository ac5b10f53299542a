/**
 * Who declared trust in whom. An assertion has a direction; a pair is effective when both directions are there, so
 * that nobody can make himself trusted (registry.md §4 [R]). Pairs survive reaping and deregistration.
 *
 * Records: `trust/<low>:<high>`.
 */
import type { NodeId } from '../../base/types.ts'
import type { RegistryStore } from '../store/store.ts'
import type { Fields } from './fields.ts'
import { MAX_TRUST_PER_NODE } from './constants.ts'

interface Pair {
  readonly low: NodeId
  readonly high: NodeId
  lowAsserts: boolean
  highAsserts: boolean
}

export class TrustTable {
  readonly #store: RegistryStore
  readonly #oneSided: boolean
  readonly #pairs = new Map<string, Pair>()
  readonly #assertions = new Map<NodeId, number>() // how many each node made

  /** @param oneSided See `one-sided-trust` in options.ts. */
  constructor(store: RegistryStore, oneSided: boolean) {
    this.#store = store
    this.#oneSided = oneSided
  }

  get size(): number {
    return this.#pairs.size
  }

  /** May these two know each other's endpoints? */
  effective(a: NodeId, b: NodeId): boolean {
    const pair = this.#pairs.get(pairName(a, b))
    if (pair === undefined) return false
    return this.#oneSided || (pair.lowAsserts && pair.highAsserts)
  }

  mayAssert(node: NodeId): boolean {
    return (this.#assertions.get(node) ?? 0) < MAX_TRUST_PER_NODE
  }

  /** `from` trusts `to`, which must be another node. */
  assert(from: NodeId, to: NodeId): void {
    const name = pairName(from, to)
    const pair = this.#pairs.get(name) ?? {
      low: Math.min(from, to),
      high: Math.max(from, to),
      lowAsserts: false,
      highAsserts: false,
    }
    if (from === pair.low ? pair.lowAsserts : pair.highAsserts) return
    if (from === pair.low) pair.lowAsserts = true
    else pair.highAsserts = true
    this.#count(from, 1)
    this.#pairs.set(name, pair)
    this.#store.put(`trust/${name}`, { lowAsserts: pair.lowAsserts, highAsserts: pair.highAsserts })
  }

  /** Either side ends it for both; to trust again, both must say so again. False when there was nothing. */
  revoke(a: NodeId, b: NodeId): boolean {
    const name = pairName(a, b)
    const pair = this.#pairs.get(name)
    if (pair === undefined) return false
    if (pair.lowAsserts) this.#count(pair.low, -1)
    if (pair.highAsserts) this.#count(pair.high, -1)
    this.#pairs.delete(name)
    this.#store.delete(`trust/${name}`)
    return true
  }

  /** @returns False for what is no pair. */
  load(name: string, fields: Fields): boolean {
    const match = /^(\d{1,10}):(\d{1,10})$/.exec(name)
    const low = Number(match?.[1])
    const high = Number(match?.[2])
    if (match === null || !(low > 0 && low < high)) return false
    const pair: Pair = { low, high, lowAsserts: fields.flag('lowAsserts'), highAsserts: fields.flag('highAsserts') }
    if (!pair.lowAsserts && !pair.highAsserts) return false
    if (pair.lowAsserts) this.#count(low, 1)
    if (pair.highAsserts) this.#count(high, 1)
    this.#pairs.set(name, pair)
    return true
  }

  #count(node: NodeId, change: 1 | -1): void {
    const count = (this.#assertions.get(node) ?? 0) + change
    if (count === 0) this.#assertions.delete(node)
    else this.#assertions.set(node, count)
  }
}

function pairName(a: NodeId, b: NodeId): string {
  return `${Math.min(a, b)}:${Math.max(a, b)}`
}
