/**
 * Networks of the registry that the operator made us join, and our tags there. The registry reveals our address to
 * members of our networks, and we trust them without asking (trust.md §4.2): the operator chose the network, and its
 * owner chooses the members.
 */
import type { Instant } from '../../base/types.ts'
import { challenges } from '../../wire/registry-messages.ts'
import type { RegistryResult } from '../rendezvous/registry-client.ts'
import type { NodeState } from './state.ts'
import { JOIN_AGAIN_MS } from './constants.ts'
import type { Purpose } from './purposes.ts'

export class Memberships {
  readonly #state: NodeState
  readonly #joined = new Set<number>()
  #joinAt: Instant = Infinity

  constructor(state: NodeState) {
    this.#state = state
  }

  get any(): boolean {
    return this.#joined.size > 0
  }

  /** The first of these networks that we have joined, or undefined. */
  shared(networks: readonly number[]): number | undefined {
    return networks.find((network) => this.#joined.has(network))
  }

  onRegistered(now: Instant): void {
    const { nodeId, options } = this.#state
    if (options.networks.length > 0) this.#joinAt = now
    if (options.tags === undefined) return
    this.#state.ask(
      now,
      {
        type: 'set_tags',
        node_id: nodeId,
        tags: options.tags,
        signature: this.#state.sign(challenges.setTags(nodeId)),
      },
      { kind: 'set_tags' },
    )
  }

  handleTimeout(now: Instant): void {
    if (now < this.#joinAt) return
    this.#joinAt = Infinity
    const { nodeId, options } = this.#state
    for (const { network, token } of options.networks) {
      const signature = this.#state.sign(challenges.joinNetwork(nodeId, network))
      this.#state.ask(
        now,
        {
          type: 'join_network',
          node_id: nodeId,
          network_id: network,
          ...(token !== undefined && { token }),
          signature,
        },
        { kind: 'join', network },
      )
    }
  }

  nextTimeout(): Instant {
    return this.#joinAt
  }

  /** A network that does not exist yet, or refuses us, is tried again: its owner may be about to change that. */
  onJoin(now: Instant, result: RegistryResult<Purpose>, network: number): void {
    if (result.kind === 'reply' || (result.kind === 'refused' && result.text.includes('already'))) {
      this.#joined.add(network)
      return
    }
    this.#joined.delete(network)
    this.#joinAt = Math.min(this.#joinAt, now + JOIN_AGAIN_MS)
    if (result.kind === 'refused')
      this.#state.emit({ kind: 'registry_refused', request: `join_network ${network}`, text: result.text })
  }
}
