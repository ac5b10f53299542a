/**
 * The beacon without its socket: reports nodes' endpoints, makes two of them punch at the same time, and relays
 * (tunnel.md §7). One `handle` call per datagram; output goes through `send` before it returns. Nothing in this
 * protocol is authenticated, so the rules here bound what a liar can do: an id is not taken over while its node is
 * active, no one relays under an id that is active elsewhere, and commands are rate-limited.
 */
import type { Endpoint, NodeId } from '../../base/types.ts'
import type { BeaconFault, BeaconMessage } from '../../wire/beacon-messages.ts'
import { formatEndpoint, isLoopback, sameEndpoint } from '../../base/types.ts'
import {
  decodeBeaconMessage,
  encodeDiscoverReply,
  encodeMailNotice,
  encodePunchCommand,
  encodeSync,
  RELAY_DELIVER_HEADER_BYTES,
  RELAY_HEADER_BYTES,
  writeRelayDeliverHeader,
} from '../../wire/beacon-messages.ts'
import { sourceNet } from '../../wire/ip-address.ts'
import { TokenBuckets } from '../token-buckets.ts'
import {
  ENTRY_LIVES_MS,
  MAX_ENTRIES,
  MAX_SYNC_IDS,
  MAX_UNPROVEN_PER_SOURCE,
  NOTICE_PAUSE_MS,
  PUNCH_BURST,
  PUNCHES_PER_MINUTE,
  TAKEOVER_SILENCE_MS,
  UNKNOWN_TAKEOVER_SILENCE_MS,
} from './constants.ts'
import type { Link } from './links.ts'
import { Links } from './links.ts'
import type { Send } from './probes.ts'
import { answerQuestion } from './probes.ts'

export interface BeaconOptions {
  readonly beaconId: number // 0: alone
  readonly peers: readonly Endpoint[] // other beacons, the only ones believed in sync messages
  readonly knowledge: NodeKnowledge | undefined // absent: all node ids are alike
}

/** What a registry in the same process knows, but a beacon alone does not. */
export interface NodeKnowledge {
  /** Is a node with this id registered now? */
  knows(nodeId: NodeId): boolean
  /** Did the registry see the node at this IP address, or did the node announce it with a signature? */
  vouchesFor(nodeId: NodeId, address: string): boolean
  /** May `requester`, asking from `address`, know where `target` is? */
  mayPunch(requester: NodeId, target: NodeId, address: string): boolean
}

export class Beacon {
  /** Port of the second socket, 0 for none; its datagrams go to `handleAtSecond` (probes.ts). */
  secondPort = 0
  readonly counters: BeaconCounters = { ...NO_COUNTERS }
  readonly #beaconId: number
  readonly #peers: ReadonlyMap<string, Endpoint>
  readonly #entries = new Map<NodeId, Entry>()
  readonly #unproven = new Map<NodeId, string>() // entries not confirmed by a registry → the source that claimed them; oldest first
  readonly #unprovenPerSource = new Map<string, number>()
  readonly #links = new Links()
  readonly #remote = new Map<NodeId, Endpoint>() // ids other beacons announced → the beacon
  readonly #knowledge: NodeKnowledge | undefined
  readonly #punches = new TokenBuckets(PUNCH_BURST, PUNCHES_PER_MINUTE)

  constructor(options: Partial<BeaconOptions> = {}) {
    this.#beaconId = options.beaconId ?? 0
    this.#knowledge = options.knowledge
    this.#peers = new Map((options.peers ?? []).map((peer) => [formatEndpoint(peer), peer]))
  }

  get entryCount(): number {
    let both = 0
    for (const node of this.#links.nodes()) if (this.#entries.has(node)) both++
    return this.#entries.size + this.#links.size - both
  }
  get linkCount(): number {
    return this.#links.size
  }

  /** The node has proven its id on this connection. */
  attach(link: Link): void {
    this.#links.add(link)
    this.#remote.delete(link.node)
  }

  detach(link: Link): void {
    this.#links.remove(link)
  }

  /**
   * Never throws, whatever the bytes are.
   * @param now Ms; only differences mean anything.
   * @param bytes Takes ownership: a relayed frame is sent from the same memory.
   * @param from A literal address in canonical text.
   */
  handle(now: number, bytes: Uint8Array, from: Endpoint, send: Send): void {
    const message = decodeBeaconMessage(bytes)
    if (typeof message === 'string') {
      this.counters[message]++
      return
    }
    switch (message.kind) {
      case 'discover':
        return this.#handleDiscover(now, message, from, send)
      case 'punch_request':
        return this.#handlePunchRequest(now, message, from, send)
      case 'relay':
        return this.#handleRelay(now, message, bytes, from, send)
      case 'sync':
        return this.#handleSync(now, message.nodeIds, from)
      default:
        this.counters.notForBeacons++
    }
  }

  /**
   * A message of a node that has proven its id. It relays in its own name only; a question for its address has no answer
   * here, and no one can punch towards it. Never throws. @param bytes Takes ownership.
   */
  handleFromLink(now: number, bytes: Uint8Array, link: Link, send: Send): void {
    const message = decodeBeaconMessage(bytes)
    if (typeof message === 'string') this.counters[message]++
    else if (message.kind === 'discover') this.counters.discovers++
    else if (message.kind !== 'relay') this.counters.notForBeacons++
    else if (message.sender !== link.node) this.counters.relaysForged++
    else this.#forward(now, message, bytes, send, false)
  }

  /** Something waits for the node at the registry. A notice at most every two seconds: a poll returns everything. */
  notifyOfMail(now: number, node: NodeId, send: Send): void {
    const entry = this.#entries.get(node)
    const link = this.#links.of(node)
    if (link !== undefined) return void link.deliver(encodeMailNotice())
    if (entry === undefined || !isFresh(now, entry) || now - (entry.noticedAt ?? -Infinity) < NOTICE_PAUSE_MS) return
    entry.noticedAt = now
    send(encodeMailNotice(), entry.endpoint)
  }

  /** Forgets nodes not heard from for three minutes; once a minute is enough, since stale entries are not used. */
  sweep(now: number): void {
    for (const [nodeId, entry] of this.#entries) if (!isFresh(now, entry)) this.#forget(nodeId)
    this.#punches.sweep(now)
  }

  /** To every peer: the ids heard here; every 10 seconds. More than one datagram holds are left out. */
  announce(now: number, send: Send): void {
    if (this.#peers.size === 0) return
    const ids: NodeId[] = []
    for (const [nodeId, entry] of this.#entries) {
      if (ids.length === MAX_SYNC_IDS) break
      if (isFresh(now, entry) && this.#links.of(nodeId) === undefined) ids.push(nodeId)
    }
    for (const nodeId of this.#links.nodes()) if (ids.length < MAX_SYNC_IDS) ids.push(nodeId)
    const message = encodeSync(this.#beaconId, ids)
    for (const peer of this.#peers.values()) send(message, peer)
  }

  /** The reply only says where the asker is, so it is sent even if the asker does not get the id. */
  #handleDiscover(now: number, { node, question }: Message<'discover'>, from: Endpoint, send: Send): void {
    this.counters.discovers++
    if (node !== 0) this.#hear(now, node, from)
    if (question === undefined) send(encodeDiscoverReply(from), from)
    else answerQuestion(question, from, this.secondPort, send)
  }

  #handlePunchRequest(now: number, message: Message<'punch_request'>, from: Endpoint, send: Send): void {
    if (!this.#punches.take(now, from.address)) {
      this.counters.punchesLimited++
      return
    }
    if (message.requester === 0 || !this.#mayPunch(now, message, from)) return
    const target = this.#links.of(message.target) === undefined ? this.#fresh(now, message.target) : undefined
    if (target === undefined) {
      this.counters.punchesUnknown++
      return
    }
    this.counters.punches++
    send(encodePunchCommand(target.endpoint), from)
    send(encodePunchCommand(from), target.endpoint)
  }

  /** With a registry at hand: a requester known at this very address, and a target it may resolve. */
  #mayPunch(now: number, { requester, target }: Message<'punch_request'>, from: Endpoint): boolean {
    if (this.#knowledge === undefined) return this.#hear(now, requester, from)
    const isKnown = sameEndpoint(this.#fresh(now, requester)?.endpoint, from)
    if (!isKnown || !this.#knowledge.mayPunch(requester, target, from.address)) {
      this.counters.punchesRefused++
      return false
    }
    return this.#hear(now, requester, from)
  }

  #handleRelay(now: number, message: Message<'relay'>, bytes: Uint8Array, from: Endpoint, send: Send): void {
    if (!this.#mayRelayAs(now, message.sender, from)) {
      this.counters.relaysForged++
      return
    }
    this.#forward(now, message, bytes, send, this.#isPeer(from))
  }

  #forward(now: number, message: Message<'relay'>, bytes: Uint8Array, send: Send, isFromBeacon: boolean): void {
    const link = this.#links.of(message.destination)
    const destination = this.#fresh(now, message.destination)
    const elsewhere = destination === undefined ? this.#remote.get(message.destination) : undefined
    if (link !== undefined || destination !== undefined) {
      // The deliver header is shorter: writing it over the end of the relay header avoids copying the frame.
      const at = RELAY_HEADER_BYTES - RELAY_DELIVER_HEADER_BYTES
      writeRelayDeliverHeader(bytes, at, message.sender)
      const frame = bytes.subarray(at)
      if (link !== undefined && !link.deliver(frame)) {
        this.counters.relaysLinkFull++
        return
      }
      if (link === undefined) send(frame, destination!.endpoint, 'relay')
      this.counters.relayed++
      this.counters.relayedBytes += message.frame.length
    } else if (elsewhere !== undefined && !isFromBeacon) {
      // never from beacon to beacon to beacon: no loops
      this.counters.forwarded++
      send(bytes, elsewhere, 'relay')
    } else {
      this.counters.relaysUnknown++
    }
  }

  #handleSync(now: number, nodeIds: readonly NodeId[], from: Endpoint): void {
    const peer = this.#peers.get(formatEndpoint(from))
    if (peer === undefined) {
      this.counters.syncsIgnored++
      return
    }
    this.counters.syncs++
    for (const [nodeId, beacon] of this.#remote) if (beacon === peer) this.#remote.delete(nodeId)
    for (const nodeId of nodeIds) {
      if (nodeId === 0 || this.#fresh(now, nodeId) !== undefined || this.#links.of(nodeId) !== undefined) continue
      if (this.#remote.size < MAX_ENTRIES) this.#remote.set(nodeId, peer)
    }
  }

  /** A sender heard from this address, or seen there by the registry; other beacons vouch for their own. */
  #mayRelayAs(now: number, sender: NodeId, from: Endpoint): boolean {
    const entry = this.#fresh(now, sender)
    if (this.#isPeer(from)) return true
    if (entry === undefined)
      return this.#knowledge === undefined || (this.#isProven(sender, from) && this.#hear(now, sender, from))
    if (!sameEndpoint(entry.endpoint, from)) return false
    entry.heardAt = now
    return true
  }

  /**
   * Records that `nodeId` is at `from`. A node that restarts on a new port keeps sending discover and gets its entry
   * once the old address has been silent for a moment; until then, false.
   */
  #hear(now: number, nodeId: NodeId, from: Endpoint): boolean {
    const entry = this.#fresh(now, nodeId)
    if (entry === undefined && !this.#admits(nodeId, from)) return false
    if (entry !== undefined && !sameEndpoint(entry.endpoint, from)) {
      if (now - entry.heardAt < this.#silenceMs(nodeId, entry.endpoint, from)) {
        this.counters.takeoversRefused++
        return false
      }
      this.counters.takeovers++
    }
    this.#note(now, nodeId, from)
    this.#remote.delete(nodeId)
    return true
  }

  /**
   * A node with a proven connection may return to UDP before that ends; no one else gets its place meanwhile. An
   * unregistered id gets no entry; an unconfirmed source gets no more entries than its share.
   */
  #admits(nodeId: NodeId, from: Endpoint): boolean {
    const link = this.#links.of(nodeId)
    if (link !== undefined && link.address !== from.address && !this.#isProven(nodeId, from)) {
      this.counters.takeoversRefused++
      return false
    }
    if (this.#knowledge?.knows(nodeId) === false) {
      this.counters.entriesUnknown++
      return false
    }
    const isProven = this.#isProven(nodeId, from)
    const share = this.#unprovenPerSource.get(sourceNet(from.address)) ?? 0
    const hasShare = isProven || share < MAX_UNPROVEN_PER_SOURCE || isLoopback(from.address)
    const [oldest] = this.#unproven.keys()
    const isFull = this.#entries.size >= MAX_ENTRIES && !this.#entries.has(nodeId)
    if (!hasShare || (isFull && (!isProven || oldest === undefined))) {
      this.counters.entriesRefused++
      return false
    }
    if (isFull) this.#forget(oldest!)
    return true
  }

  #note(now: number, nodeId: NodeId, { address, port }: Endpoint): void {
    this.#forget(nodeId)
    this.#entries.set(nodeId, { endpoint: { address, port }, heardAt: now })
    if (this.#isProven(nodeId, { address, port })) return
    const source = sourceNet(address)
    this.#unproven.set(nodeId, source)
    this.#unprovenPerSource.set(source, (this.#unprovenPerSource.get(source) ?? 0) + 1)
  }

  #forget(nodeId: NodeId): void {
    this.#entries.delete(nodeId)
    const source = this.#unproven.get(nodeId)
    if (source === undefined) return
    this.#unproven.delete(nodeId)
    const left = (this.#unprovenPerSource.get(source) ?? 1) - 1
    if (left === 0) this.#unprovenPerSource.delete(source)
    else this.#unprovenPerSource.set(source, left)
  }

  /** Without a registry, a beacon cannot recognise a liar. */
  #isProven(nodeId: NodeId, { address }: Endpoint): boolean {
    return this.#knowledge?.vouchesFor(nodeId, address) === true
  }

  /**
   * How long the old address must have been silent. One confirmed by the registry takes precedence over one that is
   * not.
   */
  #silenceMs(nodeId: NodeId, old: Endpoint, next: Endpoint): number {
    if (this.#knowledge === undefined || old.address === next.address) return TAKEOVER_SILENCE_MS
    const [isOldKnown, isNextKnown] = [
      this.#knowledge.vouchesFor(nodeId, old.address),
      this.#knowledge.vouchesFor(nodeId, next.address),
    ]
    if (isOldKnown === isNextKnown) return TAKEOVER_SILENCE_MS
    return isNextKnown ? 0 : UNKNOWN_TAKEOVER_SILENCE_MS
  }

  #fresh(now: number, nodeId: NodeId): Entry | undefined {
    const entry = this.#entries.get(nodeId)
    return entry !== undefined && isFresh(now, entry) ? entry : undefined
  }

  #isPeer(from: Endpoint): boolean {
    return this.#peers.size > 0 && this.#peers.has(formatEndpoint(from))
  }
}

/** Since start. The three faults are those of the decoder. */
export type BeaconCounters = Record<BeaconFault | (typeof COUNTED)[number], number>

type Message<Kind extends BeaconMessage['kind']> = Extract<BeaconMessage, { kind: Kind }>

interface Entry {
  readonly endpoint: Endpoint
  heardAt: number
  noticedAt?: number // when the last notice was sent
}

function isFresh(now: number, entry: Entry): boolean {
  return now - entry.heardAt <= ENTRY_LIVES_MS
}

const COUNTED = [
  'discovers',
  'entriesRefused',
  'entriesUnknown',
  'takeovers',
  'takeoversRefused',
  'punches',
  'punchesUnknown',
  'punchesRefused',
  'punchesLimited',
  'relayed',
  'relayedBytes',
  'relaysUnknown',
  'relaysForged',
  'relaysLinkFull',
  'forwarded',
  'syncs',
  'syncsIgnored',
  'notForBeacons',
] as const

const NO_COUNTERS = Object.fromEntries(
  [...COUNTED, 'too_short', 'bad_address', 'unknown_type'].map((name) => [name, 0]),
) as BeaconCounters
