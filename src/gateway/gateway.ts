/**
 * Composes the product: one overlay node, its mappings and exposures, and their operations. Above: cli/ and admin/.
 * Below: map/tcp.ts and expose/tcp.ts, which meet only here.
 */
import { PilotError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { HostAddresses } from '../runtime/net/host-addresses.ts'
import type { Overlay, OverlayStream } from '../runtime/overlay.ts'
import { waitAtMost } from '../runtime/with-timeout.ts'
import { changeEvents, changesBetween } from './changes.ts'
import { benchPeer } from './diagnose/bench.ts'
import { ConnectionTable } from './service/connections.ts'
import { diagnoseOverlay } from './diagnose/doctor.ts'
import { pingPeer } from './diagnose/ping.ts'
import { EventTeller, warnOfTags } from './overlay-events.ts'
import { explainSeveral } from './diagnose/explain.ts'
import { Exposure } from './expose/tcp.ts'
import { AccessLog } from './http/access-log.ts'
import type { Release } from '../runtime/files/lock.ts'
import { Fronts, frontsOf } from './fronts/fronts.ts'
import type { FrontRecord, FrontSpec, Running } from './fronts/front.ts'
import { observersOf, observerTable } from './fronts/observe.ts'
import { TrustDesk } from './trust-desk.ts'
import { holdState } from './state-lock.ts'
import { nodeRecord, statusOf } from './status.ts'
import { joinOverlay, portsOf } from './open-overlay.ts'
import { LoopbackPool } from './service/loopback-pool.ts'
import { Mapping } from './map/tcp.ts'
import { ServiceTable } from './service/table.ts'
import type { Service, Undo } from './service/table.ts'
import type { Gateway, GatewayControl } from './control.ts'
import type { Changes, GatewayEvent, ReadyEvent } from './model/events.ts'
import type { ExposeSpec } from './model/expose-spec.ts'
import { type MapSpec, parseTargetName } from './model/map-spec.ts'
import { type Desired, desiredOf, type GatewayOptions } from './model/options.ts'
import type { BenchOptions, ExposedRecord, MappedRecord, StatusRecord } from './model/records.ts'
import { Tickets } from './tickets/tickets.ts'
import { configuredTags, selfAssignedTags, type ConfiguredTags } from './model/tags.ts'
import type { OwnPorts } from './own-ports.ts'
import type { Services } from './services.ts'
import { whois } from './diagnose/whois.ts'
import { TimeBoxes } from './expose/time-box.ts'
import { UdpExposure } from './expose/udp.ts'
import { UdpMapping } from './map/udp.ts'

/** What a method of the control returns. */
type Reply<Name extends keyof GatewayControl> = GatewayControl[Name] extends (...args: never) => infer R ? R : never

export interface GatewayDeps {
  readonly log: Logger
  readonly version: string
  readonly onEvent: (event: GatewayEvent) => void
  /** Opens metrics, health and the dashboard at ip:port; absent: none. */
  readonly openObserver?: ((listen: string) => Promise<Running>) | undefined
}

/**
 * Binds everything requested, joins the overlay, and returns when all of it is usable. A registry that does not answer
 * does not delay it for long: mappings then reset their clients and log why.
 * @throws PilotError: if something cannot be bound, or the identity is unusable.
 */
export async function startGateway(options: GatewayOptions, deps: GatewayDeps): Promise<Gateway> {
  const gateway = new RunningGateway(options, deps)
  try {
    await gateway.start()
  } catch (error) {
    await gateway.stop(0)
    throw error
  }
  return gateway
}

class RunningGateway implements Gateway {
  readonly #options: GatewayOptions
  readonly #deps: GatewayDeps
  readonly #startedAt = performance.now()
  readonly #connections = new ConnectionTable()
  readonly #access: AccessLog
  readonly #hosts = new HostAddresses()
  readonly #mappings = new ServiceTable<MapSpec, MappedRecord>('mapping', (spec) => this.#makeMapping(spec))
  readonly #exposures = new ServiceTable<ExposeSpec, ExposedRecord>('exposure', (spec) => this.#makeExposure(spec))
  readonly #timeBoxes = new TimeBoxes((name, reason) => this.#onOver(name, reason))
  #node!: Overlay
  #pool!: LoopbackPool
  #locks: Release[] = []
  #ownPorts: OwnPorts | undefined
  #services!: Services
  #fronts!: Fronts
  #tickets!: Tickets
  #trustDesk!: TrustDesk
  readonly #observer: ServiceTable<FrontSpec, FrontRecord>
  /** As last applied; the tables hold the mappings and exposures. */
  #desired: Desired
  readonly #tags: ConfiguredTags
  /** Serialises changes. */
  #applying: Promise<unknown> = Promise.resolve()
  #state: 'starting' | 'ready' | 'draining' = 'starting'
  #elapsedMs = 0
  #stopping: Promise<void> | undefined

  constructor(options: GatewayOptions, deps: GatewayDeps) {
    this.#options = options
    this.#desired = desiredOf(options)
    this.#tags = configuredTags(options.pinned)
    this.#deps = deps
    this.#observer = observerTable(deps.openObserver)
    this.#access = new AccessLog(deps.log)
    this.#connections.watch({
      opened: ({ state: _, openedMs: __, ...record }) =>
        deps.onEvent({ event: 'connection', state: 'opened', ...record }),
      ended: (record) => deps.onEvent({ event: 'connection', state: 'ended', ...record }),
    })
  }

  async start(): Promise<void> {
    const { stateDir, maps, exposes } = this.#options
    const { log, onEvent } = this.#deps
    this.#locks = await holdState(this.#options)
    await this.#observer.become(this.#observersOf(this.#options)) // first, so that it can report that we are starting
    warnOfTags(selfAssignedTags(this.#tags, maps, exposes), log)
    const teller = new EventTeller(log, onEvent)
    const { node, ownPorts, services } = await joinOverlay(this.#options, this.#deps, onEvent, (event) => {
      teller.tell(event)
      if (event.kind === 'trust') this.#tickets?.onTrust(event)
    })
    this.#services = services
    this.#node = node
    this.#trustDesk = await TrustDesk.open(node, stateDir, log)
    this.#ownPorts = ownPorts
    this.#tickets = await Tickets.open({ node, options: this.#options, log, onEvent })
    this.#pool = await LoopbackPool.open(stateDir, node.publicKey)
    this.#fronts = this.#makeFronts()
    await this.#mappings.become(maps)
    await this.#fronts.become(frontsOf(this.#options))
    await this.#pool.save()
    await this.#exposures.become(exposes)
    await this.#ownPorts?.open()
    for (const spec of exposes) this.#timeBoxes.begin(spec)
    const registered = await node.whenRegistered(REGISTRATION_PATIENCE_MS)
    if (!registered)
      log.warn(
        { registry: this.#options.registry, code: 'REGISTRY_UNREACHABLE' },
        'not registered yet: until the registry answers, peers cannot reach this node and mapped ports reset their clients',
      )
    else await waitAtMost(this.#mappings.identify(maps.map(({ name }) => name)), IDENTIFY_MS)
    for (const record of this.mappings()) onEvent({ event: 'mapped', ...record })
    for (const record of this.exposures()) onEvent({ event: 'exposed', ...record })
    this.#elapsedMs = Math.round(performance.now() - this.#startedAt)
    this.#state = 'ready'
  }

  get overlay(): Overlay {
    return this.#node
  }

  get desired(): Desired {
    return { ...this.#desired, maps: this.#mappings.specs, exposes: this.#exposures.specs }
  }

  changes(desired: Desired): Changes {
    const running = { ...this.desired, fronts: [...this.#fronts.specs, ...this.#observer.specs] }
    const fronts = [...frontsOf(desired), ...this.#observersOf(desired)]
    return changesBetween(running, { ...desired, fronts })
  }

  apply(desired: Desired, renewed?: string): Promise<Changes> {
    if (renewed !== undefined) this.#timeBoxes.renew(renewed)
    const applied = this.#applying.then(() => this.#apply(desired))
    this.#applying = applied.catch(() => {})
    return applied
  }

  async #apply(desired: Desired, reason?: 'for' | 'once'): Promise<Changes> {
    if (this.#state === 'draining')
      throw new PilotError('SHUTTING_DOWN', 'the gateway is draining and can no longer be changed')
    const { maps, trust } = desired
    const exposes = desired.exposes.filter((spec) => !this.#timeBoxes.isOver(spec))
    const changes = this.changes({ ...desired, exposes })
    const before = { mappings: this.mappings(), exposures: this.exposures(), trust: this.#desired.trust }
    const undos: Undo[] = []
    try {
      this.#fronts.names.giveWay(maps)
      undos.push(await this.#mappings.become(maps))
      await this.#pool.save()
      undos.push(async () => await this.#ownPorts?.serve(portsOf(this.#exposures.specs)))
      this.#ownPorts?.giveWay(portsOf(exposes))
      undos.push(await this.#exposures.become(exposes))
      undos.push(await this.#fronts.become(frontsOf(desired)))
      undos.push(await this.#observer.become(this.#observersOf(desired)))
      await this.#ownPorts?.serve(portsOf(exposes))
      for (const peer of changes.trust) await this.#node.requestTrust(peer, 'requested by configuration', true)
    } catch (error) {
      for (const undo of undos.reverse()) await undo()
      throw error
    }
    this.#desired = desiredOf(desired)
    this.#timeBoxes.keep(exposes)
    for (const spec of exposes) this.#timeBoxes.begin(spec)
    for (const peer of this.#node.wishes)
      if (before.trust.includes(peer) && !trust.includes(peer)) await this.#node.dropWish(peer).catch(() => false) // logged, and retried
    await waitAtMost(this.#mappings.identify([...changes.mapped, ...changes.remapped]), IDENTIFY_MS)
    const now = { mappings: this.mappings(), exposures: this.exposures() }
    for (const event of changeEvents(changes, before, now, reason)) this.#deps.onEvent(event)
    for (const { name, ...gone } of before.exposures)
      if (changes.unexposed.includes(name)) this.#tickets.withdraw({ name, ...gone })
    return changes
  }

  /** One that ends on its own: it refuses peers immediately, and is removed from the table when its turn comes. */
  #onOver(name: string, reason: 'for' | 'once'): void {
    this.#exposures.drain(name)
    if (reason === 'for') this.#connections.abortOf('expose', name)
    this.#deps.log.info(
      { expose: name, reason },
      reason === 'for' ? 'an exposure has expired' : 'an exposure has had its one connection',
    )
    const gone = this.#applying.then(() =>
      this.#apply({ ...this.desired, exposes: this.#exposures.specs.filter((spec) => spec.name !== name) }, reason),
    )
    this.#applying = gone.catch(() => {}) // while it drains nothing is removed from the table, and no one is admitted either
  }

  #makeMapping(spec: MapSpec): Service<MappedRecord> {
    return new (spec.protocol === 'udp' ? UdpMapping : Mapping)(spec, {
      node: this.#node,
      pool: this.#pool,
      connections: this.#connections,
      log: this.#deps.log,
      access: this.#access,
      allowLan: this.#options.allowLan,
      tags: this.#tags,
    })
  }

  #makeFronts(): Fronts {
    const { log, onEvent } = this.#deps
    return new Fronts({
      node: this.#node,
      pool: this.#pool,
      connections: this.#connections,
      log,
      access: this.#access,
      allowLan: this.#options.allowLan,
      configured: () => this.#mappings.records,
      makeMapping: (spec) => this.#makeMapping(spec),
      onMapped: (record) => onEvent({ event: 'mapped', ...record }),
      mappings: () => this.#mappings.specs.filter(({ protocol }) => protocol === 'tcp'),
      events: () => this.#services.eventPages.connect(),
      dialMapping: (name, signal) => this.#dialMapping(name, signal),
    })
  }

  #observersOf(desired: Pick<Desired, 'observe'>): FrontSpec[] {
    return this.#deps.openObserver === undefined ? [] : observersOf(desired)
  }

  #makeExposure(spec: ExposeSpec): Service<ExposedRecord> {
    return new (spec.protocol === 'udp' ? UdpExposure : Exposure)(spec, {
      node: this.#node,
      guests: this.#tickets,
      tags: this.#tags,
      connections: this.#connections,
      hosts: this.#hosts,
      log: this.#deps.log,
      access: this.#access,
      stateDir: this.#options.stateDir,
      onTaken: (taken) => this.#timeBoxes.end(taken, 'once'),
    })
  }

  async #dialMapping(name: string, signal: AbortSignal): Promise<OverlayStream> {
    const mapping = this.#mappings.service(name)
    if (mapping instanceof Mapping) return await mapping.dial(signal)
    throw new PilotError('NOT_FOUND', `the mapping "${name}" no longer exists`, { name })
  }

  ready(): ReadyEvent {
    return {
      event: 'ready',
      node: nodeRecord(this.#node),
      udp: this.#node.status.udp,
      admin: this.#options.adminSocket,
      ...(this.#observedAt !== null && { observe: this.#observedAt }),
      ...this.#fronts.locals,
      mappings: this.mappings(),
      exposures: this.exposures(),
      elapsedMs: this.#elapsedMs,
    }
  }

  async drain(exposure?: string): Reply<'drain'> {
    const isDraining = exposure === undefined ? this.#state === 'draining' : this.#exposures.record(exposure).draining
    if (exposure !== undefined) this.#exposures.drain(exposure)
    else {
      this.#state = 'draining'
      for (const { name } of this.#mappings.specs) this.#mappings.drain(name)
      for (const { name } of this.#exposures.specs) this.#exposures.drain(name)
      this.#fronts.drain()
    }
    if (isDraining !== true) this.#deps.log.info({ exposure }, 'draining: no new connections') // `drain` asks again until it is over
    return { state: 'draining', exposure: exposure ?? null, connections: this.#openOf(exposure) }
  }

  async resume(exposure?: string): Reply<'drain'> {
    if (this.#stopping !== undefined) throw new PilotError('SHUTTING_DOWN', 'the gateway is stopping')
    if (exposure !== undefined) await this.#exposures.resume(exposure)
    else {
      for (const { name } of this.#mappings.specs) await this.#mappings.resume(name)
      for (const spec of this.#exposures.specs)
        if (!this.#timeBoxes.isOver(spec)) await this.#exposures.resume(spec.name)
      await this.#fronts.resume()
      this.#state = 'ready'
    }
    this.#deps.log.info({ exposure }, 'resumed: accepting new connections again')
    return { state: 'ready', exposure: exposure ?? null, connections: this.#openOf(exposure) }
  }

  #openOf(exposure: string | undefined): number {
    return this.#connections.records.filter(
      ({ direction, service }) => exposure === undefined || (direction === 'expose' && service === exposure),
    ).length
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs)
    if (graceMs === 0) void this.#connections.drain(0) // a second request, with less patience
    return this.#stopping
  }

  fault(error: unknown): void {
    this.#connections.counters.faults += 1
    const stack = error instanceof Error ? error.stack : String(error)
    this.#deps.log.error({ code: 'FAILED', stack }, 'a fault in pilotgate was contained; please report it')
  }

  async #stop(graceMs: number): Promise<void> {
    this.#state = 'draining'
    this.#timeBoxes.stop()
    this.#fronts?.stop()
    this.#mappings.stop()
    this.#exposures.stop()
    this.#trustDesk?.stop() // a failed start may not have reached it
    this.#services?.stop()
    const { size } = this.#connections
    if (size > 0) this.#deps.log.info({ connections: size, graceMs }, 'waiting for open connections')
    const ended = await this.#connections.drain(graceMs)
    if (ended > 0) this.#deps.log.warn({ connections: ended }, 'connections that were still open were reset')
    await this.#ownPorts?.close()
    if (this.#node === undefined) return await this.#release()
    const until = performance.now() + Math.max(LAST_PACKETS_MS, Math.min(graceMs, LAST_BYTES_MS)) // bytes may be in transit
    do {
      await new Promise((resolve) => setTimeout(resolve, LAST_PACKETS_MS))
    } while (this.#node.hasUndelivered && performance.now() < until)
    await this.#tickets?.stop()
    await this.#node.stop()
    await this.#release()
  }

  async #release(): Promise<void> {
    this.#observer.stop() // last, so that it can report the drain
    for (const release of this.#locks.splice(0)) await release()
  }

  /** `await using gateway = …`: immediately, because its streams would die with the process anyway. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(0)
  }

  status(): StatusRecord {
    const own = {
      version: this.#deps.version,
      state: this.#state,
      uptimeMs: Math.round(performance.now() - this.#startedAt),
      admin: this.#options.adminSocket,
      observe: this.#observedAt,
      drivers: this.#ownPorts?.record ?? null,
      ...this.#fronts.locals,
      connections: this.#connections.size,
      mappings: this.mappings(),
      exposures: this.exposures(),
      problems: this.doctor().checks.filter(({ state }) => state === 'fail'),
    }
    return statusOf(this.#node, own, {
      ...this.#connections.counters,
      ...this.#fronts.counters,
      ...this.#services?.counters,
    })
  }

  get #observedAt(): string | null {
    return this.#observer.records[0]?.local ?? null
  }

  peers(): Reply<'peers'> {
    return this.#node.peers
  }
  mappings(): readonly MappedRecord[] {
    return [...this.#mappings.records, ...this.#fronts.names.onDemand]
  }
  exposures(): readonly ExposedRecord[] {
    return this.#exposures.records.map((record) => {
      const endsAt = this.#timeBoxes.endOf(record.name)
      const tickets = this.#tickets.countOf(record)
      return { ...record, ...(endsAt !== undefined && { endsAt }), ...(tickets > 0 && { tickets }) }
    })
  }
  connections(): Reply<'connections'> {
    return this.#connections.records
  }
  recent(): Reply<'recent'> {
    const { recent, traffic } = this.#connections
    return { connections: recent, requests: this.#access.recent, traffic }
  }

  ping(peer: string, seq: number, timeoutMs: number): Reply<'ping'> {
    return pingPeer(this.#node, peer, seq, timeoutMs)
  }

  bench(peer: string, options: BenchOptions): Reply<'bench'> {
    return benchPeer(this.#node, peer, options)
  }

  async resolve(name: string): Reply<'resolve'> {
    return await this.#fronts.names.resolve(name)
  }
  hosts(): Reply<'hosts'> {
    return this.#fronts.names.hosts()
  }
  invite(service: string | undefined, forMs: number, label?: string): Reply<'invite'> {
    return this.#tickets.invite(this.exposures(), service, forMs, label)
  }
  tickets(): Reply<'tickets'> {
    return this.#tickets.list()
  }
  cancelTicket(which: string): Reply<'cancelTicket'> {
    return this.#tickets.cancel(which)
  }
  redeem(ticket: string): Reply<'redeem'> {
    return this.#tickets.redeem(ticket)
  }

  doctor(): Reply<'doctor'> {
    return diagnoseOverlay(this.#node)
  }

  async explain(target: string): Reply<'explain'> {
    const mapping = this.#mappings.find(({ name, local }) => name === target || local === target)
    const { peer, port } = mapping ?? parseTargetName(target)
    const service = mapping === undefined ? undefined : this.#mappings.service(mapping.name)
    return await explainSeveral(
      this.#node,
      { target, peer, port, policy: mapping?.path ?? 'any', mapping: mapping?.name },
      service instanceof Mapping ? service.targets : [peer],
    )
  }

  async trusted(): Reply<'trusted'> {
    return (await this.#trustDesk.trusted()).map((record) => {
      const label = this.#tickets.labelOf(record.nodeId)
      return { ...record, ...(label !== undefined && { label }) }
    })
  }
  pending(): Reply<'pending'> {
    return this.#trustDesk.pending()
  }
  requestTrust(peer: string, reason: string): Reply<'requestTrust'> {
    return this.#trustDesk.request(peer, reason)
  }
  approveTrust(peer: string, forMs?: number): Reply<'approveTrust'> {
    return this.#trustDesk.approve(peer, forMs)
  }
  rejectTrust(peer: string): Reply<'approveTrust'> {
    return this.#trustDesk.reject(peer)
  }
  revokeTrust(peer: string): Reply<'approveTrust'> {
    return this.#trustDesk.revoke(peer)
  }

  get messages(): GatewayControl['messages'] {
    return this.#services.messages
  }
  get events(): Gateway['events'] {
    return this.#services.events
  }
  readonly dial: Gateway['dial'] = (target, signal) => this.#node.dial(target, signal)

  async whois(local: string): Reply<'whois'> {
    return whois((end) => this.#connections.find(end)?.record ?? this.#fronts.findClient(end), this.#node, local)
  }
}

/** How long start-up waits for the registry, ms. Longer than a start on a slow path, shorter than a person's patience. */
const REGISTRATION_PATIENCE_MS = 3_000
/** The peers behind mapped names are only needed for the records printed at startup: not worth a longer wait. */
const IDENTIFY_MS = 500
const LAST_PACKETS_MS = 50
/** How long closed connections may take to deliver what they still hold, within the grace, ms. */
const LAST_BYTES_MS = 5_000
