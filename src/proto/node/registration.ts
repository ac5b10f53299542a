/**
 * Our registration: registering, staying alive, our name and networks. Above: core.ts. Below:
 * rendezvous/registry-client (questions and answers). Beside: trust-exchange.ts, which begins again with each
 * registration.
 */
import type { Instant, NodeId } from '../../base/types.ts'
import { formatEndpoint } from '../../base/types.ts'
import { STREAM_EXTENSIONS, challenges, isUnknownNode, parseRegisterReply } from '../../wire/registry-messages.ts'
import { DISCOVER_PATIENCE_MS, HEARTBEAT_MS, REGISTER_RETRY_MS } from '../rendezvous/constants.ts'
import type { RegistryResult } from '../rendezvous/registry-client.ts'
import { HOSTNAME_AGAIN_MS, RESUME_MS } from './constants.ts'
import type { Memberships } from './memberships.ts'
import type { Purpose } from './purposes.ts'
import type { NodeState } from './state.ts'
import type { TrustExchange } from './trust-exchange.ts'

export class Registration {
  /** The registry knows us, as far as we know. */
  registered = false
  readonly #state: NodeState
  readonly #memberships: Memberships
  readonly #exchange: TrustExchange
  readonly #onNewId: (now: Instant) => void
  readonly #startedAt: Instant
  #resumeAt: Instant // when we continue under our last id, with or without a registry
  #nextAt: Instant = 0 // register or heartbeat
  #registeredAs = '' // the endpoint we reported last
  #failures = 0
  #underway = false
  #isDated = false // the registry wants heartbeats that name the time
  #hostnameAt: Instant = Infinity // ask for our hostname again
  #refusal: string | undefined // the registry's words about it

  /** @param onNewId runs before the node takes an id other than its last one. */
  constructor(
    state: NodeState,
    now: Instant,
    memberships: Memberships,
    exchange: TrustExchange,
    onNewId: (now: Instant) => void,
  ) {
    this.#state = state
    this.#startedAt = now
    this.#resumeAt = state.trust.ownId === undefined ? Infinity : now + RESUME_MS
    this.#memberships = memberships
    this.#exchange = exchange
    this.#onNewId = onNewId
  }

  handleConnected(now: Instant): void {
    this.#nextAt = now
    this.#underway = false
    this.registered = false
    this.#failures = 0
  }

  handleDisconnected(): void {
    if (this.#resumeAt < Infinity) this.#resume()
    if (this.registered) this.#state.emit({ kind: 'registry_lost' })
    this.registered = false
    this.#underway = false
  }

  /** Our endpoint may differ from the registered one. */
  onEndpoint(now: Instant): void {
    this.#nextAt = Math.min(this.#nextAt, now)
  }

  /**
   * Our addresses have changed, or the machine slept: register again, which also shows whether the registry still
   * receives us.
   */
  onNetworkChange(now: Instant): void {
    this.#registeredAs = ''
    this.#nextAt = Math.min(this.#nextAt, now)
  }

  /** A driver has given us this name, and the registry has accepted it; undefined: none any more. */
  rename(hostname: string | undefined): void {
    this.#state.hostname = hostname
    this.#hostnameAt = Infinity
    this.#refusal = undefined
    this.#state.emit({ kind: 'hostname_set', hostname })
  }

  handleTimeout(now: Instant): void {
    if (now >= this.#resumeAt) this.#resume()
    if (!this.#state.registry.connected) return
    if (now >= this.#nextAt && !this.#underway) {
      if (this.registered && this.#registeredAs === this.#whereabouts) this.#heartbeat(now)
      else if (this.#endpointKnown(now)) this.#register(now)
    }
    if (!this.registered) return
    this.#memberships.handleTimeout(now)
    if (now >= this.#hostnameAt) this.#askHostname(now)
  }

  nextTimeout(): Instant {
    const { registry, options, beacon } = this.#state
    if (!registry.connected) return this.#resumeAt
    const waitsForBeacon = !this.registered && options.fixedEndpoint === undefined && beacon.observed === undefined
    let at = this.#resumeAt
    if (!this.#underway)
      at = Math.min(at, waitsForBeacon ? Math.max(this.#nextAt, this.#startedAt + DISCOVER_PATIENCE_MS) : this.#nextAt)
    return this.registered ? Math.min(at, this.#memberships.nextTimeout(), this.#hostnameAt) : at
  }

  /** @returns false if the result is for another part. */
  handleResult(now: Instant, result: RegistryResult<Purpose>): boolean {
    switch (result.purpose.kind) {
      case 'register':
        this.#onRegister(now, result)
        return true
      case 'heartbeat':
        this.#onHeartbeat(now, result)
        return true
      case 'set_hostname':
        this.#onHostname(now, result, result.purpose.hostname)
        return true
      case 'join':
        this.#memberships.onJoin(now, result, result.purpose.network)
        return true
      case 'set_visibility':
      case 'set_tags':
        if (result.kind === 'refused')
          this.#state.emit({ kind: 'registry_refused', request: result.purpose.kind, text: result.text })
        return true
      default:
        return false
    }
  }

  #endpointKnown(now: Instant): boolean {
    const { fixedEndpoint, beacon } = this.#state.options
    return (
      fixedEndpoint !== undefined ||
      beacon === undefined ||
      this.#state.beacon.observed !== undefined ||
      now - this.#startedAt >= DISCOVER_PATIENCE_MS
    )
  }

  /** What the registry knows about us, to notice when that is out of date. */
  get #whereabouts(): string {
    return this.#isRelayOnly ? 'relay' : this.#listenAddr
  }

  /** No datagram reaches us directly. */
  get #isRelayOnly(): boolean {
    return this.#state.way.current === 'tcp'
  }

  /** Our endpoints for others, as far as we know. */
  get #listenAddr(): string {
    const { options, beacon } = this.#state
    return formatEndpoint(options.fixedEndpoint ?? beacon.observed ?? options.localEndpoint)
  }

  #register(now: Instant): void {
    const { options, network, hostname } = this.#state
    this.#underway = true
    const publicKey = options.identity.publicKeyBase64
    const listenAddr = this.#listenAddr
    this.#registeredAs = this.#whereabouts
    this.#state.ask(
      now,
      {
        type: 'register',
        listen_addr: listenAddr,
        public_key: publicKey,
        lan_addrs: [...network.lanEndpoints, ...network.worldEndpoints].map(formatEndpoint),
        protocol_version: 1,
        extensions: [STREAM_EXTENSIONS],
        ...(this.#isRelayOnly && { relay_only: true }),
        signature: this.#state.sign(challenges.register(listenAddr, publicKey)),
        ...(hostname !== undefined && { hostname }),
      },
      { kind: 'register' },
    )
  }

  #heartbeat(now: Instant): void {
    const node = this.#state.nodeId
    this.#underway = true
    const ts = this.#isDated ? this.#state.options.unixSeconds(now) : undefined
    const text = ts === undefined ? challenges.heartbeat(node) : challenges.heartbeatAt(node, ts)
    this.#state.ask(
      now,
      { type: 'heartbeat', node_id: node, ...(ts !== undefined && { ts }), signature: this.#state.sign(text) },
      { kind: 'heartbeat' },
    )
  }

  #onRegister(now: Instant, result: RegistryResult<Purpose>): void {
    this.#underway = false
    const reply = result.kind === 'reply' ? parseRegisterReply(result.reply) : undefined
    if (reply === undefined || typeof reply === 'string') {
      const pause = REGISTER_RETRY_MS[Math.min(this.#failures, REGISTER_RETRY_MS.length - 1)]!
      this.#failures += 1
      this.#nextAt = now + pause
      if (result.kind === 'refused')
        this.#state.emit({ kind: 'registry_refused', request: 'register', text: result.text })
      return
    }
    this.#failures = 0
    this.registered = true
    this.#scheduleHeartbeat(now)
    this.#becomeNode(now, reply.nodeId)
    const { hostname: wanted, isPublic } = this.#state
    const hostname = reply.hostname
    this.#state.emit({ kind: 'registered', nodeId: reply.nodeId, address: reply.address, hostname })
    this.#hostnameAt = Infinity
    if (wanted !== undefined && hostname !== wanted) this.#askHostname(now)
    const signature = this.#state.sign(challenges.setVisibility(reply.nodeId))
    this.#state.ask(
      now,
      { type: 'set_visibility', node_id: reply.nodeId, public: isPublic, signature },
      { kind: 'set_visibility' },
    )
    this.#memberships.onRegistered(now)
    this.#exchange.onRegistered(now)
  }

  /**
   * No registry has answered yet: we use our last id, under which our peers trust our key. The registry corrects it if
   * necessary.
   */
  #resume(): void {
    this.#resumeAt = Infinity
    const { trust, beacon } = this.#state
    this.#state.ownId = trust.ownId
    if (trust.ownId !== undefined) beacon.setNodeId(trust.ownId)
  }

  #becomeNode(now: Instant, nodeId: NodeId): void {
    const { trust, beacon } = this.#state
    const before = this.#state.ownId ?? trust.ownId ?? nodeId // of our last life
    if (before !== nodeId) {
      this.#onNewId(now)
      // Node ids now mean other nodes; the keys that we trust are unchanged. Their owners are looked up by name.
      const displaced = trust.displace()
      for (const request of displaced.sought) this.#exchange.request(now, request)
      for (const { peer } of displaced.void)
        this.#state.emit({
          kind: 'wish_refused',
          peer,
          text: 'the registry has changed its ids: trust must be requested again',
        })
    }
    this.#resumeAt = Infinity
    this.#state.ownId = trust.ownId = nodeId
    beacon.setNodeId(nodeId)
  }

  #onHeartbeat(now: Instant, result: RegistryResult<Purpose>): void {
    this.#underway = false
    this.#scheduleHeartbeat(now)
    if (result.kind === 'reply') {
      this.#failures = 0
      return
    }
    const forgotten = result.kind === 'refused' && isUnknownNode(result.text, this.#state.nodeId)
    if (result.kind === 'refused' && !forgotten && !result.text.startsWith('rate limited')) {
      // The texts do not say what is missing (registry.md §1.3): the other form may do.
      this.#isDated = !this.#isDated
      if (this.#isDated) return void (this.#nextAt = now)
    }
    this.#failures += 1
    if (!forgotten && this.#failures < 3) {
      this.#nextAt = Math.min(this.#nextAt, now + HEARTBEAT_MS / 6)
      return
    }
    this.registered = false
    this.#nextAt = now
  }

  /** The next message to the registry: immediately, if our endpoint changed while the last one was pending. */
  #scheduleHeartbeat(now: Instant): void {
    this.#nextAt = this.#registeredAs === this.#whereabouts ? now + HEARTBEAT_MS : now
  }

  #askHostname(now: Instant): void {
    const { nodeId, hostname } = this.#state
    this.#hostnameAt = Infinity
    if (hostname === undefined) return
    const signature = this.#state.sign(challenges.setHostname(nodeId))
    this.#state.ask(
      now,
      { type: 'set_hostname', node_id: nodeId, hostname, signature },
      { kind: 'set_hostname', hostname },
    )
  }

  /**
   * A refused name does not keep the node from running: another node may hold it only for a while. Reported once,
   * requested repeatedly.
   */
  #onHostname(now: Instant, result: RegistryResult<Purpose>, hostname: string): void {
    if (hostname !== this.#state.hostname) return // of a name that a driver has changed since
    if (result.kind === 'reply') {
      this.#refusal = undefined
      this.#state.emit({ kind: 'hostname_set', hostname })
      return
    }
    this.#hostnameAt = now + HOSTNAME_AGAIN_MS
    if (result.kind !== 'refused' || result.text === this.#refusal) return
    this.#refusal = result.text
    this.#state.emit({ kind: 'hostname_refused', hostname, text: result.text })
  }
}
