/**
 * Answers of the registry, on their way to the parts that wait for them. Above: core.ts. Below: registration.ts,
 * trust-exchange.ts and resolver.ts, which interpret the answers; dialler.ts and inbound.ts, which wait for keys and
 * names.
 */
import type { Instant, NodeId } from '../../base/types.ts'
import type { Chores } from './chores.ts'
import type { Dialler } from './dialler.ts'
import type { Inbound } from './inbound.ts'
import type { Registration } from './registration.ts'
import type { Resolver, ResolverNews } from './resolver.ts'
import type { NodeState } from './state.ts'
import type { TrustExchange } from './trust-exchange.ts'

export interface AnswerParts {
  readonly registration: Registration
  readonly exchange: TrustExchange
  readonly resolver: Resolver
  readonly dialler: Dialler
  readonly chores: Chores
  readonly inbound: Inbound
}

export class Answers {
  readonly #state: NodeState
  readonly #registration: Registration
  readonly #exchange: TrustExchange
  readonly #resolver: Resolver
  readonly #dialler: Dialler
  readonly #chores: Chores
  readonly #inbound: Inbound

  constructor(state: NodeState, { registration, exchange, resolver, dialler, chores, inbound }: AnswerParts) {
    this.#state = state
    this.#registration = registration
    this.#exchange = exchange
    this.#resolver = resolver
    this.#dialler = dialler
    this.#chores = chores
    this.#inbound = inbound
  }

  /** Passes every answer of the registry to the part that asked, and its consequences to the others. */
  take(now: Instant): void {
    for (
      let result = this.#state.registry.pollResult();
      result !== undefined;
      result = this.#state.registry.pollResult()
    ) {
      if (result.purpose.kind === 'driver') {
        const reply = result.kind === 'reply' ? result.reply : undefined
        const text = result.kind === 'refused' ? result.text : undefined
        this.#state.emit({ kind: 'registry_answer', app: result.purpose.app, reply, text })
        continue
      }
      if (this.#registration.handleResult(now, result) || this.#exchange.handleResult(now, result)) continue
      const news = this.#resolver.handleResult(now, result)
      switch (news?.kind) {
        case 'resolved':
          this.#dialler.onResolved(now, news.peer, news.isNews)
          this.#chores.afterTunnel(now, news.peer)
          break
        case 'unresolved':
          this.#dialler.onUnresolved(now, news.peer, news.code, news.text)
          this.#chores.afterTunnel(now, news.peer)
          break
        case 'name':
          this.#dialler.onName(now, news.hostname, news.answer)
          break
        case 'key':
          this.#onKey(now, news)
          break
        case 'no_key':
          this.#onNoKey(now, news.node)
          break
        default:
          break
      }
    }
  }

  #onKey(now: Instant, { node, key, hostname, networks }: Extract<ResolverNews, { kind: 'key' }>): void {
    this.#exchange.onNamed(node, key, hostname)
    this.#exchange.handleLookup(now, node, key, hostname, networks)
    this.#settleNames(now, node, key)
    this.#inbound.handleKey(now, node, key)
    const peer = this.#state.peers.get(node)
    if (peer === undefined) return
    this.#dialler.onKey(now, peer)
    this.#chores.afterTunnel(now, peer)
  }

  /** Bound names for which the registry has named this node. A key that a tunnel is proving right now has not moved. */
  #settleNames(now: Instant, node: NodeId, key: Uint8Array | undefined): void {
    const { trust, peers } = this.#state
    for (const { hostname, answer, moved } of this.#resolver.settleNames(now, node, key)) {
      const before = trust.nodeNamed(hostname)
      const stays = moved && before !== undefined && peers.get(before)?.connected === true
      if (moved && !stays) {
        if (trust.knows(key!)) this.#exchange.onMoved(now, node, key!)
        this.#state.peer(now, node)?.learn(undefined, key)
      }
      this.#dialler.onName(now, hostname, stays ? { ...answer, node: before } : answer, before)
    }
  }

  #onNoKey(now: Instant, node: NodeId): void {
    this.#settleNames(now, node, undefined)
    this.#inbound.handleKey(now, node, undefined)
    const peer = this.#state.peers.get(node)
    if (peer?.wanted !== true || peer.key !== undefined) return
    const { code, text } = this.#resolver.unknownNode(node)
    this.#dialler.failPeer(now, peer, code, text)
  }
}
