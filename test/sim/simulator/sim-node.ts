/**
 * One overlay node of the virtual world: the real core, driven as runtime/node/driver.ts and runtime/node/node.ts drive
 * it, on a virtual socket and a virtual clock. It can be killed, restarted with the same identity, and moved to another
 * endpoint.
 */
import { parsePeerName } from '../../../src/base/address.ts'
import type { Endpoint, NodeId } from '../../../src/base/types.ts'
import { nodeCrypto } from '../../../src/crypto/aead.ts'
import { createIdentity } from '../../../src/crypto/identity.ts'
import type { Identity } from '../../../src/crypto/identity.ts'
import type { OwnNetwork } from '../../../src/proto/node/options.ts'
import { readU32 } from '../../../src/base/bytes.ts'
import type { OpenedFrame } from '../../../src/proto/tunnel/session.ts'
import {
  MAGIC_SEALED,
  SEALED_HEADER_BYTES,
  SEALED_OVERHEAD_BYTES,
  sealedSender,
} from '../../../src/wire/tunnel-frames.ts'
import type { DatagramSlot } from '../../../src/proto/node/datagram-slot.ts'
import { createSlot, sealSlot } from '../../../src/proto/node/datagram-slot.ts'
import { drain, type Outside } from '../../../src/proto/node/drain.ts'
import type { NodeEvent } from '../../../src/proto/node/events.ts'
import { OverlayCore } from '../../../src/proto/node/core.ts'
import { NodeState } from '../../../src/proto/node/state.ts'
import type { Membership } from '../../../src/proto/node/options.ts'
import type { Peer } from '../../../src/proto/node/peer.ts'
import type { OutgoingRequest, TrustJudge } from '../../../src/proto/trust/requests.ts'
import { parseTrustRequest } from '../../../src/proto/node/trust-exchange.ts'
import type { StreamView } from '../../../src/proto/stream/stream-view.ts'
import { crc32 } from '../../../src/wire/crc32.ts'
import type { RefusalReason } from '../../../src/wire/refusal.ts'
import type { Place } from '../../../src/wire/places-file.ts'
import type { TrustFile } from '../../../src/wire/trust-file.ts'
import type { Uplink } from './nat.ts'
import { Random } from './random.ts'
import type { SimOverlay } from './overlay.ts'
import { EPOCH_MS, SimRegistryLink } from './sim-registry.ts'
import { SimKeeper } from './sim-disk.ts'
import { SimStream } from './sim-stream.ts'
import { SimLink } from './sim-wss.ts'
import type { Transport } from '../../../src/proto/rendezvous/beacon-way.ts'

export interface SimNodeOptions {
  readonly hostname?: string
  readonly public?: boolean
  readonly networks?: readonly Membership[]
  readonly tags?: readonly string[]
  readonly trust?: readonly string[] // requested at every start
  readonly beacon?: boolean // default true
  readonly maxDatagram?: number // MTU of the local interface, bytes
  readonly maxSegment?: number
  readonly rekeyMs?: number | undefined // default REKEY_MS
  readonly pinnedKeys?: ReadonlyMap<NodeId, Uint8Array>
  readonly pinnedNames?: ReadonlyMap<string, Uint8Array>
  readonly trustFile?: TrustFile
  readonly fixedEndpoint?: Endpoint
  readonly localEndpoint?: Endpoint // what the socket is bound to, behind a NAT; default: as others see it
  /** Behind this box: `inside` is the node's own endpoint, `outside` the address the registry sees. */
  readonly behind?: { readonly nat: Uplink; readonly inside: Endpoint; readonly outside: string }
  readonly lanEndpoints?: readonly Endpoint[]
  readonly transport?: Transport | undefined // default: only UDP
}

export class SimNode implements Outside {
  readonly overlay: SimOverlay
  readonly options: SimNodeOptions
  readonly identity: Identity
  readonly random: Random
  endpoint: Endpoint
  core!: OverlayCore
  /** The core's internals, for tests that inspect them. */
  state!: NodeState
  readonly backlog = 0
  link!: SimRegistryLink
  alive = false
  events: NodeEvent[] = []
  /** What is on its disk. */
  trustFile: TrustFile
  readonly keeper: SimKeeper<TrustFile>
  /** How far its clock runs ahead, ms. */
  clockOffsetMs = 0
  /** Asked about trust requests, across restarts. */
  judge: TrustJudge | undefined
  places: readonly Place[] = []
  /** Accepted streams, in order. */
  readonly accepted: SimStream[] = []
  wakes = 0
  heapPops = 0
  /** How often something was still due right after the core had been served. */
  spins = 0
  readonly #listeners = new Map<
    number,
    ((stream: SimStream) => void) | { readonly refuse: RefusalReason | undefined }
  >()
  readonly #batch = [createSlot()]
  #life = 0
  #asksAtStart = true
  #scheduled = false
  #timerAt = Infinity
  #servedAt = -1
  /** Its connection where UDP does not pass. */
  wss: SimLink | undefined
  #linkAt = -1
  #pausedUntil = -1
  readonly #held: ((now: number) => void)[] = []

  constructor(overlay: SimOverlay, endpoint: Endpoint, seed: number, options: SimNodeOptions) {
    this.overlay = overlay
    this.options = options
    this.endpoint = endpoint
    this.random = new Random(seed)
    this.identity = createIdentity(this.random.bytes(32))
    this.trustFile = options.trustFile ?? { trusted: [], pending: [] }
    this.keeper = new SimKeeper(overlay.world, (file) => (this.trustFile = file))
  }

  /** How often it was started; nothing answers what an earlier run began. */
  get lives(): number {
    return this.#life
  }
  get nowMs(): number {
    return this.overlay.world.nowMs
  }
  get nodeId(): NodeId {
    return this.core.nodeId ?? 0
  }
  get uplink(): Uplink {
    return this.options.behind?.nat ?? this.overlay.network
  }
  get registered(): boolean {
    return this.core.isRegistered
  }

  start(): void {
    const life = ++this.#life
    this.alive = true
    this.#scheduled = false
    this.#timerAt = Infinity
    this.core = this.#makeCore()
    this.#watchHeap()
    this.uplink.attach(this.endpoint, (bytes, source) => this.#onDatagram(life, bytes, source))
    this.link = new SimRegistryLink(
      this.overlay.world,
      this.overlay.registry,
      this.options.behind?.outside ?? this.endpoint.address,
      {
        onConnected: () => this.#ifAlive(life, (now) => this.core.handleRegistryConnected(now)),
        onDisconnected: () => this.#ifAlive(life, (now) => this.core.handleRegistryDisconnected(now)),
        onReply: (reply) => this.#ifAlive(life, (now) => this.core.handleRegistryReply(now, reply)),
      },
    )
    for (const port of this.#listeners.keys()) this.core.listen(port)
    this.core.setJudge(this.judge)
    for (const peer of this.#asksAtStart ? (this.options.trust ?? []) : []) this.#requestAtStart(peer)
    this.link.start()
    this.turn((now) => this.core.handleTimeout(now))
  }

  /** Its next run requests no trust by configuration: it has only its trust file. */
  withoutWishes(): this {
    this.#asksAtStart = false
    return this
  }

  /** Like a killed process: no one is notified. */
  kill(): void {
    this.places = this.core.places // in reality written only now and then
    this.alive = false
    this.#pausedUntil = -1
    this.#held.length = 0
    this.#life += 1
    this.keeper.crash()
    this.link.stop()
    this.wss?.close(undefined)
    this.wss = undefined
    this.uplink.detach(this.endpoint)
  }

  restart(endpoint = this.endpoint): void {
    if (this.alive) this.kill()
    this.endpoint = endpoint
    this.start()
  }

  /** Like SIGSTOP and SIGCONT: nothing is handled meanwhile; the socket's buffer keeps the first datagrams. */
  pause(ms: number): void {
    const life = this.#life
    const until = this.nowMs + ms
    if (until <= this.#pausedUntil) return
    this.#pausedUntil = until
    this.overlay.world.at(until, () => {
      if (life !== this.#life || this.#pausedUntil !== until) return
      this.#pausedUntil = -1
      for (const act of this.#held.splice(0)) act(this.nowMs)
      this.core.handleTimeout(this.nowMs)
      this.#wake()
    })
  }

  get isPaused(): boolean {
    return this.nowMs < this.#pausedUntil
  }

  /** The NAT in front of it assigns another address or port; the old one goes nowhere. */
  rebind(endpoint: Endpoint): void {
    const life = this.#life
    this.uplink.detach(this.endpoint)
    this.endpoint = endpoint
    this.uplink.attach(endpoint, (bytes, source) => this.#onDatagram(life, bytes, source))
  }

  /** This machine moves to another network and notices. */
  roam(endpoint: Endpoint): void {
    this.rebind(endpoint)
    this.turn((now) => this.core.handleNetworkChange(now, this.#network, true))
  }

  /** An interface on this machine changed, but our source address did not. */
  interfacesChanged(): void {
    this.turn((now) => this.core.handleNetworkChange(now, this.#network, false))
  }

  listen(port: number, onStream: (stream: SimStream) => void = () => {}): void {
    this.#listeners.set(port, onStream)
    this.core.listen(port)
  }

  /** A listener that rejects everyone. @param reason that they are given. */
  listenAndRefuse(port: number, reason?: RefusalReason): void {
    this.#listeners.set(port, { refuse: reason })
    this.core.listen(port)
  }

  /** @param port undefined: only the tunnel. */
  dial(target: string, port?: number): SimStream {
    const name = parsePeerName(target)
    if (name === undefined) throw new Error(`not a peer: ${target}`)
    const stream = new SimStream(this)
    this.turn((now) => {
      stream.dial = this.core.dial(now, name, target, port, stream)
    })
    return stream
  }

  /**
   * As a person would: it lifts a revocation. @param key the only key that satisfies it; default: the pinned one, or
   * any.
   */
  requestTrust(peer: string, key = this.options.pinnedNames?.get(peer)): void {
    const request = this.#wish(peer, key)
    this.turn((now) => this.core.requestTrust(now, request))
  }

  /** As the configuration would. */
  #requestAtStart(peer: string): void {
    const request = this.#wish(peer, this.options.pinnedNames?.get(peer))
    if (!this.core.trust.isRevoked(request)) this.turn((now) => this.core.requestTrust(now, request))
  }

  #wish(peer: string, key: Uint8Array | undefined): OutgoingRequest {
    const wish = parseTrustRequest(peer, 'simulated')
    if (wish === undefined) throw new Error(`not a peer: ${peer}`)
    return { ...wish, ...(key !== undefined && { key }) }
  }

  /** Calls back once the trust in force is on disk: what a command waits for before it answers. */
  whenTrustIsKept(done: () => void): void {
    this.#keepTrust()
    this.keeper.settled(done)
  }

  #keepTrust(): void {
    if (this.core.takeTrustChange()) this.keeper.save(this.core.trustFile())
  }

  peer(other: SimNode): Peer | undefined {
    return this.state.peers.get(other.nodeId)
  }

  eventsOf<Kind extends NodeEvent['kind']>(kind: Kind): Array<Extract<NodeEvent, { kind: Kind }>> {
    return this.events.filter((event): event is Extract<NodeEvent, { kind: Kind }> => event.kind === kind)
  }

  turn(act: (now: number) => void): void {
    if (!this.alive) return
    if (this.isPaused) {
      this.#held.push(act)
      return
    }
    act(this.nowMs)
    this.#wake()
  }

  #onDatagram(life: number, bytes: Uint8Array, source: Endpoint): void {
    if (this.isPaused && this.#held.length >= SOCKET_BUFFER_DATAGRAMS) return
    this.#ifAlive(life, (now) => this.#receive(now, bytes, source))
  }

  #ifAlive(life: number, act: (now: number) => void): void {
    if (life === this.#life) this.turn(act)
  }

  get #network(): OwnNetwork {
    const own = this.options.localEndpoint ?? this.endpoint
    return { lanEndpoints: this.options.lanEndpoints ?? [], worldEndpoints: [], ownEndpoints: [own] }
  }

  #makeCore(): OverlayCore {
    const { options } = this
    const state = (this.state = new NodeState({
      identity: this.identity,
      crypto: nodeCrypto,
      crc32,
      random: this.random.bytes,
      unixSeconds: (now) => Math.floor((EPOCH_MS + this.clockOffsetMs + now) / 1_000),
      timestamp: (now) => new Date(EPOCH_MS + this.clockOffsetMs + Math.floor(now)).toISOString(),
      transport: options.transport,
      beacon: options.beacon === false ? undefined : this.overlay.beaconEndpoint,
      fixedEndpoint: options.fixedEndpoint,
      localEndpoint: options.localEndpoint ?? this.endpoint,
      network: this.#network,
      hostname: options.hostname,
      public: options.public ?? false,
      networks: options.networks ?? [],
      tags: options.tags,
      pinnedKeys: options.pinnedKeys ?? new Map(),
      pinnedNames: options.pinnedNames,
      places: this.places,
      maxDatagram: () => options.maxDatagram ?? 1_472,
      maxSegment: options.maxSegment ?? 61_440,
      rekeyMs: options.rekeyMs,
    }))
    return new OverlayCore(state.options, this.trustFile, this.nowMs, state)
  }

  /** Counts the work done by the deadline heap. */
  #watchHeap(): void {
    const { heap } = this.state
    const popDue = heap.popDue.bind(heap)
    heap.popDue = (now) => {
      const due = popDue(now)
      if (due !== undefined) this.heapPops += 1
      return due
    }
  }

  #wake(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    const life = this.#life
    this.overlay.world.after(0, () => {
      if (life !== this.#life) return
      this.#scheduled = false
      if (!this.isPaused) this.#flush()
    })
  }

  /**
   * Every second node has a port that decrypts frames before the core sees them, as runtime/net/datagram-port.ts
   * allows.
   */
  #receive(now: number, bytes: Uint8Array, source: Endpoint): void {
    if (this.options.transport === 'tcp') return
    const isSealed = bytes.length >= SEALED_OVERHEAD_BYTES && readU32(bytes, 0) === MAGIC_SEALED
    const keys = isSealed && this.nodeId % 2 === 0 ? this.core.keysOf(sealedSender(bytes)) : []
    let opened: OpenedFrame | undefined
    for (const key of keys) {
      const packet = key.open(
        bytes.subarray(8, SEALED_HEADER_BYTES),
        bytes.subarray(4, 8),
        bytes.subarray(SEALED_HEADER_BYTES),
      )
      if (packet !== undefined) opened ??= { key, packet }
    }
    this.core.handleDatagram(now, bytes, source, opened)
  }

  #flush(): void {
    const { core } = this
    const now = this.nowMs
    this.wakes += 1
    if (drain(core, this, this.#batch, now) !== 'idle') this.#wake()
    this.#arm()
  }

  send(batch: readonly DatagramSlot[], count: number): void {
    for (const slot of batch.slice(0, count)) {
      sealSlot(slot)
      if (slot.byTcp) this.wss?.send(slot.buffer.subarray(0, slot.length))
      else if (this.options.transport !== 'tcp')
        this.uplink.send(this.endpoint, slot.endpoint, slot.buffer.subarray(0, slot.length))
    }
  }

  /** Like runtime/net/: opens, opens again, closes. Without an id there is nothing to prove. */
  holdLink(isWanted: boolean): void {
    if (!isWanted) {
      this.wss?.end()
      return
    }
    if (this.wss !== undefined || this.#linkAt > this.nowMs) return
    if (this.nodeId === 0) return
    const life = this.#life
    const address = this.options.behind?.outside ?? this.endpoint.address
    this.wss = new SimLink(this.overlay, this.nodeId, address, {
      onUp: (isOurs) => this.#ifAlive(life, (now) => this.core.link.handleUp(now, isOurs)),
      onRoom: (hasRoom) => this.#ifAlive(life, () => this.core.link.handleRoom(hasRoom)),
      onDatagram: (bytes) => this.#ifAlive(life, (now) => this.core.link.handleDatagram(now, bytes)),
      onDown: (fault) =>
        this.#ifAlive(life, () => {
          this.wss = undefined
          this.#linkAt = this.nowMs + LINK_AGAIN_MS
          this.overlay.world.at(this.#linkAt, () => this.#ifAlive(life, () => {}))
          this.core.link.handleDown(fault)
        }),
    })
  }

  sendRegistry(request: object): void {
    this.link.send(request)
  }

  dropRegistry(): void {
    this.link.drop()
  }

  onEvent(event: NodeEvent): void {
    this.events.push(event)
    if (event.kind === 'dial_failed') event.dial.app.onFailed(event.code, event.text)
    else if (event.kind === 'connected') event.dial.app.onConnected(event.peer)
    else if (event.kind === 'incoming') this.#onIncoming(event.stream)
    else if (event.kind === 'trust') this.#keepTrust()
  }

  #onIncoming(stream: StreamView): void {
    const listener = this.#listeners.get(stream.localPort)
    if (typeof listener !== 'function') return this.turn((now) => this.core.refuse(now, stream, listener?.refuse))
    const accepted = new SimStream(this)
    stream.app = accepted
    this.turn((now) => this.core.accept(now, stream))
    this.accepted.push(accepted)
    listener(accepted)
  }

  /**
   * The exact instant, which no real timer meets: a machine must not depend on being late. A machine still due after it
   * was served waits a millisecond, as in the driver, and is counted: otherwise it would be a busy loop.
   */
  #arm(): void {
    let at = this.core.nextTimeout()
    if (at <= this.nowMs && this.#servedAt === this.nowMs) {
      this.spins += 1
      at = this.nowMs + 1
    }
    if (at >= this.#timerAt || at === Infinity) return
    this.#timerAt = at
    const life = this.#life
    this.overlay.world.at(at, () => {
      if (life !== this.#life || this.#timerAt !== at) return
      this.#timerAt = Infinity
      if (this.isPaused) return // it is late, and catches up when it resumes
      this.#servedAt = this.nowMs
      this.core.handleTimeout(this.nowMs)
      this.#flush()
    })
  }
}

const SOCKET_BUFFER_DATAGRAMS = 400
const LINK_AGAIN_MS = 250
