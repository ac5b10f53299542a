/**
 * Who is who and where: hostnames to node ids, node ids to keys and endpoints, asked of the registry and remembered
 * for a while. Several askers of one thing share one question.
 */
import type { ErrorCode } from '../../base/errors.ts'
import type { Endpoint, Instant, NodeId } from '../../base/types.ts'
import { parseEndpoint } from '../../base/types.ts'
import { encodePunchRequest } from '../../wire/beacon-messages.ts'
import {
  challenges,
  parseLookupReply,
  parseResolveHostnameReply,
  parseResolveReply,
} from '../../wire/registry-messages.ts'
import { mayAim, reachOf } from '../path/targets.ts'
import type { RegistryResult } from '../rendezvous/registry-client.ts'
import type { NodeState } from './state.ts'
import * as k from './constants.ts'
import type { Outbound } from './outbound.ts'
import type { Peer } from './peer.ts'
import type { Purpose } from './purposes.ts'
import type { AboutApp, NameAnswer } from './views.ts'

/** What the node has to do about an answer of the registry. */
export type ResolverNews =
  /** `isNews`: it named endpoints that were not known before. */
  | { readonly kind: 'resolved'; readonly peer: Peer; readonly isNews: boolean }
  | { readonly kind: 'unresolved'; readonly peer: Peer; readonly code: ErrorCode; readonly text: string }
  | {
      readonly kind: 'key'
      readonly node: NodeId
      readonly key: Uint8Array
      readonly hostname: string | undefined
      readonly networks: readonly number[]
    }
  | { readonly kind: 'no_key'; readonly node: NodeId }
  | { readonly kind: 'name'; readonly hostname: string; readonly answer: NameAnswer }

interface CachedName {
  readonly node: NodeId
  readonly until: Instant
}

export class Resolver {
  readonly #state: NodeState
  readonly #names = new Map<string, CachedName>()
  readonly #askedNames = new Set<string>()
  readonly #askedKeys = new Set<NodeId>()
  readonly #aboutAskers = new Map<NodeId, AboutApp[]>()
  readonly #outbound: Outbound

  constructor(state: NodeState, outbound: Outbound) {
    this.#state = state
    this.#outbound = outbound
  }

  /** The node of a hostname if it is known; else the question has been asked and `name` news will follow. */
  lookUpName(now: Instant, hostname: string): NodeId | undefined {
    const cached = this.#names.get(hostname)
    if (cached !== undefined && now < cached.until) return cached.node
    if (!this.#state.registry.connected) {
      // Better an old answer than none: the peer's key decides whether it is still the same.
      const known = cached?.node ?? this.#state.trust.nodeNamed(hostname)
      if (known !== undefined) return known
    }
    // A node that was heard just now still has its name, but for a rename: that is asked behind the dial.
    const peer =
      cached === undefined || now >= cached.until + k.NAME_STALE_MS ? undefined : this.#state.peers.get(cached.node)
    this.#askName(now, hostname)
    return peer?.connected === true && now - peer.heardAt < k.NAME_HEARD_MS ? peer.node : undefined
  }

  #askName(now: Instant, hostname: string): void {
    if (this.#askedNames.has(hostname)) return
    this.#askedNames.add(hostname)
    const requester = this.#state.nodeId
    const signature = this.#state.sign(challenges.resolveHostname(requester, hostname))
    this.#state.ask(
      now,
      { type: 'resolve_hostname', hostname, requester_id: requester, signature },
      { kind: 'resolve_hostname', hostname },
    )
  }

  /** A name whose node does not answer may have moved on: ask afresh next time. */
  forgetNamesOf(node: NodeId): void {
    for (const [hostname, cached] of this.#names) if (cached.node === node) this.#names.delete(hostname)
  }

  lookUpKey(now: Instant, node: NodeId): void {
    if (this.#askedKeys.has(node)) return
    this.#askedKeys.add(node)
    const requester = this.#state.nodeId // signed, so that our registry includes private hostnames that we may know
    const signature = this.#state.sign(challenges.lookup(requester, node))
    this.#state.ask(
      now,
      { type: 'lookup', node_id: node, requester_id: requester, signature },
      { kind: 'lookup', node },
    )
  }

  /** What the registry knows about a node: answered by an `about` event. */
  askAbout(now: Instant, node: NodeId, app: AboutApp): void {
    const askers = this.#aboutAskers.get(node)
    if (askers === undefined) this.#aboutAskers.set(node, [app])
    else askers.push(app)
    this.lookUpKey(now, node)
  }

  /** Which node a hostname most likely is, while the question is open: from the last answer, or from trust. */
  guessName(hostname: string): NodeId | undefined {
    return this.#names.get(hostname)?.node ?? this.#state.trust.nodeNamed(hostname)
  }

  /** Has the beacon open the NATs between us and the peer. */
  knock(now: Instant, peer: Peer): void {
    if (this.#state.options.beacon === undefined || now - peer.asked.knockedAt < k.KNOCK_MS) return
    peer.asked.knockedAt = now
    this.#outbound.sendBeacon(encodePunchRequest(this.#state.nodeId, peer.node))
  }

  /** Ask where a peer is, for its key if that is unknown, and, if it is wanted, the beacon to open the NATs between us. */
  locate(now: Instant, peer: Peer): void {
    if (peer.asked.resolving) return
    peer.asked.resolving = true
    peer.asked.resolvedAt = now
    const requester = this.#state.nodeId
    if (peer.key === undefined || peer.hostname === undefined) this.lookUpKey(now, peer.node)
    const signature = this.#state.sign(challenges.resolve(requester, peer.node))
    this.#state.ask(
      now,
      { type: 'resolve', node_id: peer.node, requester_id: requester, signature },
      { kind: 'resolve', node: peer.node },
    )
  }

  /** The registry does not know the node: one that we trust has been silent for minutes, any other does not exist. */
  unknownNode(node: NodeId): { readonly code: ErrorCode; readonly text: string } {
    if (this.#state.trust.isTrusted(node))
      return { code: 'PEER_UNREACHABLE', text: 'the registry has not heard of the node for minutes: it is not running' }
    return { code: 'NOT_FOUND', text: 'the registry knows no such node' }
  }

  /** @returns undefined when the result is not this part's business. */
  handleResult(now: Instant, result: RegistryResult<Purpose>): ResolverNews | undefined {
    switch (result.purpose.kind) {
      case 'resolve':
        return this.#onResolve(now, result.purpose.node, result)
      case 'lookup':
        return this.#onLookup(result.purpose.node, result)
      case 'resolve_hostname':
        return this.#onName(now, result.purpose.hostname, result)
      default:
        return undefined
    }
  }

  #onResolve(now: Instant, node: NodeId, result: RegistryResult<Purpose>): ResolverNews | undefined {
    const peer = this.#state.peers.get(node)
    if (peer === undefined) return undefined
    peer.asked.resolving = false
    if (result.kind === 'unreachable') {
      return { kind: 'unresolved', peer, code: 'REGISTRY_UNREACHABLE', text: 'the registry does not answer' }
    }
    const reply = result.kind === 'reply' ? parseResolveReply(result.reply) : undefined
    if (reply === undefined || typeof reply === 'string') {
      const unknown = result.kind === 'refused' && result.text.includes('not found')
      return unknown
        ? { kind: 'unresolved', peer, ...this.unknownNode(node) }
        : {
            kind: 'unresolved',
            peer,
            code: 'NOT_TRUSTED',
            text: 'the registry withholds where this node is: it does not trust us',
          }
    }
    const before = peer.paths.named
    for (const text of reply.lanEndpoints) {
      const lan = parseEndpoint(text)
      if (lan !== undefined && this.#onOurLan(lan)) peer.paths.addCandidate(lan, 'lan')
      // Global IPv6 addresses travel in the same list: a Go peer looks at its IPv4 entries only (tunnel.md §6.2).
      if (
        lan?.address.includes(':') === true &&
        this.#state.network.worldEndpoints.length > 0 &&
        reachOf(lan.address) === 'world'
      )
        peer.paths.addCandidate(lan, 'direct')
    }
    const direct = reply.endpoint === undefined ? undefined : parseEndpoint(reply.endpoint)
    peer.search.relayOnly = reply.relayOnly
    if (reply.extended) peer.markExtended()
    if (direct !== undefined && !reply.relayOnly) {
      if (this.#mayAim(direct)) peer.paths.addCandidate(direct, 'direct')
      else this.#state.count('endpoint_refused')
    }
    if (peer.wanted || peer.connected || peer.tunnel.underway) this.knock(now, peer)
    return { kind: 'resolved', peer, isNews: peer.paths.named > before }
  }

  /** Not nearer to us than the beacon, which is beside the registry, unless we are there ourselves. */
  #mayAim(endpoint: Endpoint): boolean {
    const { beacon, localEndpoint } = this.#state.options
    const source = beacon === undefined || reachOf(localEndpoint.address) === 'host' ? localEndpoint : beacon
    return mayAim(endpoint.address, source.address) || this.#onOurLan(endpoint)
  }

  #onOurLan(lan: Endpoint): boolean {
    return this.#state.network.lanEndpoints.some((own) => isSameSubnet(own.address, lan.address))
  }

  #onLookup(node: NodeId, result: RegistryResult<Purpose>): ResolverNews {
    this.#askedKeys.delete(node)
    const reply = result.kind === 'reply' ? parseLookupReply(result.reply) : undefined
    const about = typeof reply === 'object' ? reply : undefined
    for (const app of this.#aboutAskers.get(node) ?? [])
      this.#state.emit({ kind: 'about', app, about, isReachable: result.kind !== 'unreachable' })
    this.#aboutAskers.delete(node)
    if (reply === undefined || typeof reply === 'string') return { kind: 'no_key', node }
    const peer = this.#state.peers.get(node)
    const { hostname, publicKey } = reply
    this.#state.trust.noteHostname(node, hostname)
    if (peer !== undefined) {
      peer.learn(hostname, publicKey)
    }
    return { kind: 'key', node, key: publicKey, hostname, networks: reply.networks }
  }

  #onName(now: Instant, hostname: string, result: RegistryResult<Purpose>): ResolverNews {
    this.#askedNames.delete(hostname)
    return { kind: 'name', hostname, answer: this.#nameAnswer(now, hostname, result) }
  }

  #nameAnswer(now: Instant, hostname: string, result: RegistryResult<Purpose>): NameAnswer {
    if (result.kind === 'unreachable') {
      const node = this.#names.get(hostname)?.node ?? this.#state.trust.nodeNamed(hostname)
      if (node !== undefined) return { node, code: undefined, text: '' }
      return { node: undefined, code: 'REGISTRY_UNREACHABLE', text: 'the registry does not answer' }
    }
    const reply = result.kind === 'reply' ? parseResolveHostnameReply(result.reply) : undefined
    if (reply === undefined || typeof reply === 'string') {
      this.#names.delete(hostname)
      return { node: undefined, code: 'NOT_FOUND', text: `no node named ${hostname} is visible to us` }
    }
    if (this.#names.size >= k.MAX_NAMES) this.#names.delete(this.#names.keys().next().value!)
    this.#names.set(hostname, { node: reply.nodeId, until: now + k.NAME_CACHE_MS })
    this.#state.trust.noteHostname(reply.nodeId, hostname)
    const peer = this.#state.peers.get(reply.nodeId)
    peer?.learn(hostname, undefined)
    return { node: reply.nodeId, code: undefined, text: '' }
  }
}

/** tunnel.md §6.2: both IPv4 and in one /24. */
export function isSameSubnet(a: string, b: string): boolean {
  return subnet(a) !== undefined && subnet(a) === subnet(b)
}

function subnet(address: string): string | undefined {
  const match = /^(\d+\.\d+\.\d+)\.\d+$/.exec(address)
  return match?.[1]
}
