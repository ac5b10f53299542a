/**
 * Our record of one remote node: its key, its tunnel, the paths to it, its streams, and whether it is still there. It
 * decides what to send to check that; outbound.ts seals and sends.
 */
import { equalBytes } from '../../base/bytes.ts'
import { Ring } from '../../base/ring.ts'
import { TokenBucket } from '../../base/token-bucket.ts'
import type { Instant, NodeId } from '../../base/types.ts'
import type { Timed } from '../../base/deadline-heap.ts'
import type { Machine } from '../machine.ts'
import type { Path } from '../path/path.ts'
import type { PathSelector } from '../path/selector.ts'
import type { PlainRules } from '../stream/lifecycle.ts'
import type { Stream } from '../stream/stream.ts'
import type { TunnelKeys } from '../tunnel/tunnel.ts'
import { Tunnel } from '../tunnel/tunnel.ts'
import * as k from './constants.ts'
import { FrameOrder } from './frame-order.ts'
import type { Dial } from './dial.ts'
import { Liveness } from './liveness.ts'
import { PeerMake } from './make.ts'
import { PeerSearch } from './search.ts'
import { SynPacer } from './syn-pacer.ts'

/** A ready-made packet that waits for its turn: ping, pong, RST, datagram. */
export interface ControlPacket {
  readonly packet: Uint8Array
  readonly path: Path | undefined // undefined: the current one
  readonly underCandidate: boolean // sealed under the announced key, to have it confirmed
  readonly expectsAnswer: boolean
}

/**
 * Invariants: a connected peer has keys (`tunnel.ready`); it is never wanted and connected at the same time; `key`,
 * once known, changes only by a decision about trust.
 */
export class Peer implements Machine, Timed {
  readonly node: NodeId
  heapIndex = -1
  heapKey = 0
  tunnel: Tunnel
  paths: PathSelector
  readonly liveness = new Liveness()
  readonly syns = new SynPacer()
  /** make.ts: what it is, as far as it matters to streams with it; they share this. */
  readonly rules: PlainRules = { isToday: false }
  readonly order = new FrameOrder()
  readonly make = new PeerMake(this.rules)
  /** inbound.ts: the streams that it may open. */
  readonly opened = new TokenBucket(k.SYN_FROM_PEER_PER_SECOND, k.SYN_FROM_PEER_BURST)

  /** path-finder.ts: the search for better paths. A new one for each tunnel. */
  search = new PeerSearch()
  /** dialler.ts: until then it may dial our data exchange, trusted or not: we have dialled its own. */
  repliesUntil: Instant = -Infinity
  /** resolver.ts: what the registry and the beacon were asked. */
  readonly asked = { resolving: false, resolvedAt: -Infinity as Instant, knockedAt: -Infinity as Instant }
  /** dialler.ts: dials that wait for the tunnel or for a SYN token. */
  readonly dials = new Ring<Dial>()

  /** state.ts and outbound.ts: streams with something to send, each once; */
  readonly ready = new Ring<Stream>()
  /** what the first of them may still send before it is the turn of the next; */
  turnBytes = k.STREAM_TURN_BYTES
  /** packets that go before those of streams; */
  readonly control = new Ring<ControlPacket>()
  /** datagrams of programs: behind control, before streams; */
  readonly datagrams = new Ring<ControlPacket>()
  /** and whether the peer is in the node's queue of peers with something to send. */
  queued = false
  readonly streams = new Map<number, Stream>()
  bytesIn = 0 // of streams; inbound.ts
  bytesOut = 0 // outbound.ts

  #claim: string | undefined
  #key: Uint8Array | undefined
  #isExtended = false
  #isPrepared = false
  #connection: 'none' | 'wanted' | 'connected' = 'none'
  #failedAt: Instant = -Infinity
  #leaveAt: Instant = Infinity
  readonly #keys: TunnelKeys
  readonly #makePaths: () => PathSelector
  readonly #ownId: NodeId
  #pathLost = false
  #chores = 0
  #touchedAt: Instant

  constructor(node: NodeId, ownId: NodeId, keys: TunnelKeys, makePaths: () => PathSelector, now: Instant) {
    this.node = node
    this.#ownId = ownId
    this.#keys = keys
    this.tunnel = new Tunnel(keys, ownId)
    this.#makePaths = makePaths
    this.paths = makePaths()
    this.#touchedAt = now
  }

  // ---- who it is

  /** The registry's name for it, for people. The trust book decides which peer a name means. */
  get claim(): string | undefined {
    return this.#claim
  }
  /** Ed25519 key by pin, trust record or registry; undefined while none is known. */
  get key(): Uint8Array | undefined {
    return this.#key
  }
  /** A pilotgate, according to its SYN options, its hello or the registry. */
  get extended(): boolean {
    return this.#isExtended
  }

  /** It comes back from the relay, so nothing is lost by trying it: one of ours, or a daemon of today (quirk T15). */
  get leavesRelay(): boolean {
    return this.#isExtended || this.rules.isToday
  }

  /** The registry's answer. It does not overrule the key of a pin or trust record. */
  learn(claim: string | undefined, key: Uint8Array | undefined): void {
    this.#claim = claim ?? this.#claim
    this.#key ??= key
  }

  /** Trust was given to this key: attempts that failed for lack of it would now succeed. A tunnel to the owner of another key ends. */
  onTrusted(now: Instant, claim: string | undefined, key: Uint8Array): void {
    if (this.#key !== undefined && !equalBytes(this.#key, key)) this.leave(now)
    this.#claim = claim ?? this.#claim
    this.#key = key
    this.#failedAt = -Infinity
  }

  markExtended(): void {
    this.#isExtended = true
  }

  /** Connections to it are expected: keep its record. */
  prepare(): void {
    this.#isPrepared = true
  }

  // ---- the connection to it

  get connected(): boolean {
    return this.#connection === 'connected'
  }
  /** Requested, and neither established nor failed yet. */
  get wanted(): boolean {
    return this.#connection === 'wanted'
  }
  get failedAt(): Instant {
    return this.#failedAt
  }
  get heardAt(): Instant {
    return this.liveness.heardAt
  }

  get state(): 'idle' | 'connecting' | 'connected' | 'unreachable' {
    if (this.connected) return this.liveness.isSilent ? 'unreachable' : 'connected'
    if (this.wanted) return 'connecting'
    return this.#failedAt > -Infinity && this.#failedAt >= this.heardAt ? 'unreachable' : 'idle'
  }

  want(): void {
    if (this.#connection === 'none') this.#connection = 'wanted'
  }

  onConnected(): void {
    this.#connection = 'connected'
  }

  /** Everything that waits for it fails. A tunnel that is up stays, in case the peer comes back in time. */
  onFailed(now: Instant): void {
    if (this.wanted) this.#connection = 'none'
    this.#failedAt = now
  }

  /** Trust has ended, or its id is another node's: the keys are dropped then, where RSTs are to go out a moment later. */
  leave(at: Instant): void {
    this.#leaveAt = at
    this.repliesUntil = -Infinity
  }

  /** Silent for so long that waiting for it is pointless. */
  silentFor(now: Instant): number {
    return this.liveness.silentFor(now)
  }

  /**
   * The paths on which to seek a peer that is silent, or that we may have moved away from. A Go peer stays on the relay
   * for good once it was tried (tunnel.md §6.4), so not too soon.
   */
  searchPaths(now: Instant): readonly Path[] {
    const all = this.paths.all()
    if (this.leavesRelay || this.paths.current?.kind === 'relay' || this.silentFor(now) >= k.PLAIN_RELAY_MS) return all
    return all.filter((path) => path.kind !== 'relay')
  }

  takeChores(): number {
    const chores = this.#chores
    this.#chores = 0
    return chores
  }

  /** The path in use died, and another one is used since the last call. */
  takePathLoss(): boolean {
    const lost = this.#pathLost
    this.#pathLost = false
    return lost
  }

  /** Packets for the path in use wait until something arrives along it. */
  get isHeldBack(): boolean {
    return this.paths.current?.spent === true
  }

  /**
   * An authenticated frame arrived along `path`; `isTraffic`: not a ping or pong. @returns true if the path in use
   * changed.
   */
  onHeard(now: Instant, path: Path, bytes: number, isTraffic: boolean): boolean {
    this.liveness.onHeard(now)
    path.bytesIn += bytes
    if (this.tunnel.underway) this.tunnel.settle()
    return this.paths.onHeard(now, path, isTraffic)
  }

  /** A sealed frame left; `expectsAnswer` unless it is itself only an answer. */
  onSent(now: Instant, path: Path, bytes: number, expectsAnswer: boolean): void {
    path.bytesOut += bytes
    if (expectsAnswer) this.liveness.onAsked(now, this.paths.current?.rttMs ?? 0)
    this.#touchedAt = now
  }

  /** A SYN may go now: they are paced towards a peer that is not known to be a pilotgate. */
  takeSynToken(now: Instant): boolean {
    return this.extended || this.syns.take(now, this.rules.isToday)
  }

  /** The peer is dead or trust has ended: nothing of the old keys may be used again. */
  forgetTunnel(): void {
    this.tunnel = new Tunnel(this.#keys, this.#ownId, this.tunnel.isBinding)
    this.search = new PeerSearch()
    this.paths = this.#makePaths() // otherwise a path that was proven once would exclude all others from the next key exchange
    this.#connection = 'none'
    this.#leaveAt = Infinity
    this.liveness.forget()
    this.control.clear()
    this.datagrams.clear()
  }

  handleTimeout(now: Instant): void {
    this.tunnel.handleTimeout(now)
    for (const path of this.paths.all()) {
      path.checkSizeProbe(now)
      if (path.checkProbe(now) && this.paths.choose()) this.#pathLost = true
    }
    if (this.connected) {
      const chores = this.liveness.check(now, this.streams.size > 0, this.asked.resolvedAt)
      this.#chores |= chores
      if ((chores & k.PEER_SEARCH) !== 0) this.tunnel.start(now) // it may have restarted and lost our keys
    }
    if (now >= this.search.until) this.search.until = -Infinity
    if (now >= this.#leaveAt) this.#chores |= k.PEER_LEAVE
    if (this.#isForgettable && now >= Math.max(this.#touchedAt, this.heardAt) + k.FORGET_PEER_MS)
      this.#chores |= k.PEER_FORGET
  }

  nextTimeout(): Instant {
    let at = Math.min(this.tunnel.nextTimeout(), this.#leaveAt)
    for (const path of this.paths.all()) at = Math.min(at, path.probeDeadline, path.sizeDeadline)
    if (this.connected) at = Math.min(at, this.#nextLivenessCheck, this.paths.current?.sizeCheck.nextAt ?? Infinity)
    at = Math.min(at, this.search.sizesTimeout, this.search.strictAt)
    if (this.dials.size > 0 && this.connected) at = Math.min(at, this.syns.nextAt)
    if (this.#isForgettable) at = Math.min(at, Math.max(this.#touchedAt, this.heardAt) + k.FORGET_PEER_MS)
    return at
  }

  get #isForgettable(): boolean {
    return !this.#isPrepared && this.streams.size === 0 && this.dials.size === 0 && !this.wanted
  }

  /** Only the relay works, or nothing at all, and streams need better: other paths are sought. */
  get isSeeking(): boolean {
    if (this.streams.size === 0 && this.search.until === -Infinity) return false
    const { current } = this.paths
    return (
      current === undefined || current.kind === 'relay' || !current.answered || current.dead || current.sizeCheck.failed
    )
  }

  get #nextLivenessCheck(): Instant {
    const hasStreams = this.streams.size > 0
    const { isSeeking, search } = this
    let at = this.liveness.nextTimeout(hasStreams)
    if (hasStreams || isSeeking) at = Math.min(at, this.paths.nextUpgradeProbe())
    if (search.until > 0) at = Math.min(at, search.until)
    return Math.min(at, search.nextTimeout(isSeeking))
  }
}
