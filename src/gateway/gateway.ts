/**
 * The product put together: one overlay node, its mappings and exposures, and what people may ask of them.
 * Above: cli/ and admin/. Below: mapping.ts and expose.ts, which meet only here.
 */
import { mkdir } from 'node:fs/promises'
import { formatAddress, parsePeerName } from '../base/address.ts'
import { PilotError } from '../base/errors.ts'
import type { NodeId } from '../base/types.ts'
import type { Logger } from '../runtime/log.ts'
import type { Overlay } from '../runtime/overlay.ts'
import { ConnectionTable } from './connections.ts'
import { diagnoseOverlay } from './diagnosis.ts'
import { EventTeller } from './event-teller.ts'
import { explain } from './explain.ts'
import { Exposure } from './expose.ts'
import { joinOverlay } from './join.ts'
import { LoopbackPool } from './loopback-pool.ts'
import { Mapping } from './mapping.ts'
import { ServiceTable, difference } from './services.ts'
import type { Undo } from './services.ts'
import { parseTargetName } from './specs.ts'
import type {
  Changes, Desired, DoctorRecord, DrainRecord, ExplainRecord, ExposedRecord, ExposeSpec, GatewayControl, GatewayEvent, GatewayOptions, MappedRecord, MapSpec, NodeRecord, PeerRecord,
  PendingTrustRecord, PingRecord, ReadyEvent, StatusRecord,
  TrustRecord, TrustRequestRecord,
} from './types.ts'

export interface GatewayDeps {
  readonly log: Logger
  readonly version: string
  readonly onEvent: (event: GatewayEvent) => void
}

export interface Gateway extends GatewayControl, AsyncDisposable {
  ready (): ReadyEvent
  /** What it stands on, to dial and listen beside its mappings and exposures. */
  readonly overlay: Overlay
  /** What runs now, and may be changed by `apply`. */
  readonly desired: Desired
  /** What `apply` would change. */
  changes (desired: Desired): Changes
  /**
   * Makes mappings, exposures and wishes for trust those of `desired`, all of them or none; what stays equal is not touched.
   * Connections of what goes stay open until they end by themselves.
   * @throws PilotError: whatever cannot be bound, SHUTTING_DOWN while it drains.
   */
  apply (desired: Desired): Promise<Changes>
  /** Takes no new connections, waits for those inside at most `graceMs`, ends the rest, frees everything. */
  stop (graceMs: number): Promise<void>
}

/**
 * Binds everything that was asked for, joins the overlay, and returns when all of it is usable.
 * A registry that does not answer does not hold it back for long: mappings then reset their clients and say why.
 * @throws PilotError: whatever cannot be bound, an unusable identity, CONFLICT for a hostname that is taken.
 */
export async function startGateway (options: GatewayOptions, deps: GatewayDeps): Promise<Gateway> {
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
  readonly #mappings = new ServiceTable<MapSpec, MappedRecord>('mapping', (spec) => this.#makeMapping(spec))
  readonly #exposures = new ServiceTable<ExposeSpec, ExposedRecord>('exposure', (spec) => this.#makeExposure(spec))
  #node!: Overlay
  #pool!: LoopbackPool
  #trust: readonly string[]
  /** One change after the other. */
  #applying: Promise<unknown> = Promise.resolve()
  #state: 'starting' | 'ready' | 'draining' = 'starting'
  #elapsedMs = 0
  #stopping: Promise<void> | undefined

  constructor (options: GatewayOptions, deps: GatewayDeps) {
    this.#options = options
    this.#trust = options.trust
    this.#deps = deps
  }

  async start (): Promise<void> {
    const { stateDir, maps, exposes } = this.#options
    const { log, onEvent } = this.#deps
    await mkdir(stateDir, { recursive: true, mode: 0o700 })
    const teller = new EventTeller(log, onEvent)
    const node = await joinOverlay(this.#options, log, (event) => teller.tell(event))
    this.#node = node
    this.#pool = await LoopbackPool.open(stateDir, node.publicKey)
    await this.#mappings.become(maps)
    await this.#pool.save()
    await this.#exposures.become(exposes)
    const registered = await node.whenRegistered(REGISTRATION_PATIENCE_MS)
    if (!registered) log.warn({ registry: this.#options.registry, code: 'REGISTRY_UNREACHABLE' }, 'not registered yet: nobody can reach this node, and mapped ports reset their clients, until the registry answers')
    else await soon(this.#mappings.identify(maps.map(({ name }) => name)), IDENTIFY_MS)
    for (const record of this.mappings()) onEvent({ event: 'mapped', ...record })
    for (const record of this.exposes()) onEvent({ event: 'exposed', ...record })
    this.#elapsedMs = Math.round(performance.now() - this.#startedAt)
    this.#state = 'ready'
  }

  get overlay (): Overlay { return this.#node }

  get desired (): Desired { return { maps: this.#mappings.specs, exposes: this.#exposures.specs, trust: this.#trust } }

  changes ({ maps, exposes, trust }: Desired): Changes {
    const map = difference(this.#mappings.specs, maps)
    const expose = difference(this.#exposures.specs, exposes)
    const names = (specs: readonly { readonly name: string }[]): string[] => specs.map(({ name }) => name)
    return {
      mapped: names(map.added), unmapped: names(map.removed), remapped: names(map.changed),
      exposed: names(expose.added), unexposed: names(expose.removed), reexposed: names(expose.changed),
      trust: trust.filter((peer) => !this.#trust.includes(peer)),
    }
  }

  apply (desired: Desired): Promise<Changes> {
    const applied = this.#applying.then(() => this.#apply(desired))
    this.#applying = applied.catch(() => {})
    return applied
  }

  async #apply (desired: Desired): Promise<Changes> {
    if (this.#state === 'draining') throw new PilotError('SHUTTING_DOWN', 'the gateway is draining; nothing of it changes any more')
    const { maps, exposes, trust } = desired
    const changes = this.changes(desired)
    const before: Before = { mappings: byName(this.mappings()), exposes: byName(this.exposes()), trust: this.#trust }
    const undos: Undo[] = []
    try {
      undos.push(await this.#mappings.become(maps))
      await this.#pool.save()
      undos.push(await this.#exposures.become(exposes))
      for (const peer of changes.trust) await this.#node.requestTrust(peer, 'asked by configuration', true)
    } catch (error) {
      for (const undo of undos.reverse()) await undo()
      throw error
    }
    this.#trust = trust
    for (const peer of this.#node.wishes) if (before.trust.includes(peer) && !trust.includes(peer)) this.#node.dropWish(peer)
    await soon(this.#mappings.identify([...changes.mapped, ...changes.remapped]), IDENTIFY_MS)
    this.#tellChanges(changes, before)
    return changes
  }

  #tellChanges (changes: Changes, before: Before): void {
    const { onEvent } = this.#deps
    for (const name of [...changes.unmapped, ...changes.remapped]) onEvent({ event: 'unmapped', ...before.mappings.get(name)! })
    for (const name of [...changes.unexposed, ...changes.reexposed]) onEvent({ event: 'unexposed', ...before.exposes.get(name)! })
    for (const name of [...changes.mapped, ...changes.remapped]) onEvent({ event: 'mapped', ...this.#mappings.record(name) })
    for (const name of [...changes.exposed, ...changes.reexposed]) onEvent({ event: 'exposed', ...this.#exposures.record(name) })
  }

  #makeMapping (spec: MapSpec): Mapping {
    return new Mapping(spec, { node: this.#node, pool: this.#pool, connections: this.#connections, log: this.#deps.log, allowLan: this.#options.allowLan })
  }

  #makeExposure (spec: ExposeSpec): Exposure {
    return new Exposure(spec, { node: this.#node, connections: this.#connections, log: this.#deps.log })
  }

  ready (): ReadyEvent {
    return {
      event: 'ready',
      node: this.#nodeRecord(),
      udp: this.#node.status.udp,
      admin: this.#options.adminSocket,
      mappings: this.mappings(),
      exposes: this.exposes(),
      elapsedMs: this.#elapsedMs,
    }
  }

  async drain (expose?: string): Promise<DrainRecord> {
    if (expose !== undefined) this.#exposures.drain(expose)
    else {
      this.#state = 'draining'
      for (const { name } of this.#mappings.specs) this.#mappings.drain(name)
      for (const { name } of this.#exposures.specs) this.#exposures.drain(name)
    }
    this.#deps.log.info({ expose }, 'draining: no new connections')
    return { state: 'draining', expose: expose ?? null, connections: this.#openOf(expose) }
  }

  async resume (expose?: string): Promise<DrainRecord> {
    if (this.#stopping !== undefined) throw new PilotError('SHUTTING_DOWN', 'the gateway is about to end')
    if (expose !== undefined) await this.#exposures.resume(expose)
    else {
      for (const { name } of this.#mappings.specs) await this.#mappings.resume(name)
      for (const { name } of this.#exposures.specs) await this.#exposures.resume(name)
      this.#state = 'ready'
    }
    this.#deps.log.info({ expose }, 'drain undone: new connections are taken again')
    return { state: 'ready', expose: expose ?? null, connections: this.#openOf(expose) }
  }

  #openOf (expose: string | undefined): number {
    return this.#connections.records.filter(({ direction, service }) => expose === undefined || (direction === 'expose' && service === expose)).length
  }

  stop (graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs)
    if (graceMs === 0) void this.#connections.drain(0) // asked a second time, and less patiently
    return this.#stopping
  }

  async #stop (graceMs: number): Promise<void> {
    this.#state = 'draining'
    this.#mappings.stop()
    this.#exposures.stop()
    const open = this.#connections.size
    if (open > 0) this.#deps.log.info({ connections: open, graceMs }, 'waiting for open connections')
    const ended = await this.#connections.drain(graceMs)
    if (ended > 0) this.#deps.log.warn({ connections: ended }, 'connections that were still open have been reset')
    if (this.#node === undefined) return
    const until = performance.now() + Math.max(LAST_PACKETS_MS, Math.min(graceMs, LAST_BYTES_MS))
    do { // what the local programs have written and closed may still be on its way
      await new Promise((resolve) => setTimeout(resolve, LAST_PACKETS_MS))
    } while (this.#node.hasUndelivered && performance.now() < until)
    await this.#node.stop()
  }

  /** `await using gateway = …`: at once, as its streams would die with the process anyway. */
  async [Symbol.asyncDispose] (): Promise<void> { await this.stop(0) }

  status (): StatusRecord {
    const { counters, ...standing } = this.#node.status
    const { rss, heapUsed } = process.memoryUsage()
    return {
      version: this.#deps.version,
      pid: process.pid,
      state: this.#state,
      uptimeMs: Math.round(performance.now() - this.#startedAt),
      node: this.#nodeRecord(),
      ...standing,
      admin: this.#options.adminSocket,
      peers: this.#node.peers.length,
      connections: this.#connections.size,
      mappings: this.mappings(),
      exposes: this.exposes(),
      wishes: this.#node.wishes,
      memory: { rssBytes: rss, heapBytes: heapUsed },
      counters: { ...this.#connections.counters, ...counters },
    }
  }

  peers (): readonly PeerRecord[] { return this.#node.peers }
  mappings (): readonly MappedRecord[] { return this.#mappings.records }
  exposes (): readonly ExposedRecord[] { return this.#exposures.records }
  connections (): ReturnType<GatewayControl['connections']> { return this.#connections.records }

  async ping (peer: string, seq: number, timeoutMs: number): Promise<PingRecord> {
    const { node, rttMs, path, endpoint } = await this.#node.ping(peer, timeoutMs)
    const reason = this.#node.pathTo(node)?.reason
    return { peer, nodeId: node, seq, rttMs, path, endpoint, ...reason !== undefined && { reason } }
  }

  doctor (): DoctorRecord { return diagnoseOverlay(this.#node) }

  async explain (target: string): Promise<ExplainRecord> {
    const mapping = this.#mappings.find(({ name, local }) => name === target || local === target)
    const { peer, port } = mapping ?? parseTargetName(target)
    return await explain(this.#node, { target, peer, port, policy: mapping?.path ?? 'any', mapping: mapping?.name })
  }

  async trusted (): Promise<readonly TrustRecord[]> {
    return (await this.#node.trusted()).map((entry) => this.#trustRecord(entry.nodeId, entry.publicKey, entry.approvedAt))
  }

  async pending (): Promise<readonly PendingTrustRecord[]> {
    return (await this.#node.pendingTrust()).map((entry) => ({
      ...this.#trustRecord(entry.nodeId, entry.publicKey, entry.receivedAt),
      justification: entry.justification,
    }))
  }

  async requestTrust (peer: string, reason: string): Promise<TrustRequestRecord> {
    const known = this.#known(peer, await this.#node.trusted())
    if (known !== undefined) return { peer, state: 'approved' }
    await this.#node.requestTrust(peer, reason)
    return { peer, state: 'requested' }
  }

  async approveTrust (peer: string): Promise<TrustRecord> {
    const node = this.#known(peer, await this.#node.pendingTrust())
    if (node === undefined || !await this.#node.approveTrust(node)) throw new PilotError('NOT_FOUND', `no request of ${peer} is pending`)
    return this.#trustRecord(node, (await this.#node.trusted()).find(({ nodeId }) => nodeId === node)?.publicKey ?? '', null)
  }

  async rejectTrust (peer: string): Promise<TrustRecord> {
    const node = this.#known(peer, await this.#node.pendingTrust())
    const record = node === undefined ? undefined : this.#trustRecord(node, '', null)
    if (node === undefined || record === undefined || !await this.#node.rejectTrust(node)) throw new PilotError('NOT_FOUND', `no request of ${peer} is pending`)
    return record
  }

  async revokeTrust (peer: string): Promise<TrustRecord> {
    const node = this.#known(peer, await this.#node.trusted())
    if (node === undefined && this.#node.dropWish(peer)) return this.#unanswered(peer)
    const record = node === undefined ? undefined : this.#trustRecord(node, '', null)
    if (node === undefined || record === undefined || !await this.#node.revokeTrust(node)) throw new PilotError('NOT_FOUND', `${peer} is not trusted`)
    return record
  }

  /** For a peer that had only been asked: nobody knows yet who that is. */
  #unanswered (peer: string): TrustRecord {
    const name = parsePeerName(peer)
    const node = name?.kind === 'address' ? name.address.node : 0
    return { ...this.#trustRecord(node, '', null), ...name?.kind === 'hostname' && { hostname: name.hostname } }
  }

  /** The node among `entries` that a person means by address, id or hostname. */
  #known (peer: string, entries: ReadonlyArray<{ readonly nodeId: NodeId }>): NodeId | undefined {
    const name = parsePeerName(peer)
    if (name === undefined) throw new PilotError('USAGE', `${peer}: neither a hostname, nor an address, nor a node id`)
    return entries.find(({ nodeId }) => name.kind === 'address' ? nodeId === name.address.node : this.#node.hostnameOf(nodeId) === name.hostname)?.nodeId
  }

  #trustRecord (node: NodeId, publicKey: string, since: string | null): TrustRecord {
    return {
      nodeId: node,
      address: formatAddress({ network: 0, node }),
      hostname: this.#node.hostnameOf(node) ?? null,
      publicKey: publicKey === '' ? null : publicKey,
      since,
    }
  }

  #nodeRecord (): NodeRecord {
    const { nodeId, address, hostname, publicKey } = this.#node
    return { nodeId, address, hostname: hostname ?? null, publicKey }
  }
}

/** What `apply` found. */
interface Before {
  readonly mappings: ReadonlyMap<string, MappedRecord>
  readonly exposes: ReadonlyMap<string, ExposedRecord>
  readonly trust: readonly string[]
}

function byName<T extends { readonly name: string }> (records: readonly T[]): ReadonlyMap<string, T> {
  return new Map(records.map((record) => [record.name, record]))
}

async function soon (work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([work, new Promise((resolve) => { timer = setTimeout(resolve, ms) })])
  clearTimeout(timer)
}

/** How long start-up waits for the registry, ms. Longer than a start on a slow path, shorter than a person's patience. */
const REGISTRATION_PATIENCE_MS = 3_000
/** Whom the mapped names mean is only for the records printed at start: not worth waiting longer for. */
const IDENTIFY_MS = 500
const LAST_PACKETS_MS = 50
/** How long closed connections may take to deliver what they still hold, within the grace, ms. */
const LAST_BYTES_MS = 5_000
