/**
 * The overlay node of a program: connects the parts, with promises and streams on top. Above: ../overlay.ts, the common
 * interface. Below: parts.ts (created), driver.ts (run), waiters.ts (queries), node-trust.ts and
 * registration-status.ts.
 */
import { formatAddress, type PeerName } from '../../base/address.ts'
import { toBase64 } from '../../base/bytes.ts'
import { PilotError } from '../../base/errors.ts'
import { formatEndpoint, type NodeId } from '../../base/types.ts'
import type { Identity } from '../../crypto/identity.ts'
import type { OverlayCore } from '../../proto/node/core.ts'
import type { NodeEvent } from '../../proto/node/events.ts'
import type { DialApp, PeerView } from '../../proto/node/views.ts'
import type { RefusalReason } from '../../wire/refusal.ts'
import type { StreamView } from '../../proto/stream/stream-view.ts'
import type { HandshakeMessage } from '../../wire/handshake-message.ts'
import type { PendingEntry, TrustedEntry } from '../../wire/trust-file.ts'
import { monotonicNow } from '../clock.ts'
import type { GivingUp } from '../giving-up.ts'
import type { Logger } from '../../base/logger.ts'
import type { BeaconName } from '../net/beacon-name.ts'
import type { DatagramPort, DatagramSink } from '../net/datagram-port.ts'
import { maxDatagramTo } from '../net/interfaces.ts'
import type { CompatLink } from '../net/compat-link.ts'
import { TwoWayPort } from '../net/two-way-port.ts'
import { NetworkWatch } from '../net/network-watch.ts'
import { RegistryLink } from '../net/registry-link.ts'
import type {
  AboutNode,
  GuestDesk,
  Incoming,
  Listener,
  Overlay,
  OverlayDatagrams,
  OverlayEvent,
  OverlayHealth,
  OverlayStatus,
  PeerStatus,
  Pong,
} from '../overlay.ts'
import { nameOf, parseTarget } from '../peer-name.ts'
import { withTimeout } from '../with-timeout.ts'
import { NodeDatagrams } from './datagrams.ts'
import { Driver } from './driver.ts'
import { DriverDesk } from './driver-desk.ts'
import type { ForDrivers } from './for-drivers.ts'
import { NodeTrust } from './node-trust.ts'
import type { TrustCourier } from './trust-courier.ts'
import type { OverlayNodeOptions } from './options.ts'
import { openParts, type NodeParts } from './parts.ts'
import { PendingIncoming } from './pending-incoming.ts'
import type { KeyOfPeer } from '../../proto/trust/requests.ts'
import type { Pins } from './pinned.ts'
import type { PlacesKeeper } from './places-keeper.ts'
import { openCompat, registryWays, rendezvousStatus } from './rendezvous-ways.ts'
import { RegistrationStatus } from './registration-status.ts'
import { nameConflicts, overlayEvent, peerLabel, peerStatus } from './report.ts'
import { ownEntry } from './self-stream.ts'
import { NodeStream, type StreamVerbs } from './stream.ts'
import { streamVerbs } from './stream-verbs.ts'
import type { TrustKeeper } from './trust-keeper.ts'
import { AboutWaiter, NameWaiter, PongWaiter, StreamWaiter, TunnelWaiter, type Settle } from './waiters.ts'

export class OverlayNode implements Overlay {
  readonly identity: Identity
  readonly #drivers: DriverDesk
  readonly #core: OverlayCore
  readonly #driver: Driver
  readonly #socket: DatagramPort
  readonly #compat: CompatLink
  readonly #noNative: string | undefined
  readonly #link: RegistryLink
  readonly #watch: NetworkWatch
  readonly #beacon: BeaconName
  readonly #beaconText: string // as configured
  readonly #keeper: TrustKeeper
  readonly #placesKeeper: PlacesKeeper
  readonly #trust: NodeTrust
  readonly #registration: RegistrationStatus
  readonly #pins: Pins
  readonly #verbs: StreamVerbs
  readonly #onEvent: (event: OverlayEvent) => void
  readonly #listeners = new Map<number, (incoming: Incoming) => void>()
  readonly #datagrams = new Map<number, (bytes: Uint8Array, from: NodeId, sourcePort: number) => void>()
  #stopping: Promise<void> | undefined

  /** Binds the UDP socket and starts registering; `whenRegistered` resolves when that is done. */
  static async start(
    options: OverlayNodeOptions,
    log: Logger,
    onEvent: (event: OverlayEvent) => void,
  ): Promise<OverlayNode> {
    const parts = await openParts(options, log)
    const node = new OverlayNode(parts, options, log, onEvent)
    for (const peer of options.trust) node.#trust.requestAtStart(peer, node.#nameOf(peer))
    node.#link.start()
    node.#turn((now) => parts.core.handleTimeout(now))
    setImmediate(parts.rehearse)
    return node
  }

  private constructor(
    parts: NodeParts,
    options: OverlayNodeOptions,
    log: Logger,
    onEvent: (event: OverlayEvent) => void,
  ) {
    const { core, beacon } = parts
    this.identity = parts.identity
    this.#core = core
    this.#compat = openCompat(parts, options, log, (act) => this.#turn(act))
    this.#socket = new TwoWayPort(parts.socket, this.#compat, parts.transport === 'tcp')
    this.#noNative = parts.noNative
    this.#keeper = parts.keeper
    this.#placesKeeper = parts.placesKeeper
    this.#beacon = beacon
    this.#beaconText = options.beacon
    this.#onEvent = onEvent
    this.#pins = parts.pins
    this.#registration = new RegistrationStatus(options.registry, options.hostname, log)
    this.#trust = new NodeTrust(core, (act) => this.#turn(act), parts, log)
    this.#drivers = new DriverDesk(
      core,
      (act) => this.#turn(act),
      parts.identity,
      (port) => this.#listeners.get(port),
    )
    this.#verbs = streamVerbs(core, (act) => this.#turn(act))
    this.#link = this.#connectRegistry(parts, options)
    this.#driver = new Driver(core, this.#socket, {
      now: monotonicNow,
      sendRegistry: (message) => this.#link.send(message),
      holdLink: (isWanted) => this.#compat.hold(isWanted) && this.#link.hurry(),
      dropRegistry: () => this.#link.drop(),
      onEvent: (event) => this.#handleEvent(event),
    })
    this.#watch = new NetworkWatch(this.#socket.local, beacon.endpoint, (network, why) => {
      log.info({ why, addresses: network.ownEndpoints.map(({ address }) => address) }, 'our network has changed')
      this.#compat.check()
      this.#turn((now) => core.handleNetworkChange(now, network, why === 'moved'))
    })
    beacon.follow({
      isSilent: () => core.beacon.silent,
      onMoved: () => this.#turn((now) => core.refreshBeacon(now)),
    })
    if (parts.transport !== 'tcp') this.#connectSocket(parts.sink)
  }

  #connectRegistry(parts: NodeParts, { outboundProxy }: OverlayNodeOptions): RegistryLink {
    const { core } = parts
    return new RegistryLink(registryWays(parts, outboundProxy), {
      onConnected: (certificate) => this.#turn((now) => core.handleRegistryConnected(now, certificate)),
      onDisconnected: (fault) => {
        this.#registration.onLost(fault)
        this.#turn((now) => core.handleRegistryDisconnected(now))
      },
      onReply: (reply) => this.#turn((now) => core.handleRegistryReply(now, reply)),
    })
  }

  #connectSocket(sink: DatagramSink): void {
    const core = this.#core
    sink.keysOf = (sender) => core.keysOf(sender)
    sink.onBatch = (batch, count) => {
      const now = this.#driver.now()
      for (let i = 0; i < count; i++) core.handleDatagram(now, batch[i]!.bytes, batch[i]!.source, batch[i]!.opened)
      this.#driver.wake()
    }
  }

  get drivers(): ForDrivers {
    return this.#drivers // for the driver socket
  }
  get nodeId(): NodeId {
    return this.#core.nodeId ?? 0 // as records have it
  }
  get address(): string {
    return formatAddress({ network: 0, node: this.nodeId })
  }
  get publicKey(): string {
    return this.identity.publicKeyBase64
  }
  get hostname(): string | undefined {
    return this.#registration.hostname
  }

  get status(): OverlayStatus {
    const { counters, nat } = this.#core
    return {
      udp: formatEndpoint(this.#socket.local),
      port: this.#socket.kind,
      registry: { ...this.#registration.record, address: this.#link.address ?? null },
      beacon: rendezvousStatus(this.#core, this.#beaconText, this.#beacon.endpoint, this.#compat),
      nat: { mapping: nat.mapping, filtering: nat.filtering },
      daemon: null,
      counters,
    }
  }

  get peers(): readonly PeerStatus[] {
    const { peers, trust } = this.#core
    const now = this.#driver.now()
    return [...peers.values()].map((peer) =>
      peerStatus(peer, trust, now, this.#core.pathReason(now, peer.node) ?? null, this.#core.link.way.current),
    )
  }

  async whenRegistered(patienceMs: number): Promise<boolean> {
    return await this.#registration.whenSettled(patienceMs)
  }

  async dial(target: string, signal?: GivingUp): Promise<NodeStream> {
    const { peer, port } = parseTarget(target)
    return await this.#begin<NodeStream>(peer, port, signal, (s) => new StreamWaiter(peer, port, this.#verbs, s))
  }

  async listen(port: number, onIncoming: (incoming: Incoming) => void): Promise<Listener> {
    if (!this.#core.listen(port))
      throw new PilotError('PORT_IN_USE', `overlay port ${port} is already exposed`, { port })
    this.#listeners.set(port, onIncoming)
    return {
      close: () => {
        this.#core.unlisten(port)
        this.#listeners.delete(port)
      },
    }
  }

  async datagrams(
    wanted: number | undefined,
    onDatagram: (bytes: Uint8Array, from: NodeId, sourcePort: number) => void,
  ): Promise<OverlayDatagrams & { readonly port: number }> {
    const port = this.#core.openDatagrams(wanted)
    if (port === undefined && wanted === undefined)
      throw new PilotError('TOO_MANY', 'all overlay ports for datagrams are in use')
    if (port === undefined) throw new PilotError('PORT_IN_USE', `datagram port ${wanted} is taken`, { port: wanted })
    this.#datagrams.set(port, onDatagram)
    const overlay = {
      core: this.#core,
      turn: <T>(act: (now: number) => T) => this.#turn(act),
      connect: (peer: string) => this.connect(peer),
    }
    return new NodeDatagrams(port, overlay, () => this.#datagrams.delete(port))
  }

  async ping(peer: string, timeoutMs: number): Promise<Pong> {
    const node = await withTimeout(this.connect(peer), timeoutMs, `${peer}: no tunnel within ${timeoutMs} ms`)
    const pong = new Promise<Pong>((resolve, reject) => {
      const waiter = new PongWaiter({ resolve, reject })
      if (!this.#turn((now) => this.#core.ping(now, node, waiter)))
        reject(new PilotError('PEER_UNREACHABLE', `${peer}: the tunnel is gone`))
    })
    return await withTimeout(pong, timeoutMs, `${peer}: no answer within ${timeoutMs} ms`)
  }

  async resolve(peer: string): Promise<NodeId> {
    const name = this.#nameOf(peer)
    if (name.kind === 'address') return name.address.node
    return await new Promise((resolve, reject) => {
      this.#turn((now) => this.#core.askName(now, name.hostname, new NameWaiter({ resolve, reject })))
    })
  }

  async about(node: NodeId): Promise<AboutNode> {
    return await new Promise((resolve, reject) => {
      this.#turn((now) => this.#core.askAbout(now, node, new AboutWaiter({ resolve, reject })))
    })
  }

  prepare(peer: string): void {
    this.#turn((now) => this.#core.prepare(now, this.#nameOf(peer)))
  }

  async connect(peer: string): Promise<NodeId> {
    return await this.#begin<NodeId>(peer, undefined, undefined, (settle) => new TunnelWaiter(peer, settle))
  }

  pathTo(node: NodeId): ReturnType<Overlay['pathTo']> {
    const path = this.#core.peers.get(node)?.paths.current
    if (path === undefined) return undefined
    const { kind, endpoint } = path
    const reason = this.#core.pathReason(this.#driver.now(), node) ?? kind
    return { kind, endpoint: formatEndpoint(endpoint), reason }
  }

  get health(): OverlayHealth {
    const { beacon } = this.#core
    const { sendErrors, receiveBufferBytes } = this.#socket
    return {
      hostnameRefused: this.#registration.hostnameRefused,
      nameConflicts: nameConflicts(this.#core.contestedNames, this.#core.trust),
      beacon: { isAnswering: beacon.isAnswering(this.#driver.now()), unanswered: beacon.unanswered },
      mtu: maxDatagramTo(this.#beacon.endpoint),
      receiveBufferBytes,
      sendErrors,
      noNative: this.#noNative,
    }
  }

  hostnameOf(node: NodeId): string | undefined {
    return this.#core.trust.hostnameOf(node)
  }
  claimOf(node: NodeId): string | undefined {
    return this.#core.trust.claimOf(node) ?? this.#core.peers.get(node)?.claim
  }
  async means(hostname: string, node: NodeId): Promise<boolean> {
    return this.#core.trust.means(hostname, node)
  }
  keyOf(node: NodeId): string | undefined {
    const { peers, trust } = this.#core
    const key = peers.get(node)?.key ?? trust.keyOf(node)
    return key === undefined ? undefined : toBase64(key)
  }

  async isTrusted(node: NodeId): Promise<boolean> {
    return node === this.#core.nodeId || this.#core.trust.isTrusted(node)
  }
  async trustOf(node: NodeId): Promise<TrustedEntry | undefined> {
    return node === this.#core.nodeId ? ownEntry(node, this.publicKey) : this.#core.trust.entryOf(node)
  }
  async trusted(): Promise<readonly TrustedEntry[]> {
    return this.#core.trust.trusted
  }
  async pendingTrust(): Promise<readonly PendingEntry[]> {
    return this.#core.trust.pending
  }

  get wishes(): readonly string[] {
    return this.#core.trust.outgoing.map(({ peer }) => peer)
  }

  /** Trust by ticket. */
  get guests(): GuestDesk {
    return this.#trust
  }
  /** Notifies peers about trust directly. */
  set courier(courier: TrustCourier) {
    this.#trust.courier = courier
  }

  async requestTrust(peer: string, reason: string, standing = false): Promise<void> {
    if (!standing && !this.#registration.isRegistered)
      throw new PilotError('REGISTRY_UNREACHABLE', 'trust needs the registry, which does not answer')
    await this.#trust.request(peer, this.#nameOf(peer), reason, !standing)
  }
  async dropWish(peer: string): Promise<boolean> {
    return await this.#trust.drop(this.#nameOf(peer))
  }
  async revokeDisplaced(who: string | KeyOfPeer): Promise<boolean> {
    return await this.#trust.revokeDisplaced(typeof who === 'string' ? this.#nameOf(who) : who)
  }
  async approveTrust(node: NodeId): Promise<boolean> {
    return await this.#trust.approve(node)
  }
  async rejectTrust(node: NodeId): Promise<boolean> {
    return await this.#trust.reject(node)
  }
  async revokeTrust(node: NodeId): Promise<boolean> {
    return await this.#trust.revoke(node)
  }
  /** A handshake message of a peer, over its own tunnel. @returns why it is ignored, or undefined. @throws PilotError STATE_UNWRITABLE. */
  async handleHandshake(from: NodeId, message: HandshakeMessage): Promise<string | undefined> {
    return await this.#trust.handleHandshake(from, message)
  }

  get hasUndelivered(): boolean {
    return this.#core.hasUndelivered
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #stop(): Promise<void> {
    this.#turn((now) => this.#core.resetAll(now))
    this.#watch.stop()
    this.#driver.stop()
    this.#link.stop()
    this.#compat.stop()
    this.#beacon.stop()
    await this.#keeper.stop()
    await this.#placesKeeper.stop()
    await this.#socket.close()
  }

  #turn<T>(act: (now: number) => T): T {
    const result = act(this.#driver.now())
    this.#driver.wake()
    return result
  }

  #nameOf(peer: string): PeerName {
    const pinned = this.#pins.addresses.get(peer)
    if (pinned === undefined) return nameOf(peer)
    const node = this.#core.trust.nodeNamed(peer) // the node with the pinned key, in case the registry has changed its ids
    return { kind: 'address', address: node === undefined ? pinned : { network: 0, node } }
  }

  /** A dial, until the app that waits for it has settled. */
  #begin<T>(
    peer: string,
    port: number | undefined,
    signal: GivingUp | undefined,
    waiterFor: (settle: Settle<T>) => DialApp,
  ): Promise<T> {
    const target = this.#nameOf(peer)
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#turn((now) => this.#core.cancelDial(now, dial))
        reject(new PilotError('FAILED', `${port === undefined ? peer : `${peer}:${port}`}: abandoned by the caller`))
      }
      // Once open, the stream is the caller's: a later signal must not affect it.
      const forget = (): void => signal?.removeEventListener('abort', giveUp)
      const app = waiterFor({
        resolve: (value) => {
          forget()
          resolve(value)
        },
        reject: (error) => {
          forget()
          reject(error)
        },
      })
      const dial = this.#turn((now) => this.#core.dial(now, target, peer, port, app))
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }

  #handleEvent(event: NodeEvent): void {
    switch (event.kind) {
      case 'dial_failed':
        return event.dial.app.onFailed(event.code, event.text)
      case 'connected':
        return event.dial.app.onConnected(event.peer)
      case 'pong':
        return event.app.onPong(event.peer, event.path, event.rttMs)
      case 'name':
        return event.app.onName(event.answer)
      case 'about':
        return event.app.onAbout(event.about, event.isReachable)
      case 'datagram':
        return this.#onDatagram(event)
      case 'registry_answer':
        return event.reply === undefined ? event.app.onRefused(event.text) : event.app.onReply(event.reply)
      case 'incoming':
        return this.#onIncoming(event.stream, event.peer, event.isReply)
      case 'accept_due':
        return this.#trust.onAcceptDue(event.node)
      case 'registered':
        this.#registration.onRegistered(event.hostname)
        this.#trust.onRegistered()
        break
      case 'hostname_set':
        this.#registration.onHostnameSet(event.hostname)
        break
      case 'hostname_refused':
        this.#registration.onHostnameRefused(event.text)
        break
      case 'beacon_silent':
        if (this.#beacon.next(this.#core.beacon.answeredAt)) this.#turn((now) => this.#core.link.handleOtherBeacon(now))
        break
      case 'trust':
      case 'name_bound':
      case 'request_dropped':
        this.#keeper.keepUp()
        break
      default:
        break
    }
    const outward = overlayEvent(event, this.#core.trust, {
      way: this.#core.link.way.current,
      reasonOf: (node) => this.#core.pathReason(this.#driver.now(), node),
    })
    if (outward !== undefined) this.#onEvent(outward)
  }

  #onDatagram({ bytes, node, sourcePort, port }: Extract<NodeEvent, { kind: 'datagram' }>): void {
    const taker = this.#datagrams.get(port)
    if (taker === undefined) this.#drivers.onDatagram?.(bytes, node, sourcePort, port)
    else taker(bytes, node, sourcePort)
  }

  #onIncoming(stream: StreamView, peer: PeerView, isReply: boolean): void {
    const listener = this.#listeners.get(stream.localPort)
    const refuse = (reason?: RefusalReason): void => this.#turn((now) => this.#core.refuse(now, stream, reason))
    if (listener === undefined) return refuse()
    const peerName = peerLabel(peer, this.#core.trust)
    const accept = (): NodeStream => {
      const overlay = new NodeStream(stream, this.#verbs, peerName)
      this.#turn((now) => this.#core.accept(now, stream))
      return overlay
    }
    listener(new PendingIncoming(stream, peerName, isReply, { accept, refuse }))
  }
}
