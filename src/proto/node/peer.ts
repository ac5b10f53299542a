/**
 * One remote node as we know it: its key, its tunnel, the paths to it, its streams, and whether it is still there.
 * The peer decides what to send to stay sure of it; outbound.ts seals and sends.
 */
import { Ring } from '../../base/ring.ts'
import type { Instant, NodeId } from '../../base/types.ts'
import type { Timed } from '../../base/deadline-heap.ts'
import type { Machine } from '../machine.ts'
import type { Path } from '../path/path.ts'
import type { PathSelector } from '../path/selector.ts'
import type { Stream } from '../stream/stream.ts'
import type { TunnelKeys } from '../tunnel/tunnel.ts'
import { Tunnel } from '../tunnel/tunnel.ts'
import * as k from './constants.ts'
import type { Dial } from './dial.ts'
import { PeerSearch } from './search.ts'

/** Bits of `takeChores()`: what the node is to do for the peer; chores.ts does it. */
export const PEER_RESOLVE = 1 // ask the registry where it is
export const PEER_SILENT = 2 // fail what waits for it
export const PEER_DEAD = 4 // end its streams, forget its keys
export const PEER_KEEPALIVE = 8 // ping along the current path
export const PEER_SEARCH = 16 // ping along every path
export const PEER_FORGET = 32
export const PEER_LEAVE = 64 // trust has ended; its streams have been told

/** A ready-made packet that waits for its turn: ping, pong, RST, datagram. */
export interface ControlPacket {
  readonly packet: Uint8Array
  readonly path: Path | undefined // undefined: the current one
  readonly underCandidate: boolean // sealed under the announced key, to have it confirmed
  readonly expectsAnswer: boolean
}

export class Peer implements Machine, Timed {
  readonly node: NodeId
  heapIndex = -1
  heapKey = 0
  hostname: string | undefined
  /** Ed25519 key by pin, trust record or registry; undefined while nobody has told. */
  key: Uint8Array | undefined
  tunnel: Tunnel
  paths: PathSelector
  search = new PeerSearch()
  readonly streams = new Map<number, Stream>()
  /** Streams with something to send, each once. */
  readonly ready = new Ring<Stream>()
  /** What the first of them may still send before it is the turn of the next. */
  turnBytes = k.STREAM_TURN_BYTES
  readonly control = new Ring<ControlPacket>()
  /** Datagrams of programs: behind control, before streams. */
  readonly datagrams = new Ring<ControlPacket>()
  /** The peer stands in the node's queue of peers with something to send. */
  queued = false
  /** Dials that wait for the tunnel or for a SYN token. */
  readonly dials = new Ring<Dial>()
  /** Its SYN-ACK carried options: one of us. */
  extended = false
  resolving = false
  resolvedAt: Instant = -Infinity
  /** When the beacon was asked last to open the NATs between us. */
  knockedAt: Instant = -Infinity
  /** Connections to it are expected: what is known of it is kept. */
  prepared = false
  failedAt: Instant = -Infinity
  connected = false
  /** The connection was asked for and has neither come about nor failed. */
  wanted = false
  /** When the keys are dropped because trust has ended: a moment later, so that the RSTs still go out. */
  leaveAt: Instant = Infinity
  heardAt: Instant = -Infinity
  bytesIn = 0
  bytesOut = 0
  readonly #keys: TunnelKeys
  readonly #makePaths: () => PathSelector
  readonly #ownId: NodeId
  #owedSince: Instant = -1 // our oldest packet since then that deserves an answer
  #nextPingAt: Instant = 0
  #keptAliveAt: Instant = -Infinity
  /** Bytes of streams came since the last ping: silence after them is worth one. */
  tailPingDue = false
  /** Packet sizes are tried from then on, once the keys are confirmed: a connection that waited for the tunnel goes first. */
  sizesAt: Instant = Infinity
  /** Only the relay is left: streams that refuse it, and have something to say, are ended then. */
  strictAt: Instant = Infinity
  #silentTold = false
  #pathLost = false
  /** Its queue of connections was full: no SYN before then. */
  busyUntil: Instant = -Infinity
  #synTokens = k.SYN_BURST
  #synTokensAt: Instant = 0
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

  get state(): 'idle' | 'connecting' | 'connected' | 'unreachable' {
    if (this.connected) return this.#silentTold ? 'unreachable' : 'connected'
    if (this.wanted) return 'connecting'
    return this.failedAt > -Infinity && this.failedAt >= this.heardAt ? 'unreachable' : 'idle'
  }

  /** Unanswered for so long that waiting for it makes no sense. */
  silentFor(now: Instant): number {
    return this.#owedSince < 0 ? 0 : now - this.#owedSince
  }

  /** Where a peer is looked for that is silent, or that we may have moved away from. A Go peer stays on the relay for good once it was tried (tunnel.md §6.4): not too soon. */
  searchPaths(now: Instant): readonly Path[] {
    const all = this.paths.all()
    if (this.extended || this.paths.current?.kind === 'relay' || this.silentFor(now) >= k.PLAIN_RELAY_MS) return all
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

  /** An authenticated frame arrived along `path`; `isTraffic`: no ping or pong. @returns true when the path in use changed. */
  onHeard(now: Instant, path: Path, bytes: number, isTraffic: boolean): boolean {
    this.heardAt = now
    this.#owedSince = -1
    this.#silentTold = false
    path.bytesIn += bytes
    if (this.tunnel.underway) this.tunnel.settle()
    return this.paths.onHeard(now, path, isTraffic)
  }

  /** A sealed frame left; `expectsAnswer` unless it is itself only an answer. */
  onSent(now: Instant, path: Path, bytes: number, expectsAnswer: boolean): void {
    path.bytesOut += bytes
    if (expectsAnswer && this.#owedSince < 0) {
      this.#owedSince = now
      this.#nextPingAt = now + this.#quietMs
    }
    this.#touchedAt = now
  }

  /** A SYN may go now. Towards a peer that has not shown to be one of us they are paced (stream.md Q12). */
  takeSynToken(now: Instant): boolean {
    if (this.extended) return true
    if (now < this.busyUntil) return false
    const earned = ((now - this.#synTokensAt) * k.SYN_PER_SECOND) / 1_000
    this.#synTokens = Math.min(k.SYN_BURST, this.#synTokens + earned)
    this.#synTokensAt = now
    if (this.#synTokens < 1) return false
    this.#synTokens -= 1
    return true
  }

  /** A new life: the peer is gone or trust has ended; nothing of the old keys may be used again. */
  forgetTunnel(): void {
    this.tunnel = new Tunnel(this.#keys, this.#ownId)
    this.search = new PeerSearch()
    this.paths = this.#makePaths() // a path that was proven once would keep the next key exchange from every other
    this.connected = false
    this.wanted = false
    this.#owedSince = -1
    this.sizesAt = Infinity
    this.strictAt = Infinity
    this.control.clear()
    this.datagrams.clear()
  }

  handleTimeout(now: Instant): void {
    this.tunnel.handleTimeout(now)
    for (const path of this.paths.all()) {
      path.checkSizeProbe(now)
      if (path.checkProbe(now) && this.paths.choose()) this.#pathLost = true
    }
    if (this.connected) this.#checkLiveness(now)
    if (now >= this.search.until) this.search.until = -Infinity
    if (now >= this.leaveAt) this.#chores |= PEER_LEAVE
    if (this.#isForgettable && now >= Math.max(this.#touchedAt, this.heardAt) + k.FORGET_PEER_MS)
      this.#chores |= PEER_FORGET
  }

  nextTimeout(): Instant {
    let at = Math.min(this.tunnel.nextTimeout(), this.leaveAt)
    for (const path of this.paths.all()) at = Math.min(at, path.probeDeadline, path.sizeDeadline)
    if (this.connected) at = Math.min(at, this.#nextLivenessCheck)
    if (this.sizesAt > 0) at = Math.min(at, this.sizesAt)
    at = Math.min(at, this.strictAt)
    if (this.dials.size > 0 && this.connected)
      at = Math.min(at, Math.max(this.busyUntil, this.#synTokensAt + 1_000 / k.SYN_PER_SECOND))
    if (this.#isForgettable) at = Math.min(at, Math.max(this.#touchedAt, this.heardAt) + k.FORGET_PEER_MS)
    return at
  }

  get #isForgettable(): boolean {
    return !this.prepared && this.streams.size === 0 && this.dials.size === 0 && !this.wanted
  }

  /** Only the relay carries, or nothing at all, and somebody cares: better ways are sought. */
  get isSeeking(): boolean {
    if (this.streams.size === 0 && this.search.until === -Infinity) return false
    const { current } = this.paths
    return current === undefined || current.kind === 'relay' || !current.answered || current.dead
  }

  /** Streams are open: only then does an idle peer cost packets. */
  get #needsKeepalive(): boolean {
    return this.streams.size > 0
  }

  get #keepaliveAt(): Instant {
    return Math.max(this.heardAt, this.#keptAliveAt) + (this.tailPingDue ? k.TAIL_PING_MS : k.KEEPALIVE_MS)
  }

  get #quietMs(): number {
    return Math.max(k.QUIET_MS, 4 * (this.paths.current?.rttMs ?? 0))
  }

  get #nextLivenessCheck(): Instant {
    let at = Infinity
    if (this.#owedSince >= 0) at = this.#nextPingAt
    else if (this.#needsKeepalive) at = this.#keepaliveAt
    const { isSeeking, search } = this
    if (this.#needsKeepalive || isSeeking) at = Math.min(at, this.paths.nextUpgradeProbe())
    if (search.until > 0) at = Math.min(at, search.until)
    return Math.min(at, search.nextTimeout(isSeeking))
  }

  #checkLiveness(now: Instant): void {
    if (this.#owedSince < 0) {
      if (this.#needsKeepalive && now >= this.#keepaliveAt) {
        this.#keptAliveAt = now
        this.tailPingDue = false
        this.#chores |= PEER_KEEPALIVE
      }
      return
    }
    if (now < this.#nextPingAt) return
    this.#nextPingAt = now + k.PING_REPEAT_MS
    const silent = now - this.#owedSince
    if (silent >= k.PEER_DEAD_MS) {
      this.#chores |= PEER_DEAD
      return
    }
    this.#chores |= PEER_SEARCH
    if (now - this.resolvedAt >= k.RESOLVE_AGAIN_MS) this.#chores |= PEER_RESOLVE
    if (silent >= k.PEER_SILENT_MS && !this.#silentTold) {
      this.#silentTold = true
      this.#chores |= PEER_SILENT
    }
    this.tunnel.start(now) // it may have restarted and know nothing of our keys
  }
}
