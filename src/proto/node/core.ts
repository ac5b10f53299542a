/**
 * One complete overlay node without I/O: it composes the parts. Above: drain.ts, with which runtime/node/driver.ts runs
 * it in a program and test/sim in virtual time.
 *
 *   handle*   a datagram, an answer of the registry, a deadline
 *   commands  dial, listen, write, trust: each is a handle call too
 *   queries   the current state, read-only (views.ts)
 *   poll*     what follows; drain.ts calls them
 *
 * Contract: ONE mutation, then drain. A mutation is a handle call, a command, or several of one batch; after it call
 * `drain`, once, and sleep until `nextTimeout()`. `now` never goes back. The core calls nothing, so it is never
 * re-entered. Its state is its own: nothing outside this folder imports state.ts.
 */
import type { PeerName } from '../../base/address.ts'
import type { Endpoint, Instant, NodeId } from '../../base/types.ts'
import type { AeadKey } from '../../crypto/aead.ts'
import type { HandshakeMessage } from '../../wire/handshake-message.ts'
import type { Place } from '../../wire/places-file.ts'
import type { RefusalReason } from '../../wire/refusal.ts'
import type { TrustFile } from '../../wire/trust-file.ts'
import type { StreamView } from '../stream/stream-view.ts'
import { Stream } from '../stream/stream.ts'
import type { OpenedFrame } from '../tunnel/session.ts'
import type { KeyOfPeer, OutgoingRequest, TrustJudge } from '../trust/requests.ts'
import { Answers } from './answers.ts'
import { BeaconLink } from './beacon-link.ts'
import { Chores } from './chores.ts'
import type { DatagramSlot } from './datagram-slot.ts'
import type { Dial, DialView } from './dial.ts'
import { Dialler } from './dialler.ts'
import { DriverCommands } from './driver-commands.ts'
import type { NodeEvent } from './events.ts'
import { Inbound } from './inbound.ts'
import { LEAVE_MS } from './constants.ts'
import { Memberships } from './memberships.ts'
import type { NodeOptions, OwnNetwork } from './options.ts'
import { Outbound } from './outbound.ts'
import { PathFinder } from './path-finder.ts'
import { pathReason } from './path-reason.ts'
import type { Peer } from './peer.ts'
import { Pings } from './pings.ts'
import { Registration } from './registration.ts'
import { Resolver } from './resolver.ts'
import { NodeState } from './state.ts'
import { TrustExchange, trustEvent, type DirectFault } from './trust-exchange.ts'
import type { AboutApp, BeaconView, ContestedName, DialApp, NameApp } from './views.ts'
import type { NatView, PeerView, PingApp, TrustView } from './views.ts'

export class OverlayCore {
  readonly #state: NodeState
  readonly #registration: Registration
  readonly #exchange: TrustExchange
  readonly #outbound: Outbound
  readonly #inbound: Inbound
  readonly #resolver: Resolver
  readonly #dialler: Dialler
  readonly #pings: Pings
  readonly #finder: PathFinder
  readonly #chores: Chores
  readonly #answers: Answers
  /** Where the network drops UDP. */
  readonly link: BeaconLink
  /** Commands that only drivers of the node's socket give. */
  readonly drivers: DriverCommands
  readonly #due: Array<Stream | Peer> = [] // scratch of handleTimeout

  /** @param state for tests that look inside. */
  constructor(options: NodeOptions, trust: TrustFile, now: Instant, state = new NodeState(options)) {
    state.trust.load(trust)
    this.#state = state
    const memberships = new Memberships(state)
    const exchange = (this.#exchange = new TrustExchange(state, memberships))
    this.#registration = new Registration(state, now, memberships, exchange, (at) => this.#onNewId(at))
    const outbound = (this.#outbound = new Outbound(state))
    const pings = (this.#pings = new Pings(outbound, options.random))
    const finder = (this.#finder = new PathFinder(state, outbound, pings))
    const resolver = (this.#resolver = new Resolver(state, outbound))
    const dialler = (this.#dialler = new Dialler(state, resolver, (at, peer) => this.#chores.afterTunnel(at, peer)))
    const chores = (this.#chores = new Chores(state, { outbound, pings, finder, resolver, dialler }))
    const inbound = (this.#inbound = new Inbound(state, { outbound, resolver, exchange, finder, chores }))
    this.link = new BeaconLink(state, { outbound, inbound, finder })
    this.drivers = new DriverCommands(state, this.#registration, finder, chores)
    this.#answers = new Answers(state, {
      registration: this.#registration,
      exchange,
      resolver,
      dialler,
      chores,
      inbound,
    })
  }

  // ---- queries

  /** Undefined until the registry has answered. */
  get nodeId(): NodeId | undefined {
    return this.#state.ownId
  }
  get isRegistered(): boolean {
    return this.#registration.registered
  }
  get counters(): Readonly<Record<string, number>> {
    return this.#state.counters
  }
  get beacon(): BeaconView {
    return this.#state.beacon
  }
  get nat(): NatView {
    return this.#state.nat
  }
  get trust(): TrustView {
    return this.#state.trust
  }
  /** Names that the registry, when last asked, gave to keys other than those they mean here. */
  get contestedNames(): readonly ContestedName[] {
    return this.#resolver.allContested
  }
  get peers(): ReadonlyMap<NodeId, PeerView> {
    return this.#state.peers
  }

  /** The reason for the current path to a peer, for people; undefined while there is no tunnel. */
  pathReason(now: Instant, node: NodeId): string | undefined {
    const peer = this.#state.peers.get(node)
    return peer === undefined ? undefined : pathReason(this.#state, peer, now)
  }

  /** The keys that may open sealed frames of a node, most likely first. */
  keysOf(sender: NodeId): readonly AeadKey[] {
    return this.#state.keysOf(sender)
  }

  /** Some stream still has unacknowledged bytes, or an unacknowledged end. */
  get hasUndelivered(): boolean {
    for (const { streams } of this.#state.peers.values())
      for (const { phase, sender } of streams.values()) if (phase === 'established' && !sender.drained) return true
    return false
  }

  trustFile(): TrustFile {
    return this.#state.trust.save()
  }
  /** The addresses of trusted peers, saved for the next start. */
  get places(): readonly Place[] {
    return this.#state.places.present(this.#state.trust, this.#state.peers)
  }

  // ---- what happens

  /** Takes ownership of `bytes`. @param opened if a sealed frame was already opened elsewhere. */
  handleDatagram(now: Instant, bytes: Uint8Array, source: Endpoint, opened?: OpenedFrame): void {
    this.#inbound.handleDatagram(now, bytes, source, opened)
  }

  /** @param certificate SHA-256 of the certificate that the registry shows; undefined: plain TCP. */
  handleRegistryConnected(now: Instant, certificate?: Uint8Array): void {
    this.#state.registry.handleConnected(now, certificate)
    this.#registration.handleConnected(now)
  }

  handleRegistryDisconnected(now: Instant): void {
    this.#state.registry.handleDisconnected()
    this.#registration.handleDisconnected()
    this.#exchange.handleDisconnected()
    this.#answers.take(now)
  }

  handleRegistryReply(now: Instant, reply: object): void {
    const { registry } = this.#state
    registry.handleReply(reply)
    const text = registry.takeSessionFault()
    if (text !== undefined) this.#state.emit({ kind: 'registry_refused', request: 'session', text })
    this.#answers.take(now)
  }

  /**
   * The addresses of our interfaces have changed, or the machine has slept. @param isElsewhere our packets now come
   * from a different address.
   */
  handleNetworkChange(now: Instant, network: OwnNetwork, isElsewhere: boolean): void {
    this.#state.network = network
    this.#registration.onNetworkChange(now)
    this.#finder.onNetworkChange(now, isElsewhere)
    for (const peer of this.#state.peers.values()) this.#chores.afterTunnel(now, peer)
  }

  handleTimeout(now: Instant): void {
    const { heap, registry, refusals } = this.#state
    heap.popAllDue(now, this.#due)
    for (const due of this.#due) {
      due.handleTimeout(now)
      if (due instanceof Stream) {
        const peer = this.#state.peers.get(due.peer)
        if (peer === undefined) continue
        this.#finder.onStall(now, peer, due)
        this.#state.touchStream(now, peer, due)
      } else this.#chores.afterTimeout(now, due)
    }
    this.#due.length = 0
    registry.handleTimeout(now)
    this.#registration.handleTimeout(now)
    if (this.#registration.registered && registry.connected) this.#exchange.handleTimeout(now)
    this.#finder.handleTimeout(now)
    refusals.handleTimeout(now)
    this.link.handleTimeout(now)
    this.#answers.take(now)
  }

  nextTimeout(): Instant {
    const { heap, registry, refusals } = this.#state
    const isTrading = this.#registration.registered && registry.connected
    return Math.min(
      heap.earliest,
      refusals.nextTimeout(),
      registry.nextTimeout(),
      this.#registration.nextTimeout(),
      isTrading ? this.#exchange.nextTimeout() : Infinity,
      this.#finder.nextTimeout(),
      this.link.nextTimeout(),
    )
  }

  // ---- what follows

  pollDatagram(now: Instant, slot: DatagramSlot): boolean {
    return this.#outbound.pollDatagram(now, slot)
  }
  pollRegistryRequest(): object | undefined {
    return this.#state.registry.pollRequest()
  }
  /** The connection to the registry has stopped answering: replace it. */
  get registryStale(): boolean {
    return this.#state.registry.stale
  }

  pollEvent(now: Instant): NodeEvent | undefined {
    this.#answers.take(now)
    const event = this.#state.events.shift()
    if (event?.kind === 'endpoint' || event?.kind === 'way') this.#registration.onEndpoint(now)
    if (event?.kind === 'registered') this.#dialler.onRegistered(now)
    return event
  }

  /** A stream with news for the application: `takeNews`. Streams that are being dialled again stay inside. */
  pollStream(now: Instant): Stream | undefined {
    const { news } = this.#state
    for (let stream = news.shift(); stream !== undefined; stream = news.shift()) {
      stream.announced = false
      if (this.#dialler.reports(now, stream)) return stream
    }
    return undefined
  }

  /** Streams or events wait to be polled. */
  get hasNews(): boolean {
    return this.#state.news.size > 0 || this.#state.events.size > 0
  }

  /** Segments held back until more bytes fill them may go. @returns whether some wait for the next turn, due at once. */
  releaseHeld(now: Instant): boolean {
    return this.#state.releaseHeld(now)
  }

  /** @returns true once after each change that must be saved to the trust file. */
  takeTrustChange(): boolean {
    return this.#state.trust.takeDirty()
  }

  // ---- commands: streams

  /** @param port undefined: only the tunnel. */
  dial(now: Instant, target: PeerName, label: string, port: number | undefined, app: DialApp): DialView {
    return this.#dialler.dial(now, target, label, port, app)
  }

  /** Connections to this peer are likely: look up what they need now. Best effort. */
  prepare(now: Instant, target: PeerName): void {
    this.#dialler.prepare(now, target)
  }

  cancelDial(now: Instant, dial: DialView): void {
    this.#dialler.cancel(now, dial as Dial) // there are no others
  }

  /** Which node has this hostname? Answered by a `name` event. */
  askName(now: Instant, hostname: string, app: NameApp): void {
    this.#dialler.askName(now, hostname, app)
  }

  /** What does the registry know about this node? Answered by an `about` event. */
  askAbout(now: Instant, node: NodeId, app: AboutApp): void {
    this.#resolver.askAbout(now, node, app)
  }

  /** @returns false if the port is taken. */
  listen(port: number): boolean {
    return this.#state.ports.listen(port)
  }
  unlisten(port: number): void {
    this.#state.ports.unlisten(port)
  }

  /** @param port undefined: any that is free. @returns the port, unless it is taken. Datagrams to other ports are dropped. */
  openDatagrams(port: number | undefined): number | undefined {
    return this.#state.ports.openDatagrams(port)
  }

  closeDatagrams(port: number): void {
    this.#state.ports.datagrams.delete(port)
  }

  accept(now: Instant, stream: StreamView): void {
    own(stream).accept()
    this.#state.touch(now, own(stream))
  }

  refuse(now: Instant, view: StreamView, reason?: RefusalReason): void {
    const stream = own(view)
    const peer = this.#state.peers.get(stream.peer)
    if (peer === undefined || stream.phase !== 'syn-received') return
    stream.abandon('local')
    this.#state.touchStream(now, peer, stream)
    // without a reason byte for byte, and always at the same time, what a port gives where nothing listens
    this.#state.refusals.put(now, stream.synAt, () => this.#outbound.refuse(peer, stream, reason))
  }

  /**
   * @param more bytes probably follow within a turn. @returns false if the writer should wait for NEWS_WRITABLE. Takes
   *   ownership of `bytes`.
   */
  write(now: Instant, view: StreamView, bytes: Uint8Array, more = false): boolean {
    const stream = own(view)
    const goOn = stream.write(bytes, more)
    if (more) this.#state.hold(stream)
    this.#state.touch(now, stream)
    return goOn
  }

  shutdown(now: Instant, stream: StreamView): void {
    own(stream).shutdown(now)
    this.#state.touch(now, own(stream))
  }

  close(now: Instant, stream: StreamView): void {
    own(stream).close(now)
    this.#state.touch(now, own(stream))
  }

  reset(now: Instant, stream: StreamView): void {
    own(stream).reset(now)
    this.#state.touch(now, own(stream))
  }

  /** Every stream of every peer. */
  resetAll(now: Instant): void {
    for (const peer of this.#state.peers.values()) for (const stream of peer.streams.values()) this.reset(now, stream)
  }

  /** Bytes were read from the stream: its window may have opened. */
  afterRead(now: Instant, stream: StreamView): void {
    own(stream).onRead(now)
    this.#state.touch(now, own(stream))
  }

  /** From now on the stream waits rather than use the relay, and ends after waiting too long. */
  refuseRelay(stream: StreamView): void {
    own(stream).directOnly = true
  }

  // ---- commands: peers

  /** Requires a connected peer; answered by a `pong` event, or never. */
  ping(now: Instant, node: NodeId, app: PingApp): boolean {
    const peer = this.#state.peers.get(node)
    if (peer?.connected !== true) return false
    this.#pings.send(now, peer, undefined, 'user', 0, app)
    this.#state.touchPeer(peer)
    return true
  }

  /** @returns why it cannot be sent, or undefined. A datagram may still be lost, as with UDP. */
  sendDatagram(
    node: NodeId,
    sourcePort: number,
    port: number,
    bytes: Uint8Array,
  ): 'not_connected' | 'too_large' | undefined {
    const peer = this.#state.peers.get(node)
    if (peer?.connected !== true) return 'not_connected'
    const fits = this.#outbound.datagram(peer, sourcePort, port, bytes)
    this.#state.touchPeer(peer)
    return fits ? undefined : 'too_large'
  }

  /** The beacon may have moved: ask it where it sees us. */
  refreshBeacon(now: Instant): void {
    this.#state.beacon.refresh(now)
  }

  // ---- commands: trust

  requestTrust(now: Instant, request: OutgoingRequest): void {
    this.#exchange.request(now, request)
  }

  /** @returns false when there was no such request. */
  withdrawRequest(peer: string): boolean {
    return this.#state.trust.withdrawRequest(peer)
  }

  revokeDisplaced(who: PeerName | KeyOfPeer): boolean {
    return this.#state.trust.revokeDisplaced(who)
  }

  /** Asked about every trust request before a person is. Only one at a time; undefined removes it. */
  setJudge(judge: TrustJudge | undefined): void {
    this.#exchange.judge = judge
  }

  /** The owner of this key is trusted only for a ticket. @param isOurs the ticket was made here. */
  markGuest(key: Uint8Array, isOurs: boolean): void {
    this.#state.trust.markGuest(key, isOurs)
  }

  /** Until then a guest is expected: trust requests are polled more often. */
  expectGuests(until: Instant): void {
    this.#exchange.guestsUntil = until
  }

  /** A message of the port-444 handshake, over the peer's own tunnel. @returns why it is ignored, or undefined. */
  handleHandshake(now: Instant, from: NodeId, message: HandshakeMessage): DirectFault | undefined {
    const fault = this.#exchange.handleDirect(now, from, message)
    if (fault !== 'revoked') return fault
    this.revokeTrust(now, from, 'peer')
    return undefined
  }

  /** @returns false if nothing of this node is pending. */
  approveTrust(now: Instant, node: NodeId): boolean {
    return this.#exchange.approvePending(now, node)
  }

  /** @returns false if nothing of this node is pending. */
  rejectTrust(now: Instant, node: NodeId): boolean {
    return this.#exchange.rejectPending(now, node)
  }

  /** Before trust ends: a Go peer drops its keys as soon as it is notified, and would not understand our RSTs. */
  resetStreams(now: Instant, node: NodeId): void {
    const peer = this.#state.peers.get(node)
    for (const stream of peer?.streams.values() ?? []) {
      stream.reset(now, 'peer_gone')
      this.#state.touchStream(now, peer!, stream)
    }
  }

  /** Ends trust and, with it, every stream of that node. @returns false if it was not trusted. */
  revokeTrust(now: Instant, node: NodeId, origin: 'local' | 'peer' = 'local'): boolean {
    const event = trustEvent(this.#state.trust, node, 'revoked')
    if (!this.#state.trust.revoke(node, origin === 'local')) return false
    this.#exchange.revoke(now, node)
    const peer = this.#state.peers.get(node)
    if (peer !== undefined) {
      this.resetStreams(now, node)
      peer.leave(now + LEAVE_MS)
      this.#dialler.failPeer(now, peer, 'NOT_TRUSTED', 'trust was revoked')
      this.#state.touchPeer(peer)
    }
    this.#state.emit(event)
    return true
  }

  // ---- inside

  /**
   * The registry assigned us a new id: it is a different registry, or has lost its data. Nothing about the old id
   * holds.
   */
  #onNewId(now: Instant): void {
    this.#dialler.failAll(now, 'REGISTRY_UNREACHABLE', 'the registry has given this node a new id')
    for (const peer of this.#state.peers.values()) {
      this.#chores.drop(now, peer)
      this.#state.heap.remove(peer)
    }
    this.#state.peers.clear()
  }
}

/** The stream behind a view. @throws RangeError for anything that the core did not return. */
function own(view: StreamView): Stream {
  if (view instanceof Stream) return view
  throw new RangeError('not a stream of this node')
}
