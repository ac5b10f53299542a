/**
 * Resolves hostnames to node ids, and node ids to keys and endpoints, by asking the registry; answers are cached for a
 * while. Concurrent requests for the same thing share one query.
 */
import { toBase64 } from '../../base/bytes.ts'
import type { ErrorCode } from '../../base/errors.ts'
import type { Endpoint, Instant, NodeId } from '../../base/types.ts'
import { fingerprintOf, fingerprintOfText } from '../../crypto/fingerprint.ts'
import { encodePunchRequest } from '../../wire/beacon-messages.ts'
import { literalEndpoint } from '../../wire/ip-address.ts'
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
import type { AboutApp, ContestedName, NameAnswer, TrustView } from './views.ts'

/** What the node must do about an answer of the registry. */
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

/** What the registry's current answer for a bound name means. */
interface Verdict {
  readonly contested: ContestedName | undefined // undefined: it is the right key, or unknown
  readonly at: Instant
}

export class Resolver {
  readonly #state: NodeState
  readonly #names = new Map<string, CachedName>()
  readonly #askedNames = new Set<string>()
  /** Bound names, and the node that the registry names for each: its key has been asked for. */
  readonly #unproven = new Map<string, NodeId>()
  readonly #verdicts = new Map<string, Verdict>() // of bound names
  readonly #askedKeys = new Set<NodeId>()
  readonly #aboutAskers = new Map<NodeId, AboutApp[]>()
  readonly #outbound: Outbound

  constructor(state: NodeState, outbound: Outbound) {
    this.#state = state
    this.#outbound = outbound
  }

  /**
   * The node of a hostname if known; otherwise a query was sent, and `name` news will follow. A name that is bound to a
   * key means the node that holds this key, even while the registry is away.
   */
  lookUpName(now: Instant, hostname: string): NameAnswer | undefined {
    const { trust } = this.#state
    const meaning = trust.meaningOf(hostname)
    if (meaning?.kind === 'ambiguous') return ambiguous(hostname, meaning.keys)
    const bound = trust.nodeNamed(hostname)
    if (bound !== undefined) return found(bound)
    const node = meaning === undefined ? this.#cachedNode(now, hostname) : undefined
    if (node !== undefined) return found(node)
    this.#askName(now, hostname)
    return undefined
  }

  /** Of a name that is bound to no key: the registry's recent or likely answer. */
  #cachedNode(now: Instant, hostname: string): NodeId | undefined {
    const cached = this.#names.get(hostname)
    if (cached === undefined || !this.#state.trust.mayBeCalled(cached.node, hostname)) return undefined
    // Without a registry, an old answer is better than none.
    if (now < cached.until || !this.#state.registry.connected) return cached.node
    // A node heard recently still has its name unless it was renamed, which is checked after the dial.
    const peer = now >= cached.until + k.NAME_STALE_MS ? undefined : this.#state.peers.get(cached.node)
    if (peer?.connected !== true || now - peer.heardAt >= k.NAME_HEARD_MS) return undefined
    this.#askName(now, hostname)
    return peer.node
  }

  /** The peer with this bound name is not connected: does the registry still give the name to its key? `name` news follow. */
  checkName(now: Instant, hostname: string): void {
    const verdict = this.#verdicts.get(hostname)
    if (verdict !== undefined && now - verdict.at < k.NAME_CACHE_MS) return
    if (this.#state.registry.connected) this.#askName(now, hostname)
  }

  /** A question about this name is open. */
  isChecking(hostname: string): boolean {
    return this.#askedNames.has(hostname) || this.#unproven.has(hostname)
  }

  /** The registry gave this bound name to another key when it was asked last. */
  contested(hostname: string): ContestedName | undefined {
    const contested = this.#verdicts.get(hostname)?.contested
    const meaning = contested === undefined ? undefined : this.#state.trust.meaningOf(hostname)
    return meaning?.kind === 'key' && fingerprintOfText(meaning.key) === contested?.fingerprint ? contested : undefined
  }
  get allContested(): readonly ContestedName[] {
    return [...this.#verdicts.keys()].flatMap((hostname) => this.contested(hostname) ?? [])
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

  /** A name whose node does not answer may have moved: ask again next time. */
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

  /** Which node an unbound hostname most likely is, while the question is open. */
  guessName(hostname: string): NodeId | undefined {
    return this.#names.get(hostname)?.node
  }

  /** Makes the beacon open the NATs between us and the peer. */
  knock(now: Instant, peer: Peer): void {
    if (this.#state.options.beacon === undefined || now - peer.asked.knockedAt < k.KNOCK_MS) return
    peer.asked.knockedAt = now
    const { punchRequests, beacon, nodeId } = this.#state
    if (punchRequests.ask(now, peer.node, peer.wanted, beacon.isForeign))
      this.#outbound.sendBeacon(encodePunchRequest(nodeId, peer.node))
  }

  /**
   * Asks for a peer's address and, if unknown, its key; if it is wanted, also asks the beacon to open the NATs between
   * us.
   */
  locate(now: Instant, peer: Peer): void {
    if (peer.asked.resolving) return
    peer.asked.resolving = true
    peer.asked.resolvedAt = now
    const requester = this.#state.nodeId
    if (peer.key === undefined || peer.claim === undefined) this.lookUpKey(now, peer.node)
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
      return {
        code: 'PEER_UNREACHABLE',
        text: 'the registry has not heard from the node for minutes: it is not running',
      }
    return { code: 'NOT_FOUND', text: 'the registry does not know this node' }
  }

  /** @returns undefined if the result is for another part. */
  handleResult(now: Instant, result: RegistryResult<Purpose>): ResolverNews | undefined {
    const { purpose } = result
    // Programs and pages on this machine can use up our share of questions: that says nothing about the peer.
    const answered: typeof result =
      result.kind === 'refused' && result.text.startsWith('rate limited') ? { kind: 'unreachable', purpose } : result
    switch (purpose.kind) {
      case 'resolve':
        return this.#onResolve(now, purpose.node, answered)
      case 'lookup':
        return this.#onLookup(purpose.node, answered)
      case 'resolve_hostname':
        return this.#onName(now, purpose.hostname, answered)
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
            text: 'the registry does not reveal where this node is: it does not trust us',
          }
    }
    const before = peer.paths.named
    for (const text of reply.lanEndpoints) {
      const lan = literalEndpoint(text)
      if (lan !== undefined && this.#onOurLan(lan)) peer.paths.addCandidate(lan, 'lan')
      // Global IPv6 addresses travel in the same list: a Go peer considers only the IPv4 entries (tunnel.md §6.2).
      if (
        lan?.address.includes(':') === true &&
        this.#state.network.worldEndpoints.length > 0 &&
        reachOf(lan.address) === 'world'
      )
        peer.paths.addCandidate(lan, 'direct')
    }
    const direct = reply.endpoint === undefined ? undefined : literalEndpoint(reply.endpoint)
    peer.search.relayOnly = reply.relayOnly
    if (reply.extended) peer.markExtended()
    if (direct !== undefined && !reply.relayOnly) {
      if (this.#mayAim(direct)) peer.paths.addCandidate(direct, 'direct')
      else this.#state.count('endpoint_refused')
    }
    if (peer.wanted || peer.connected || peer.tunnel.underway) this.knock(now, peer)
    return { kind: 'resolved', peer, isNews: peer.paths.named > before }
  }

  /** Not closer to us than the beacon, which runs next to the registry, unless we are on that network ourselves. */
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
    peer?.learn(hostname, publicKey)
    peer?.make.onVersion(reply.version)
    return { kind: 'key', node, key: publicKey, hostname, networks: reply.networks }
  }

  #onName(now: Instant, hostname: string, result: RegistryResult<Purpose>): ResolverNews | undefined {
    this.#askedNames.delete(hostname)
    const answer = this.#nameAnswer(now, hostname, result)
    if (answer.code === 'NOT_FOUND') this.#verdicts.delete(hostname)
    if (answer.node === undefined || this.#state.trust.meaningOf(hostname)?.kind !== 'key')
      return { kind: 'name', hostname, answer }
    this.#unproven.set(hostname, answer.node)
    this.lookUpKey(now, answer.node)
    return undefined
  }

  #nameAnswer(now: Instant, hostname: string, result: RegistryResult<Purpose>): NameAnswer {
    if (result.kind === 'unreachable') {
      const node = this.#names.get(hostname)?.node
      if (node !== undefined && this.#state.trust.meaningOf(hostname) === undefined) return found(node)
      return { node: undefined, code: 'REGISTRY_UNREACHABLE', text: 'the registry does not answer' }
    }
    const reply = result.kind === 'reply' ? parseResolveHostnameReply(result.reply) : undefined
    if (reply === undefined || typeof reply === 'string') {
      this.#names.delete(hostname)
      return { node: undefined, code: 'NOT_FOUND', text: `no node named ${hostname} is visible to us` }
    }
    const { nodeId } = reply
    if (this.#state.trust.meaningOf(hostname) !== undefined) return found(nodeId)
    if (!this.#state.trust.mayBeCalled(nodeId, hostname)) return calledOtherwise(hostname, nodeId, this.#state.trust)
    if (this.#names.size >= k.MAX_NAMES) this.#names.delete(this.#names.keys().next().value!)
    this.#names.set(hostname, { node: nodeId, until: now + k.NAME_CACHE_MS })
    this.#state.peers.get(nodeId)?.learn(hostname, undefined)
    return found(nodeId)
  }

  /**
   * The key of a node is now known, or, without one, never will be: the consequence for bound names for which the
   * registry has named this node. `moved`: it is the right key, but the node has a new id.
   */
  settleNames(now: Instant, node: NodeId, key: Uint8Array | undefined): readonly SettledName[] {
    const { trust } = this.#state
    const settled: SettledName[] = []
    for (const [hostname, unproven] of this.#unproven) {
      if (unproven !== node) continue
      this.#unproven.delete(hostname)
      const meaning = trust.meaningOf(hostname)
      if (meaning?.kind !== 'key') {
        settled.push({ hostname, answer: TRUST_ENDED, moved: false })
        continue
      }
      const isRight = key !== undefined && meaning.key === toBase64(key)
      const contested = key === undefined || isRight ? undefined : contestedName(hostname, meaning.key, node, key)
      const isNews = contested !== undefined && this.#verdicts.get(hostname)?.contested?.node !== node
      if (this.#verdicts.size >= k.MAX_NAMES) this.#verdicts.delete(this.#verdicts.keys().next().value!)
      this.#verdicts.set(hostname, { contested, at: now })
      if (isNews) this.#state.emit({ kind: 'name_contested', ...contested })
      const answer = isRight ? found(node) : contested === undefined ? NO_KEY : keyChanged(contested)
      settled.push({ hostname, answer, moved: isRight && trust.nodeNamed(hostname) !== node })
    }
    return settled
  }
}

/** A bound name, after comparing the key of the node that the registry names for it. */
export interface SettledName {
  readonly hostname: string
  readonly answer: NameAnswer
  readonly moved: boolean
}

function found(node: NodeId): NameAnswer {
  return { node, code: undefined, text: '' }
}

/** Why a dial by this name fails. */
export function keyChanged({ hostname, fingerprint, node, otherFingerprint }: ContestedName): NameAnswer {
  return {
    node: undefined,
    code: 'KEY_CHANGED',
    text: `${hostname} means the key ${fingerprint} here, but the registry gives this name to node ${node} with the key ${otherFingerprint}; nothing was sent to it`,
  }
}

function ambiguous(hostname: string, keys: readonly string[]): NameAnswer {
  const fingerprints = keys.map((key) => fingerprintOfText(key) ?? key).join(' and ')
  return {
    node: undefined,
    code: 'KEY_CHANGED',
    text: `several trusted keys have the name ${hostname}: ${fingerprints}. It names none of them until the trust of the others is revoked`,
  }
}

function calledOtherwise(hostname: string, node: NodeId, trust: TrustView): NameAnswer {
  const name = trust.hostnameOf(node)
  const standing = name === undefined ? 'is trusted for a ticket only and has no name' : `is trusted as ${name}`
  const text = `no peer is known as ${hostname}: the registry gives this name to node ${node}, which ${standing} here`
  return { node: undefined, code: 'NOT_FOUND', text }
}

function contestedName(hostname: string, bound: string, node: NodeId, key: Uint8Array): ContestedName {
  return { hostname, fingerprint: fingerprintOfText(bound)!, node, otherFingerprint: fingerprintOf(key) }
}

const NO_KEY: NameAnswer = {
  node: undefined,
  code: 'NOT_FOUND',
  text: 'the registry gives this name to a node whose key it does not know',
}

const TRUST_ENDED: NameAnswer = {
  node: undefined,
  code: 'NOT_TRUSTED',
  text: 'trust of this node ended while it was being looked up',
}

/** tunnel.md §6.2: both IPv4 and in one /24. */
export function isSameSubnet(a: string, b: string): boolean {
  return subnet(a) !== undefined && subnet(a) === subnet(b)
}

function subnet(address: string): string | undefined {
  const match = /^(\d+\.\d+\.\d+)\.\d+$/.exec(address)
  return match?.[1]
}
