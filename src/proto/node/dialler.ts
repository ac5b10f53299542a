/**
 * From a dial ('agent-b', port 80) to a stream: name → node → key and endpoint → tunnel → SYN. Each step has its own
 * failure, reported immediately. Dials to one peer share a tunnel.
 */
import { DATA_PORT } from '../../base/overlay-ports.ts'
import type { PeerName } from '../../base/address.ts'
import { toBase64 } from '../../base/bytes.ts'
import { formatAddress } from '../../base/address.ts'
import type { ErrorCode } from '../../base/errors.ts'
import type { Instant, NodeId } from '../../base/types.ts'
import { prepareKey } from '../../crypto/identity.ts'
import { Stream } from '../stream/stream.ts'
import type { NodeState } from './state.ts'
import * as k from './constants.ts'
import { keyChanged, type Resolver } from './resolver.ts'
import type { Dial } from './dial.ts'
import type { Peer } from './peer.ts'
import type { DialApp, NameAnswer, NameApp } from './views.ts'
import { streamKey } from './ports.ts'

export class Dialler {
  readonly #state: NodeState
  readonly #resolver: Resolver
  readonly #unnamed = new Map<string, Dial[]>() // by hostname, waiting for its node id
  /** By bound hostname: failed dials for which the registry is being asked whether the name has a new key. */
  readonly #failed = new Map<string, FailedDial[]>()
  readonly #names = new Map<string, NameApp[]>() // plain queries for a name
  readonly #prepared = new Map<string, PeerName>() // by their text, oldest first
  readonly #failures = new Map<NodeId, { readonly code: ErrorCode; readonly text: string }>()
  readonly #opening = new Map<Stream, Dial>() // until the stream is open or over
  #waiting = 0

  readonly #afterTunnel: (now: Instant, peer: Peer) => void

  /** @param afterTunnel sends the PILA that is due. */
  constructor(state: NodeState, resolver: Resolver, afterTunnel: (now: Instant, peer: Peer) => void) {
    this.#state = state
    this.#resolver = resolver
    this.#afterTunnel = afterTunnel
  }

  dial(now: Instant, target: PeerName, label: string, port: number | undefined, app: DialApp): Dial {
    const meaning = target.kind === 'hostname' ? this.#state.trust.meaningOf(target.hostname) : undefined
    const dial: Dial = {
      label,
      port,
      app,
      hostname: undefined,
      key: meaning?.kind === 'key' ? meaning.key : undefined,
      redials: 0,
      cancelled: false,
      stream: undefined,
    }
    const node = target.kind === 'address' ? target.address.node : undefined
    if (this.#state.ownId === undefined)
      this.#fail(dial, 'REGISTRY_UNREACHABLE', 'not registered yet: no registry has answered')
    else if (this.#waiting >= k.MAX_DIALS)
      this.#fail(dial, 'TOO_MANY', `${k.MAX_DIALS} connections are already being opened`)
    else if (node !== undefined) this.#toNode(now, dial, node)
    else if (target.kind === 'hostname') this.#toHostname(now, dial, target.hostname)
    return dial
  }

  /** Answered by a `name` event. */
  askName(now: Instant, hostname: string, app: NameApp): void {
    const answer = this.#resolver.lookUpName(now, hostname)
    if (answer !== undefined) return this.#state.emit({ kind: 'name', app, answer })
    const askers = this.#names.get(hostname)
    if (askers === undefined) this.#names.set(hostname, [app])
    else askers.push(app)
  }

  cancel(now: Instant, dial: Dial): void {
    dial.cancelled = true
    const peer = dial.stream === undefined ? undefined : this.#state.peers.get(dial.stream.peer)
    if (dial.stream === undefined || peer === undefined) return
    dial.stream.reset(now)
    this.#state.touchStream(now, peer, dial.stream)
  }

  /** @param before the node that this bound name meant until now. */
  onName(now: Instant, hostname: string, answer: NameAnswer, before?: NodeId): void {
    for (const app of this.#names.get(hostname) ?? []) this.#state.emit({ kind: 'name', app, answer })
    this.#names.delete(hostname)
    const dials = this.#unnamed.get(hostname) ?? []
    this.#unnamed.delete(hostname)
    this.#waiting -= dials.length
    if (answer.node !== undefined && this.#prepared.has(hostname)) this.#locate(now, answer.node)
    for (const dial of dials) this.#toAnswer(now, dial, hostname, answer)
    this.#settleFailed(now, hostname, answer)
    const peer = before === undefined || before === answer.node ? undefined : this.#state.peers.get(before)
    if (peer !== undefined && !peer.connected) this.#leavePeer(now, hostname, answer, peer)
  }

  /** Brings up the tunnel, unless that is already under way. */
  connect(now: Instant, peer: Peer): void {
    if (peer.wanted) return
    peer.want()
    this.#resolver.locate(now, peer)
    if (!this.#state.registry.connected) this.#state.places.recall(peer)
    // Known addresses are tried while the registry is asked: this saves a round trip, and works without a registry.
    if (peer.key === undefined || peer.paths.current === undefined) return
    this.#resolver.knock(now, peer)
    peer.tunnel.start(now)
    this.#afterTunnel(now, peer)
  }

  /** The peer has been located; `isNews`: at endpoints that were not known before. */
  onResolved(now: Instant, peer: Peer, isNews: boolean): void {
    if (isNews) peer.tunnel.nudge(now) // the exchange in progress need not wait for its timer to try them
    if ((peer.wanted || peer.tunnel.underway) && peer.key !== undefined) peer.tunnel.start(now)
  }

  /**
   * Connections to this peer are expected: its key and address are looked up now, and again after each registration.
   */
  prepare(now: Instant, target: PeerName): void {
    const name = target.kind === 'address' ? formatAddress(target.address) : target.hostname
    if (this.#prepared.has(name) || this.#prepared.size >= k.MAX_PREPARED) return
    this.#prepared.set(name, target)
    this.#prepareOne(now, target)
  }

  onRegistered(now: Instant): void {
    for (const target of this.#prepared.values()) this.#prepareOne(now, target)
  }

  onUnresolved(now: Instant, peer: Peer, code: ErrorCode, text: string): void {
    if (!peer.wanted) return
    if (code === 'REGISTRY_UNREACHABLE') this.#state.places.recall(peer)
    const mayTry = code === 'REGISTRY_UNREACHABLE' && peer.key !== undefined && peer.paths.current !== undefined
    if (mayTry) peer.tunnel.start(now)
    else this.failPeer(now, peer, code, text)
  }

  onKey(now: Instant, peer: Peer): void {
    if (peer.wanted && !peer.asked.resolving) peer.tunnel.start(now)
  }

  /** The tunnel is up, or a SYN token is available: waiting dials may go. */
  flush(now: Instant, peer: Peer): void {
    for (let count = peer.dials.size; count > 0; count--) {
      const dial = peer.dials.shift()!
      this.#waiting -= 1
      if (!dial.cancelled) this.#toPeer(now, dial, peer)
    }
  }

  /** The id has another key now: dials that meant that key continue, everything else that waits for the peer fails. */
  onNewOwner(now: Instant, peer: Peer): void {
    for (let count = peer.dials.size; count > 0; count--) {
      const dial = peer.dials.shift()!
      this.#waiting -= 1
      if (dial.key !== undefined && !this.#isSomebodyElse(dial, peer)) this.#toPeer(now, dial, peer)
      else this.#fail(dial, 'PEER_UNREACHABLE', SOMEBODY_ELSE, peer.node)
    }
  }

  /** Everything that waits for this peer fails. */
  failPeer(now: Instant, peer: Peer, code: ErrorCode, text: string): void {
    peer.onFailed(now)
    this.#failures.delete(peer.node)
    if (this.#failures.size >= k.MAX_NAMES) this.#failures.delete(this.#failures.keys().next().value!)
    this.#failures.set(peer.node, { code, text })
    this.#resolver.forgetNamesOf(peer.node)
    for (let dial = peer.dials.shift(); dial !== undefined; dial = peer.dials.shift()) {
      this.#waiting -= 1
      this.#fail(dial, code, text, peer.node)
    }
  }

  /** We are a different node now: nothing that waits can succeed. */
  failAll(now: Instant, code: ErrorCode, text: string): void {
    for (const peer of this.#state.peers.values()) this.failPeer(now, peer, code, text)
    const names = new Set([...this.#unnamed.keys(), ...this.#failed.keys()])
    for (const hostname of names) this.onName(now, hostname, { node: undefined, code, text })
    this.#failures.clear()
  }

  /**
   * A stream has news. @returns false if the application must not see it: its dial was cancelled, or continues with
   * another stream.
   */
  reports(now: Instant, stream: Stream): boolean {
    const dial = this.#opening.get(stream)
    if (dial === undefined) return true
    const mayRedial = stream.end === 'stale' || stream.wasBusy
    const goesOn = mayRedial && this.#redial(now, stream, dial)
    const isSettled = stream.phase !== 'syn-sent'
    if (goesOn || isSettled) this.#opening.delete(stream)
    if (goesOn || dial.cancelled) stream.takeNews()
    return !goesOn && !dial.cancelled
  }

  /** @returns true if the stream met an older connection on its ports, or a busy peer, and is dialled again. */
  #redial(now: Instant, stream: Stream, dial: Dial): boolean {
    const peer = this.#state.peers.get(stream.peer)
    const limit = stream.end === 'stale' ? k.MAX_REDIALS : 1
    if (dial.cancelled || dial.redials >= limit || peer === undefined) return false
    if (stream.end !== 'stale') peer.syns.onBusy(now)
    dial.redials += 1
    dial.stream = undefined
    stream.app = undefined
    this.#toPeer(now, dial, peer)
    return true
  }

  #toHostname(now: Instant, dial: Dial, hostname: string): void {
    const answer = this.#resolver.lookUpName(now, hostname)
    if (answer !== undefined) return this.#toAnswer(now, dial, hostname, answer)
    this.#guess(now, hostname)
    this.#waitForName(dial, hostname)
  }

  #waitForName(dial: Dial, hostname: string): void {
    this.#waiting += 1
    const dials = this.#unnamed.get(hostname)
    if (dials === undefined) this.#unnamed.set(hostname, [dial])
    else dials.push(dial)
  }

  #toAnswer(now: Instant, dial: Dial, hostname: string, answer: NameAnswer): void {
    const { node } = answer
    if (node === undefined) return this.#fail(dial, answer.code!, answer.text)
    const meaning = this.#state.trust.meaningOf(hostname)
    if (dial.key !== undefined && (meaning?.kind !== 'key' || meaning.key !== dial.key))
      return this.#fail(dial, 'NOT_TRUSTED', 'trust of this node ended while it was being looked up')
    if (meaning === undefined) return this.#toNode(now, dial, node)
    dial.hostname = hostname
    if (meaning.kind === 'key') dial.key = meaning.key
    if (this.#state.peers.get(node)?.connected !== true) {
      this.#resolver.checkName(now, hostname)
      const contested = this.#resolver.contested(hostname)
      // The wanted key was not there, nor anywhere else; is it still so?
      if (contested?.node === node && this.#resolver.isChecking(hostname)) return this.#waitForName(dial, hostname)
      if (contested?.node === node) return this.#failWith(dial, keyChanged(contested))
    }
    this.#toNode(now, dial, node)
  }

  /** Dials that failed for a reason that a changed key may explain. */
  #settleFailed(now: Instant, hostname: string, answer: NameAnswer): void {
    const failed = this.#failed.get(hostname) ?? []
    this.#failed.delete(hostname)
    this.#waiting -= failed.length
    for (const { dial, node, reason } of failed) {
      if (answer.node !== undefined && answer.node !== node) this.#toNode(now, dial, answer.node)
      else this.#failWith(dial, answer.code === 'KEY_CHANGED' ? answer : reason)
    }
  }

  /** Dials that wait for the node that a name meant until now move to its new node, or fail together with the name. */
  #leavePeer(now: Instant, hostname: string, answer: NameAnswer, peer: Peer): void {
    const mayStay = answer.node === undefined && this.#resolver.contested(hostname)?.node !== peer.node
    for (let count = peer.dials.size; count > 0; count--) {
      const dial = peer.dials.shift()!
      if (dial.hostname !== hostname || mayStay) {
        peer.dials.push(dial)
        continue
      }
      this.#waiting -= 1
      if (answer.node === undefined) this.#failWith(dial, answer)
      else this.#toNode(now, dial, answer.node)
    }
  }

  /** A trusted peer most likely still has its node id: the connection is prepared while its name is looked up. */
  #guess(now: Instant, hostname: string): void {
    const node = this.#resolver.guessName(hostname)
    const peer = node === undefined || !this.#state.trust.isTrusted(node) ? undefined : this.#state.peer(now, node)
    if (peer === undefined || peer.connected || now - peer.failedAt < k.UNREACHABLE_MS) return
    this.connect(now, peer)
    this.#state.touchPeer(peer)
  }

  #prepareOne(now: Instant, target: PeerName): void {
    if (this.#state.ownId === undefined) return
    const node = target.kind === 'address' ? target.address.node : this.#resolver.lookUpName(now, target.hostname)?.node
    if (node !== undefined) this.#locate(now, node)
  }

  #locate(now: Instant, node: NodeId): void {
    const peer = this.#state.peer(now, node)
    if (peer === undefined) return
    peer.prepare()
    if (peer.key !== undefined) prepareKey(peer.key)
    if (!peer.connected && peer.paths.current === undefined) this.#resolver.locate(now, peer)
  }

  #toNode(now: Instant, dial: Dial, node: NodeId): void {
    if (node === this.#state.nodeId) return this.#fail(dial, 'USAGE', "that is this node's own address")
    const peer = this.#state.peer(now, node)
    if (peer === undefined) return this.#fail(dial, 'TOO_MANY', 'too many peers are known')
    this.#toPeer(now, dial, peer)
  }

  #toPeer(now: Instant, dial: Dial, peer: Peer): void {
    const { trust } = this.#state
    if (peer.key !== undefined && trust.hasRevoked(peer.key))
      return this.#fail(dial, 'NOT_TRUSTED', 'trust of this node was revoked here', peer.node)
    if (this.#isSomebodyElse(dial, peer)) {
      const node = trust.nodeNamed(dial.hostname!)
      if (node !== undefined && node !== peer.node) return this.#toNode(now, dial, node)
      return this.#fail(dial, 'PEER_UNREACHABLE', SOMEBODY_ELSE, peer.node)
    }
    const silent = peer.connected && peer.silentFor(now) >= k.PEER_SILENT_MS
    if (silent)
      return this.#fail(
        dial,
        'PEER_UNREACHABLE',
        `no answer from the node for ${Math.round(peer.silentFor(now) / 1_000)} s`,
        peer.node,
      )
    if (peer.connected && dial.port === undefined) return this.#state.emit({ kind: 'connected', dial, peer })
    if (peer.connected && dial.port !== undefined && peer.takeSynToken(now))
      return this.#open(now, dial, dial.port, peer)
    if (!peer.connected && !peer.wanted && now - peer.failedAt < k.UNREACHABLE_MS) {
      const { code, text } = this.#failures.get(peer.node) ?? {
        code: 'PEER_UNREACHABLE' as const,
        text: 'the node does not answer',
      }
      return this.#fail(dial, code, text, peer.node)
    }
    peer.dials.push(dial)
    this.#waiting += 1
    if (!peer.connected) this.connect(now, peer)
    this.#state.touchPeer(peer)
  }

  /** The id was given to another key since the name was found there: a registry that lost its memory does that. */
  #isSomebodyElse(dial: Dial, { key }: Peer): boolean {
    return dial.key !== undefined && key !== undefined && dial.key !== toBase64(key)
  }

  #open(now: Instant, dial: Dial, remotePort: number, peer: Peer): void {
    const port = this.#state.ports.ephemeral(now, peer.streams, remotePort)
    if (port === undefined || this.#state.streams >= k.MAX_STREAMS)
      return this.#fail(dial, 'TOO_MANY', 'all local ports towards this node are in use')
    const past = peer.streams.get(streamKey(port, remotePort))
    if (past !== undefined) {
      past.abandon('local')
      this.#state.touchStream(now, peer, past)
    }
    const stream = new Stream(
      'dial',
      { port, network: 0 },
      peer.node,
      remotePort,
      this.#state.initialSequence(),
      this.#state.streamShared,
      peer.rules,
    )
    if (remotePort === DATA_PORT) peer.repliesUntil = now + k.REPLY_WINDOW_MS
    stream.app = dial.app
    dial.stream = stream
    this.#opening.set(stream, dial)
    this.#state.addStream(peer, stream)
    this.#state.count('streams_dialled')
    this.#state.touchStream(now, peer, stream)
  }

  /**
   * @param node the wanted node: before the failure is reported, we find out whether its name now has a different key.
   */
  #fail(dial: Dial, code: ErrorCode, text: string, node?: NodeId): void {
    const { hostname } = dial
    if (hostname === undefined || node === undefined || !EXPLAINED_BY_KEY.has(code))
      return this.#failWith(dial, { node: undefined, code, text })
    const contested = this.#resolver.contested(hostname)
    if (contested !== undefined) return this.#failWith(dial, keyChanged(contested))
    const reason = { node: undefined, code, text }
    if (!this.#resolver.isChecking(hostname)) return this.#failWith(dial, reason)
    this.#waiting += 1
    const failed = this.#failed.get(hostname)
    if (failed === undefined) this.#failed.set(hostname, [{ dial, node, reason }])
    else failed.push({ dial, node, reason })
  }

  #failWith(dial: Dial, { code, text }: NameAnswer): void {
    if (!dial.cancelled) this.#state.emit({ kind: 'dial_failed', dial, code: code!, text })
  }
}

const SOMEBODY_ELSE = 'its id belongs to another node now'

interface FailedDial {
  readonly dial: Dial
  readonly node: NodeId
  readonly reason: NameAnswer
}

/** This is how a node looks that has lost its name, key or address. */
const EXPLAINED_BY_KEY: ReadonlySet<ErrorCode> = new Set(['NOT_FOUND', 'NOT_TRUSTED', 'PEER_UNREACHABLE'])
