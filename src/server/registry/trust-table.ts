/**
 * Trust assertions between nodes. An assertion has a direction; a pair is effective once both directions exist, so that
 * no node can make itself trusted (registry.md §4 [R]). Pairs survive reaping and deregistration.
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
  readonly #assertions = new Map<NodeId, number>() // number of assertions by each node
  readonly #pairsOf = new Map<NodeId, number>()

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

  /** Is the node half of any pair? */
  concerns(node: NodeId): boolean {
    return this.#pairsOf.has(node)
  }

  mayAssert(node: NodeId): boolean {
    return (this.#assertions.get(node) ?? 0) < MAX_TRUST_PER_NODE
  }

  /** `from` trusts `to`, which must be another node. */
  assert(from: NodeId, to: NodeId): void {
    const name = pairName(from, to)
    const known = this.#pairs.get(name)
    const pair = known ?? {
      low: Math.min(from, to),
      high: Math.max(from, to),
      lowAsserts: false,
      highAsserts: false,
    }
    if (from === pair.low ? pair.lowAsserts : pair.highAsserts) return
    if (from === pair.low) pair.lowAsserts = true
    else pair.highAsserts = true
    count(this.#assertions, from, 1)
    if (known === undefined) this.#add(name, pair)
    this.#store.put(`trust/${name}`, { lowAsserts: pair.lowAsserts, highAsserts: pair.highAsserts })
  }

  /** Either side ends it for both; to trust again, both must assert it again. False if there was nothing. */
  revoke(a: NodeId, b: NodeId): boolean {
    const name = pairName(a, b)
    const pair = this.#pairs.get(name)
    if (pair === undefined) return false
    if (pair.lowAsserts) count(this.#assertions, pair.low, -1)
    if (pair.highAsserts) count(this.#assertions, pair.high, -1)
    this.#pairs.delete(name)
    count(this.#pairsOf, a, -1)
    count(this.#pairsOf, b, -1)
    this.#store.delete(`trust/${name}`)
    return true
  }

  /** @returns False for anything that is not a pair. */
  load(name: string, fields: Fields): boolean {
    const match = /^(\d{1,10}):(\d{1,10})$/.exec(name)
    const low = Number(match?.[1])
    const high = Number(match?.[2])
    if (match === null || !(low > 0 && low < high)) return false
    const pair: Pair = { low, high, lowAsserts: fields.flag('lowAsserts'), highAsserts: fields.flag('highAsserts') }
    if (!pair.lowAsserts && !pair.highAsserts) return false
    if (pair.lowAsserts) count(this.#assertions, low, 1)
    if (pair.highAsserts) count(this.#assertions, high, 1)
    this.#add(name, pair)
    return true
  }

  #add(name: string, pair: Pair): void {
    this.#pairs.set(name, pair)
    count(this.#pairsOf, pair.low, 1)
    count(this.#pairsOf, pair.high, 1)
  }
}

function count(counts: Map<NodeId, number>, node: NodeId, change: 1 | -1): void {
  const sum = (counts.get(node) ?? 0) + change
  if (sum === 0) counts.delete(node)
  else counts.set(node, sum)
}

function pairName(a: NodeId, b: NodeId): string {
  return `${Math.min(a, b)}:${Math.max(a, b)}`
}
