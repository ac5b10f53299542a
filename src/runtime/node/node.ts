/**
 * The overlay node of a program: core, driver, sockets and files put together, with promises and streams on top.
 * Above: overlay.ts, the interface that everybody uses. Below: node/driver.ts and proto/node.
 */
import { crc32 } from 'node:zlib'
import { formatAddress, type OverlayAddress, type PeerName } from '../../base/address.ts'
import { toBase64 } from '../../base/bytes.ts'
import { PilotError } from '../../base/errors.ts'
import { formatEndpoint, type NodeId } from '../../base/types.ts'
import { chooseCrypto } from '../../crypto/self-test.ts'
import type { Identity } from '../../crypto/identity.ts'
import type { Dial } from '../../proto/node/dial.ts'
import type { NodeEvent } from '../../proto/node/events.ts'
import { OverlayCore } from '../../proto/node/core.ts'
import { pathReason } from '../../proto/node/path-reason.ts'
import type { Peer } from '../../proto/node/peer.ts'
import { parseWish } from '../../proto/node/registration.ts'
import { NEWS_OPEN, type Stream } from '../../proto/stream/stream.ts'
import type { HandshakeMessage } from '../../wire/handshake-message.ts'
import type { PendingEntry, TrustedEntry } from '../../wire/trust-file.ts'
import { BeaconName, resolveFor } from '../net/beacon-name.ts'
import { monotonicNow, systemRandom, timestampOf } from '../clock.ts'
import type { DatagramPort, DatagramSink } from '../net/datagram-port.ts'
import { Driver } from './driver.ts'
import { loadState, saveTrust } from '../files/identity.ts'
import { maxDatagramTo, ownNetwork } from '../net/interfaces.ts'
import type { GivingUp } from '../giving-up.ts'
import { guestDesk } from './guests.ts'
import type { Logger } from '../../base/logger.ts'
import { NetworkWatch } from '../net/network-watch.ts'
import { NodeStream, streamError, type StreamVerbs } from './stream.ts'
import type {
  AboutNode,
  GuestDesk,
  Incoming,
  Listener,
  Overlay,
  OverlayEvent,
  OverlayHealth,
  OverlayDatagrams,
  OverlayStatus,
  PeerStatus,
  Pong,
} from '../overlay.ts'
import { maxSegmentFor, type OverlayNodeOptions } from './options.ts'
import { overlayEvent, peerLabel, peerStatus } from './report.ts'
import { withTimeout } from '../with-timeout.ts'
import { nameOf, parseTarget } from '../peer-name.ts'
import { PendingIncoming } from './pending-incoming.ts'
import { pinnedKeys, pinnedNames } from './pinned.ts'
import { RegistryLink } from '../net/registry-link.ts'
import { rehearseOnce } from './rehearsal.ts'
import { endpointOption, registryTarget, type RegistryTarget } from '../net/endpoints.ts'
import { UdpSocket } from '../net/udp-socket.ts'

interface Waiting<T> {
  resolve(value: T): void
  reject(error: Error): void
}

/** Carries what peers should hear about trust from ourselves, and at once. Best effort: the registry tells them too, but for a revocation. */
export interface TrustCourier {
  ask(peer: string, reason: string): Promise<void>
  accept(node: NodeId): Promise<void>
  revoke(node: NodeId): Promise<void>
}

interface DialApp extends Waiting<NodeStream | Peer> {
  dial: Dial | undefined
  readonly label: string
  readonly port: number
}

export class OverlayNode implements Overlay {
  readonly identity: Identity
  readonly core: OverlayCore
  readonly #registryEndpoint: string
  readonly #beaconEndpoint: string
  readonly #beacon: BeaconName
  #registryState: 'connecting' | 'registered' | 'unreachable' = 'connecting'
  #registrySince = new Date()
  hostname: string | undefined
  /** Why the registry does not give us the hostname we asked for. */
  #hostnameRefused: string | undefined
  /** Set by services/handshake.ts, which knows how to tell peers. */
  courier: TrustCourier | undefined
  #named = false
  readonly #driver: Driver
  readonly #socket: DatagramPort
  readonly #link: RegistryLink
  readonly #log: Logger
  readonly #onEvent: (event: OverlayEvent) => void
  readonly #trustPath: string | undefined
  readonly #listeners = new Map<number, (incoming: Incoming) => void>()
  readonly #datagrams = new Map<number, (bytes: Uint8Array, from: NodeId, sourcePort: number) => void>()
  readonly #pinnedNames: ReadonlyMap<string, OverlayAddress>
  #registered: Array<() => void> = []
  #saving: Promise<void> = Promise.resolve()
  #stopping: Promise<void> | undefined
  #toldUnreachable = false
  readonly #verbs: StreamVerbs
  readonly #watch: NetworkWatch
  readonly guests: GuestDesk

  private constructor(parts: {
    identity: Identity
    core: OverlayCore
    socket: DatagramPort
    trustPath: string | undefined
    log: Logger
    options: OverlayNodeOptions
    registry: RegistryTarget
    beacon: BeaconName
    onEvent: (event: OverlayEvent) => void
    sink: DatagramSink
  }) {
    const { core, socket, options } = parts
    this.identity = parts.identity
    this.core = core
    this.#registryEndpoint = options.registry
    this.#beaconEndpoint = options.beacon
    this.#beacon = parts.beacon
    parts.beacon.follow({
      isSilent: () => core.context.beacon.silent,
      onMoved: () => this.#turn((now) => core.context.beacon.refresh(now)),
    })
    this.#socket = socket
    this.#log = parts.log
    this.#onEvent = parts.onEvent
    this.#trustPath = parts.trustPath
    this.#pinnedNames = pinnedNames(options.pinned)
    this.#link = new RegistryLink(parts.registry, {
      onConnected: () => this.#turn((now) => core.handleRegistryConnected(now)),
      onDisconnected: (reason) => this.#onRegistryLost(reason),
      onReply: (reply) => this.#turn((now) => core.handleRegistryReply(now, reply)),
    })
    this.#driver = new Driver(core, socket, {
      now: monotonicNow,
      sendRegistry: (message) => this.#link.send(message),
      dropRegistry: () => this.#link.drop(),
      onEvent: (event) => this.#handleEvent(event),
      onStream: (stream, news) => this.#handleStream(stream, news),
    })
    this.#watch = new NetworkWatch(socket.local, core.context.options.beacon ?? parts.registry, (network, why) => {
      parts.log.info({ why, addresses: network.ownEndpoints.map(({ address }) => address) }, 'our network has changed')
      this.#turn((now) => core.handleNetworkChange(now, network, why === 'moved'))
    })
    this.guests = guestDesk(
      core,
      (act) => this.#turn(act),
      (peer, reason) => void this.courier?.ask(peer, reason),
    )
    parts.sink.keysOf = (sender) => core.context.keysOf(sender)
    parts.sink.onBatch = (batch, count) => {
      const now = this.#driver.now()
      for (let i = 0; i < count; i++) core.handleDatagram(now, batch[i]!.bytes, batch[i]!.source, batch[i]!.opened)
      this.#driver.wake()
    }
    this.#verbs = {
      write: (stream, bytes, more) => this.#turn((now) => core.write(now, stream, bytes, more)),
      shutdown: (stream) => this.#turn((now) => core.shutdown(now, stream)),
      close: (stream) => this.#turn((now) => core.close(now, stream)),
      reset: (stream) => this.#turn((now) => core.reset(now, stream)),
      afterRead: (stream) => this.#turn((now) => core.afterRead(now, stream)),
    }
  }

  /** Binds the UDP socket and begins to register; `whenRegistered` tells when that is done. */
  static async start(
    options: OverlayNodeOptions,
    log: Logger,
    onEvent: (event: OverlayEvent) => void,
  ): Promise<OverlayNode> {
    const crypto = chooseCrypto()
    if (crypto.name !== 'node')
      log.warn({ crypto: crypto.name }, 'node:crypto failed its self-test: the portable cipher is used, and is slower')
    const { identity, trust, trustFile } = await loadState(options.identityFile, systemRandom)
    const listen = endpointOption(options.listen, 'listen')
    const registry = registryTarget(options.registry, options.registryFingerprint)
    const beacon = new BeaconName(endpointOption(options.beacon, 'beacon'), log, resolveFor(listen))
    await beacon.start()
    const fixedEndpoint = options.endpoint === undefined ? undefined : endpointOption(options.endpoint, 'endpoint')
    const sink: DatagramSink = { onBatch: () => {}, keysOf: () => [] } // until there is a node
    const socket = await UdpSocket.open(listen, sink)
    const core = new OverlayCore(
      {
        identity,
        crypto,
        crc32,
        random: systemRandom,
        timestamp: timestampOf,
        beacon: beacon.endpoint,
        fixedEndpoint,
        localEndpoint: socket.local,
        network: ownNetwork(socket.local),
        hostname: options.hostname,
        public: options.public,
        networks: options.networks ?? [],
        tags: options.tags,
        pinnedKeys: pinnedKeys(options.pinned),
        maxDatagram: maxDatagramTo,
        maxSegment: maxSegmentFor(socket.receiveBufferBytes),
      },
      trust,
      monotonicNow(),
    )
    const node = new OverlayNode({
      identity,
      core,
      socket,
      trustPath: trustFile,
      log,
      options,
      registry,
      beacon,
      onEvent,
      sink,
    })
    node.hostname = options.hostname
    for (const peer of options.trust) node.#wish(peer, 'asked at start', true)
    node.#link.start()
    node.#turn((now) => core.handleTimeout(now))
    setImmediate(() => rehearseOnce({ crypto, crc32, random: systemRandom, timestamp: timestampOf }, trust.trusted)) // while the registry is on its way
    return node
  }

  get nodeId(): NodeId {
    return this.core.nodeId
  }
  get address(): string {
    return formatAddress({ network: 0, node: this.nodeId })
  }
  get publicKey(): string {
    return this.identity.publicKeyBase64
  }

  get status(): OverlayStatus {
    const { beacon, counters, nat } = this.core.context
    return {
      udp: formatEndpoint(this.#socket.local),
      registry: {
        endpoint: this.#registryEndpoint,
        state: this.#registryState,
        since: this.#registrySince.toISOString(),
      },
      beacon: {
        endpoint: this.#beaconEndpoint,
        observed: beacon.observed === undefined ? null : formatEndpoint(beacon.observed),
      },
      nat: { mapping: nat.mapping, filtering: nat.filtering },
      daemon: null,
      counters,
    }
  }

  get peers(): readonly PeerStatus[] {
    const { peers, trust } = this.core.context
    return [...peers.values()].map((peer) =>
      peerStatus(peer, trust.isTrusted(peer.node), this.#driver.now(), this.#reason(peer) ?? null),
    )
  }

  async whenRegistered(patienceMs: number): Promise<boolean> {
    const registered =
      this.#named ||
      (await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), patienceMs)
        this.#registered.push(() => {
          clearTimeout(timer)
          resolve(true)
        })
      }))
    if (this.#hostnameRefused === undefined) return registered
    throw new PilotError(
      'CONFLICT',
      `hostname ${this.hostname ?? ''}: the registry refuses it: ${this.#hostnameRefused}`,
      { hostname: this.hostname },
    )
  }

  async dial(target: string, signal?: GivingUp): Promise<NodeStream> {
    const { peer, port } = parseTarget(target)
    return (await this.#dial(peer, port, signal)) as NodeStream
  }

  async listen(port: number, onIncoming: (incoming: Incoming) => void): Promise<Listener> {
    if (!this.core.listen(port))
      throw new PilotError('PORT_IN_USE', `overlay port ${port} is exposed already`, { port })
    this.#listeners.set(port, onIncoming)
    return {
      close: () => {
        this.core.unlisten(port)
        this.#listeners.delete(port)
      },
    }
  }

  async datagrams(
    port: number,
    onDatagram: (bytes: Uint8Array, from: NodeId, sourcePort: number) => void,
  ): Promise<OverlayDatagrams> {
    if (!this.core.openDatagrams(port)) throw new PilotError('PORT_IN_USE', `datagram port ${port} is taken`, { port })
    this.#datagrams.set(port, onDatagram)
    return {
      keepsSourcePort: true,
      send: async (peer, toPort, bytes) => {
        const name = this.#nameOf(peer)
        // A peer named by its id, with its tunnel up: the datagram leaves in this turn, in order with the others.
        const isUp = name.kind === 'address' && this.core.context.peers.get(name.address.node)?.connected === true
        const node = isUp ? name.address.node : ((await this.#dial(peer, 0)) as Peer).node
        const fault = this.#turn(() => this.core.sendDatagram(node, port, toPort, bytes))
        if (fault === 'too_large')
          throw new PilotError(
            'DATAGRAM_TOO_LARGE',
            `${bytes.length} bytes are more than the path to ${peer} carries in one packet`,
          )
        if (fault === 'not_connected') throw new PilotError('PEER_UNREACHABLE', `${peer}: the tunnel is gone`)
      },
      close: () => {
        this.core.closeDatagrams(port)
        this.#datagrams.delete(port)
      },
    }
  }

  async ping(peer: string, timeoutMs: number): Promise<Pong> {
    const connected = (await withTimeout(
      this.#dial(peer, 0),
      timeoutMs,
      `${peer}: no tunnel within ${timeoutMs} ms`,
    )) as Peer
    return await withTimeout(
      new Promise<Pong>((resolve, reject) => {
        const token: Waiting<Pong> = { resolve, reject }
        if (!this.#turn((now) => this.core.ping(now, connected.node, token)))
          reject(new PilotError('PEER_UNREACHABLE', `${peer}: the tunnel is gone`))
      }),
      timeoutMs,
      `${peer}: no answer within ${timeoutMs} ms`,
    )
  }

  async resolve(peer: string): Promise<NodeId> {
    const name = this.#nameOf(peer)
    if (name.kind === 'address') return name.address.node
    return await new Promise((resolve, reject) =>
      this.#turn((now) => this.core.askName(now, name.hostname, { resolve, reject })),
    )
  }

  async about(node: NodeId): Promise<AboutNode> {
    return await new Promise((resolve, reject) =>
      this.#turn((now) => this.core.askAbout(now, node, { resolve, reject })),
    )
  }

  prepare(peer: string): void {
    this.#turn((now) => this.core.prepare(now, this.#nameOf(peer)))
  }

  async connect(peer: string): Promise<NodeId> {
    return ((await this.#dial(peer, 0)) as Peer).node
  }

  pathTo(node: NodeId): ReturnType<Overlay['pathTo']> {
    const peer = this.core.context.peers.get(node)
    const path = peer?.paths.current
    if (peer === undefined || path === undefined) return undefined
    return { kind: path.kind, endpoint: formatEndpoint(path.endpoint), reason: this.#reason(peer) ?? path.kind }
  }

  #reason(peer: Peer): string | undefined {
    return pathReason(this.core.context, peer, this.#driver.now())
  }

  get health(): OverlayHealth {
    const { beacon, options } = this.core.context
    const { sendErrors, receiveBufferBytes } = this.#socket
    return {
      hostnameRefused: this.#hostnameRefused,
      beacon: { isAnswering: beacon.isAnswering(this.#driver.now()), unanswered: beacon.unanswered },
      mtu: options.beacon === undefined ? 0 : options.maxDatagram(options.beacon),
      receiveBufferBytes,
      sendErrors,
    }
  }

  hostnameOf(node: NodeId): string | undefined {
    return this.core.context.trust.hostnameOf(node) ?? this.core.context.peers.get(node)?.hostname
  }
  keyOf(node: NodeId): string | undefined {
    const { peers, trust } = this.core.context
    const key = peers.get(node)?.key ?? trust.keyOf(node)
    return key === undefined ? undefined : toBase64(key)
  }

  async isTrusted(node: NodeId): Promise<boolean> {
    return this.core.context.trust.isTrusted(node)
  }
  async trusted(): Promise<readonly TrustedEntry[]> {
    return this.core.context.trust.trusted
  }
  async pendingTrust(): Promise<readonly PendingEntry[]> {
    return this.core.context.trust.pending
  }

  get wishes(): readonly string[] {
    return this.core.context.trust.wishes.map(({ peer }) => peer)
  }

  async requestTrust(peer: string, reason: string, patient = false): Promise<void> {
    if (!patient && this.#registryState !== 'registered')
      throw new PilotError('REGISTRY_UNREACHABLE', 'trust travels through the registry, which does not answer')
    this.#wish(peer, reason)
    void this.courier?.ask(peer, reason)
  }

  dropWish(peer: string): boolean {
    const name = this.#nameOf(peer)
    return this.core.dropWish(name.kind === 'address' ? formatAddress(name.address) : name.hostname)
  }

  async approveTrust(node: NodeId): Promise<boolean> {
    return this.#turn((now) => this.core.approveTrust(now, node))
  }
  async rejectTrust(node: NodeId): Promise<boolean> {
    return this.#turn((now) => this.core.rejectTrust(now, node))
  }

  async revokeTrust(node: NodeId): Promise<boolean> {
    // Said while the tunnel is up: afterwards nothing of ours would open at the peer, and nothing of its here.
    if (this.core.context.peers.get(node)?.connected === true && this.core.context.trust.isTrusted(node)) {
      this.#turn((now) => this.core.resetStreams(now, node))
      await this.courier?.revoke(node)
    }
    return this.#turn((now) => this.core.revokeTrust(now, node))
  }

  /** A handshake message of a peer, over its own tunnel. @returns why it is ignored, or undefined. */
  handleHandshake(from: NodeId, message: HandshakeMessage): string | undefined {
    return this.#turn((now) => this.core.handleHandshake(now, from, message))
  }

  get hasUndelivered(): boolean {
    for (const peer of this.core.context.peers.values()) {
      for (const stream of peer.streams.values())
        if (stream.phase === 'established' && !stream.sender.drained) return true
    }
    return false
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #stop(): Promise<void> {
    for (const peer of this.core.context.peers.values()) {
      for (const stream of peer.streams.values()) this.#verbs.reset(stream)
    }
    this.#watch.stop()
    this.#driver.stop()
    this.#link.stop()
    this.#beacon.stop()
    this.#saveTrust()
    await this.#saving
    await this.#socket.close()
  }

  #turn<T>(act: (now: number) => T): T {
    const result = act(this.#driver.now())
    this.#driver.wake()
    return result
  }

  #wish(peer: string, reason: string, atStart = false): void {
    const name = this.#nameOf(peer)
    const wish = parseWish(name.kind === 'address' ? formatAddress(name.address) : name.hostname, reason)
    if (wish === undefined) throw new PilotError('USAGE', `${peer}: neither a hostname, nor an address, nor a node id`)
    if (atStart && this.core.context.trust.isRevoked(wish))
      this.#log.warn(
        { peer, code: 'NOT_TRUSTED' },
        'trust of this peer was revoked here, so its name in the configuration does not ask for it; `pilotgate trust request` would',
      )
    else this.#turn((now) => this.core.requestTrust(now, wish))
  }

  #nameOf(peer: string): PeerName {
    const pinned = this.#pinnedNames.get(peer)
    return pinned === undefined ? nameOf(peer) : { kind: 'address', address: pinned }
  }

  #dial(peer: string, port: number, signal?: GivingUp): Promise<NodeStream | Peer> {
    const target = this.#nameOf(peer)
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#turn((now) => this.core.cancelDial(now, app.dial!))
        reject(new PilotError('FAILED', `${peer}:${port}: given up by the caller`))
      }
      // Once the stream is open it is the caller's: a signal that comes later must not touch it.
      const settle =
        <T>(tell: (value: T) => void) =>
        (value: T): void => {
          signal?.removeEventListener('abort', giveUp)
          tell(value)
        }
      const app: DialApp = { resolve: settle(resolve), reject: settle(reject), dial: undefined, label: peer, port }
      app.dial = this.#turn((now) => this.core.dial(now, target, peer, port, app))
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }

  #handleStream(stream: Stream, news: number): void {
    const app = stream.app
    if (app instanceof NodeStream) return app.onNews(news)
    if (app instanceof PendingIncoming) return app.onNews(stream)
    const dial = app as Dial | undefined
    if (dial === undefined) return
    const waiting = dial.app as DialApp
    if (dial.cancelled) return
    if ((news & NEWS_OPEN) !== 0) {
      const overlay = new NodeStream(stream, this.#verbs, waiting.label)
      stream.app = overlay
      waiting.resolve(overlay)
      if ((news & ~NEWS_OPEN) !== 0) overlay.onNews(news & ~NEWS_OPEN)
    } else if (stream.end !== undefined) waiting.reject(streamError(stream.end, waiting.label, waiting.port))
  }

  #handleEvent(event: NodeEvent): void {
    switch (event.kind) {
      case 'dial_failed': {
        const { label, port, app } = event.dial
        const where = port === 0 ? label : `${label}:${port}`
        ;(app as DialApp).reject(new PilotError(event.code, `${where}: ${event.text}`, { peer: label, port }))
        return
      }
      case 'connected':
        ;(event.dial.app as DialApp).resolve(event.peer)
        return
      case 'pong':
        ;(event.token as Waiting<Pong>).resolve({
          node: event.peer.node,
          rttMs: event.rttMs,
          path: event.path.kind,
          endpoint: formatEndpoint(event.path.endpoint),
        })
        return
      case 'name': {
        const waiting = event.token as Waiting<NodeId>
        if (event.node !== undefined) waiting.resolve(event.node)
        else waiting.reject(new PilotError(event.code!, event.text))
        return
      }
      case 'about': {
        const { resolve, reject } = event.token as Waiting<AboutNode>
        if (event.about !== undefined)
          resolve({
            publicKey: toBase64(event.about.publicKey),
            networks: event.about.networks,
            tags: event.about.tags,
          })
        else
          reject(
            event.isReachable
              ? new PilotError('NOT_FOUND', 'the registry knows no such node')
              : new PilotError('REGISTRY_UNREACHABLE', 'the registry does not answer'),
          )
        return
      }
      case 'datagram':
        this.#datagrams.get(event.port)?.(event.bytes, event.node, event.sourcePort)
        return
      case 'incoming':
        this.#onIncoming(event.stream, event.peer)
        return
      case 'registered':
        this.#onRegistered(event.hostname)
        this.#saveTrust()
        break
      case 'hostname_set':
        this.#tellRegistered()
        break
      case 'hostname_refused':
        this.#hostnameRefused = event.text
        this.#tellRegistered()
        break
      case 'trust':
        this.#saveTrust()
        break
      case 'accept_due':
        void this.courier?.accept(event.node)
        return
      default:
        break
    }
    const told = overlayEvent(event)
    if (told !== undefined) this.#onEvent(told)
  }

  #onIncoming(stream: Stream, peer: Peer): void {
    const listener = this.#listeners.get(stream.localPort)
    if (listener === undefined) return this.#turn((now) => this.core.refuse(now, stream))
    const peerName = peerLabel(peer)
    listener(
      new PendingIncoming(stream, peerName, {
        accept: () => {
          const overlay = new NodeStream(stream, this.#verbs, peerName)
          stream.app = overlay
          this.#turn((now) => this.core.accept(now, stream))
          return overlay
        },
        refuse: () => this.#turn((now) => this.core.refuse(now, stream)),
      }),
    )
  }

  #onRegistered(hostname: string | undefined): void {
    this.#registryState = 'registered'
    this.#registrySince = new Date()
    this.#toldUnreachable = false
    for (const { peer, reason } of this.core.context.trust.wishes) void this.courier?.ask(peer, reason)
    // A name that the registration did not settle is being asked for; its answer follows.
    if (this.hostname === undefined || hostname === this.hostname) this.#tellRegistered()
  }

  #tellRegistered(): void {
    this.#named = true
    for (const tell of this.#registered) tell()
    this.#registered = []
  }

  #onRegistryLost(reason: string): void {
    if (this.#registryState !== 'unreachable') this.#registrySince = new Date()
    this.#registryState = 'unreachable'
    if (!this.#toldUnreachable) {
      this.#toldUnreachable = true
      this.#log.warn(
        { registry: this.#registryEndpoint, reason, code: 'REGISTRY_UNREACHABLE' },
        'the registry cannot be reached; trying on. Tunnels that are up go on working',
      )
    }
    this.#turn((now) => this.core.handleRegistryDisconnected(now))
  }

  #saveTrust(): void {
    const { trust } = this.core.context
    if (!trust.takeDirty() || this.#trustPath === undefined) return
    const [path, file] = [this.#trustPath, trust.save()]
    this.#saving = this.#saving
      .then(() => saveTrust(path, file))
      .catch((error: unknown) =>
        this.#log.error({ path, reason: String(error) }, 'trust could not be saved: it will be lost at the next start'),
      )
  }
}
