/**
 * The product put together: one overlay node, its mappings and exposures, and what people may ask of them.
 * Above: cli/ and admin/. Below: mapping.ts and expose.ts, which meet only here.
 */
import { mkdir } from 'node:fs/promises'
import { formatAddress, parsePeerName } from '../base/address.ts'
import { PilotError } from '../base/errors.ts'
import { formatEndpoint } from '../base/types.ts'
import type { NodeId } from '../base/types.ts'
import type { NodeEvent } from '../proto/node/events.ts'
import type { Path } from '../proto/path/path.ts'
import type { Peer } from '../proto/node/peer.ts'
import type { Logger } from '../runtime/log.ts'
import { OverlayNode } from '../runtime/overlay-node.ts'
import { sendHandshake, serveHandshakes } from '../services/handshake.ts'
import { ConnectionTable } from './connections.ts'
import { describeNat, diagnose } from './diagnosis.ts'
import { explain } from './explain.ts'
import { Exposure } from './expose.ts'
import { LoopbackPool } from './loopback-pool.ts'
import { Mapping } from './mapping.ts'
import { pathRecord, peerRecord } from './peer-records.ts'
import { SparseLog } from './sparse-log.ts'
import { parseTargetName } from './specs.ts'
import type {
  DoctorRecord, ExplainRecord, GatewayControl, GatewayEvent, GatewayOptions, NatRecord, NodeRecord, PeerRecord, PendingTrustRecord, PingRecord, ReadyEvent, StatusRecord,
  TrustRecord, TrustRequestRecord,
} from './types.ts'

export interface GatewayDeps {
  readonly log: Logger
  readonly version: string
  readonly onEvent: (event: GatewayEvent) => void
}

export interface Gateway extends GatewayControl {
  ready (): ReadyEvent
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
  readonly #mappings: Mapping[] = []
  readonly #exposures: Exposure[] = []
  readonly #sparse: SparseLog
  readonly #toldPaths = new Map<NodeId, string>()
  #node!: OverlayNode
  #state: 'starting' | 'ready' | 'draining' = 'starting'
  #elapsedMs = 0
  #stopping: Promise<void> | undefined
  #handshakes: { close (): void } | undefined

  constructor (options: GatewayOptions, deps: GatewayDeps) {
    this.#options = options
    this.#deps = deps
    this.#sparse = new SparseLog(deps.log)
  }

  async start (): Promise<void> {
    const { stateDir, maps, exposes, allowLan, hostname } = this.#options
    const { log, onEvent } = this.#deps
    await mkdir(stateDir, { recursive: true, mode: 0o700 })
    const node = await OverlayNode.start(this.#options, log, (event) => this.#onNodeEvent(event))
    this.#node = node
    const pool = await LoopbackPool.open(stateDir, node.identity.publicKeyBase64)
    for (const spec of maps) {
      const mapping = new Mapping(spec, { node, pool, connections: this.#connections, log, allowLan })
      this.#mappings.push(mapping)
      await mapping.start()
    }
    await pool.save()
    for (const spec of exposes) {
      const exposure = new Exposure(spec, { node, connections: this.#connections, log })
      this.#exposures.push(exposure)
      exposure.start()
    }
    this.#handshakes = serveHandshakes(node, log)
    const registered = await node.whenRegistered(REGISTRATION_PATIENCE_MS)
    if (node.hostnameRefused !== undefined) {
      throw new PilotError('CONFLICT', `hostname ${hostname ?? ''}: the registry refuses it: ${node.hostnameRefused}`, { hostname })
    }
    if (!registered) log.warn({ registry: this.#options.registry, code: 'REGISTRY_UNREACHABLE' }, 'not registered yet: nobody can reach this node, and mapped ports reset their clients, until the registry answers')
    else await soon(Promise.all(this.#mappings.map((mapping) => mapping.identify())), IDENTIFY_MS)
    for (const record of this.mappings()) onEvent({ event: 'mapped', ...record })
    for (const record of this.exposes()) onEvent({ event: 'exposed', ...record })
    this.#elapsedMs = Math.round(performance.now() - this.#startedAt)
    this.#state = 'ready'
  }

  ready (): ReadyEvent {
    return {
      event: 'ready',
      node: this.#nodeRecord(),
      udp: this.#node.udp,
      admin: this.#options.adminSocket,
      mappings: this.mappings(),
      exposes: this.exposes(),
      elapsedMs: this.#elapsedMs,
    }
  }

  stop (graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs)
    if (graceMs === 0) void this.#connections.drain(0) // asked a second time, and less patiently
    return this.#stopping
  }

  async #stop (graceMs: number): Promise<void> {
    this.#state = 'draining'
    for (const mapping of this.#mappings) mapping.stop()
    for (const exposure of this.#exposures) exposure.stop()
    this.#handshakes?.close()
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

  status (): StatusRecord {
    const node = this.#node
    const { rss, heapUsed } = process.memoryUsage()
    return {
      version: this.#deps.version,
      pid: process.pid,
      state: this.#state,
      uptimeMs: Math.round(performance.now() - this.#startedAt),
      node: this.#nodeRecord(),
      udp: node.udp,
      admin: this.#options.adminSocket,
      registry: { endpoint: node.registryEndpoint, state: node.registryState, since: node.registrySince.toISOString() },
      beacon: { endpoint: node.beaconEndpoint, observed: node.observed },
      nat: this.#natRecord(),
      peers: node.core.context.peers.size,
      connections: this.#connections.size,
      mappings: this.mappings(),
      exposes: this.exposes(),
      memory: { rssBytes: rss, heapBytes: heapUsed },
      counters: { ...this.#connections.counters, ...node.core.context.counters },
    }
  }

  peers (): readonly PeerRecord[] {
    const now = performance.now()
    return [...this.#node.core.context.peers.values()].map((peer) => peerRecord(peer, now, this.#node.isTrusted(peer.node), this.#node.pathReason(peer.node)))
  }

  mappings (): readonly ReturnType<GatewayControl['mappings']>[number][] { return this.#mappings.map(({ record }) => record) }
  exposes (): readonly ReturnType<GatewayControl['exposes']>[number][] { return this.#exposures.map(({ record }) => record) }
  connections (): ReturnType<GatewayControl['connections']> { return this.#connections.records }

  async ping (peer: string, seq: number, timeoutMs: number): Promise<PingRecord> {
    const { node, rttMs, path, endpoint } = await this.#node.ping(peer, timeoutMs)
    const reason = this.#node.pathReason(node)
    return { peer, nodeId: node, seq, rttMs, path, endpoint, ...reason !== undefined && { reason } }
  }

  doctor (): DoctorRecord {
    const node = this.#node
    const { beacon, options } = node.core.context
    return diagnose({
      registry: { endpoint: node.registryEndpoint, isAnswering: node.registryState === 'registered', hostnameRefused: node.hostnameRefused },
      beacon: { endpoint: node.beaconEndpoint, observed: node.observed, isAnswering: beacon.isAnswering(performance.now()), unanswered: beacon.unanswered },
      nat: this.#natRecord(),
      udp: node.udp,
      mtu: options.beacon === undefined ? 0 : options.maxDatagram(options.beacon),
      ...node.socketHealth,
      peers: this.peers(),
      isRunning: true,
    })
  }

  async explain (target: string): Promise<ExplainRecord> {
    const node = this.#node
    const mapping = this.#mappings.find(({ record }) => record.name === target || record.local === target)
    const parsed = mapping === undefined ? parseTargetName(target) : { peer: mapping.spec.peer, port: mapping.spec.port }
    return await explain({
      resolve: (peer) => node.resolve(peer),
      hostnameOf: (id) => node.hostnameOf(id),
      isTrusted: (id) => node.isTrusted(id),
      connect: (peer) => node.connect(peer),
      knock: async (to) => {
        const stream = await node.dial(to)
        stream.on('error', () => {})
        stream.resetAndDestroy()
      },
      describePath: (id) => {
        const path = node.core.context.peers.get(id)?.paths.current
        return path === undefined ? undefined : { kind: path.kind, endpoint: formatEndpoint(path.endpoint), reason: node.pathReason(id) ?? path.kind }
      },
    }, { target, ...parsed, policy: mapping?.spec.path ?? 'any', mapping: mapping?.spec.name })
  }

  #natRecord (): NatRecord {
    const { mapping, filtering } = this.#node.core.context.nat
    return { mapping, filtering }
  }

  trusted (): readonly TrustRecord[] {
    return this.#node.trusted.map((entry) => this.#trustRecord(entry.nodeId, entry.publicKey, entry.approvedAt))
  }

  pending (): readonly PendingTrustRecord[] {
    return this.#node.pendingTrust.map((entry) => ({
      ...this.#trustRecord(entry.nodeId, entry.publicKey, entry.receivedAt),
      justification: entry.justification,
    }))
  }

  async requestTrust (peer: string, reason: string): Promise<TrustRequestRecord> {
    const known = this.#known(peer, this.#node.trusted)
    if (known !== undefined) return { peer, state: 'approved' }
    this.#requireRegistry()
    this.#node.requestTrust(peer, reason)
    return { peer, state: 'requested' }
  }

  async approveTrust (peer: string): Promise<TrustRecord> {
    const node = this.#known(peer, this.#node.pendingTrust)
    if (node === undefined || !this.#node.approveTrust(node)) throw new PilotError('NOT_FOUND', `no request of ${peer} is pending`)
    return this.#trustRecord(node, this.#node.trusted.find(({ nodeId }) => nodeId === node)?.publicKey ?? '', null)
  }

  async rejectTrust (peer: string): Promise<TrustRecord> {
    const node = this.#known(peer, this.#node.pendingTrust)
    const record = node === undefined ? undefined : this.#trustRecord(node, '', null)
    if (node === undefined || record === undefined || !this.#node.rejectTrust(node)) throw new PilotError('NOT_FOUND', `no request of ${peer} is pending`)
    return record
  }

  async revokeTrust (peer: string): Promise<TrustRecord> {
    const node = this.#known(peer, this.#node.trusted)
    const record = node === undefined ? undefined : this.#trustRecord(node, '', null)
    // Said while the tunnel is up: afterwards nothing of ours would open at the peer, and nothing of its here.
    if (node !== undefined && this.#node.isConnected(node)) await sendHandshake(this.#node, node, 'handshake_revoke', { reason: 'trust revoked' })
    if (node === undefined || record === undefined || !this.#node.revokeTrust(node)) throw new PilotError('NOT_FOUND', `${peer} is not trusted`)
    return record
  }

  #requireRegistry (): void {
    if (this.#node.registryState !== 'registered') throw new PilotError('REGISTRY_UNREACHABLE', 'trust travels through the registry, which does not answer')
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
    const { nodeId, address, hostname, identity } = this.#node
    return { nodeId, address, hostname: hostname ?? null, publicKey: identity.publicKeyBase64 }
  }

  #onNodeEvent (event: NodeEvent): void {
    const { log } = this.#deps
    switch (event.kind) {
      case 'registered': log.info({ nodeId: event.nodeId, address: formatAddress(event.address) }, 'registered'); return
      case 'registry_refused': log.warn({ request: event.request, text: event.text, code: 'REGISTRY_REFUSED' }, 'the registry refuses'); return
      case 'hostname_refused': log.error({ hostname: event.hostname, text: event.text, code: 'CONFLICT' }, 'the registry refuses the hostname'); return
      case 'endpoint': log.debug({ endpoint: formatEndpoint(event.endpoint) }, 'public endpoint, as the beacon sees it'); return
      case 'turned_away':
        // A stranger's node id is only a claim: were it part of the kind, each forged one would be a line.
        this.#sparse.warn(event.why === 'stranger' ? 'stranger' : `${event.node}:${event.port ?? 0}:${event.why}`, {
          nodeId: event.node, port: event.port, why: event.why, ...(event.from !== undefined && { from: formatEndpoint(event.from) }),
        }, TURNED_AWAY[event.why])
        return
      case 'auth_refused':
        this.#sparse.warn(`${event.node}:auth`, { nodeId: event.node, why: event.why, from: formatEndpoint(event.from) }, 'a key exchange with a wrong identity was refused')
        return
      case 'trust_answer':
        if (event.text !== undefined) log.warn({ peer: event.peer, text: event.text, code: 'REGISTRY_REFUSED' }, 'the registry does not deliver our request for trust')
        return
      case 'trust': this.#onTrust(event.node, event.hostname, event.state); return
      case 'peer':
        if (event.state === 'unreachable') log.warn({ peer: peerName(event.peer), nodeId: event.peer.node, code: 'PEER_UNREACHABLE' }, 'the peer has stopped answering')
        else log.info({ peer: peerName(event.peer), nodeId: event.peer.node }, event.state === 'connected' ? 'tunnel is up' : 'the peer has new keys')
        return
      case 'path': this.#onPath(event.peer, event.path); return
      case 'nat': log.info({ mapping: event.mapping, filtering: event.filtering }, `NAT: ${describeNat(event)}`); return
      default: log.debug({ kind: event.kind }, 'event')
    }
  }

  #onTrust (nodeId: NodeId, hostname: string | undefined, state: string): void {
    const peer = hostname ?? formatAddress({ network: 0, node: nodeId })
    if (state === 'key_changed') {
      this.#deps.log.error({ peer, nodeId }, 'a trusted peer asks with another key than it had: not answered. Revoke it and approve it anew if that is right')
      return
    }
    this.#deps.log.info({ peer, nodeId, state }, 'trust')
    this.#deps.onEvent({ event: 'trust', peer, nodeId, state: state as 'pending' | 'approved' | 'rejected' | 'revoked' })
  }

  #onPath (peer: Peer, path: Path): void {
    const record = pathRecord(path)
    const told = `${record.kind} ${record.endpoint} ${record.mtu}`
    if (this.#toldPaths.get(peer.node) === told || path !== peer.paths.current) return
    this.#toldPaths.set(peer.node, told)
    this.#deps.onEvent({ event: 'path', peer: peerName(peer), nodeId: peer.node, ...record })
  }
}

function peerName (peer: Peer): string {
  return peer.hostname ?? formatAddress({ network: 0, node: peer.node })
}

async function soon (work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([work, new Promise((resolve) => { timer = setTimeout(resolve, ms) })])
  clearTimeout(timer)
}

const TURNED_AWAY = {
  stranger: 'a node that is not trusted knocked; it got no answer',
  no_listener: 'a trusted peer asked for a port that is not exposed',
  limit: 'a peer was refused: too many streams',
} as const

/** How long start-up waits for the registry, ms. Longer than a start on a slow path, shorter than a person's patience. */
const REGISTRATION_PATIENCE_MS = 3_000
/** Whom the mapped names mean is only for the records printed at start: not worth waiting longer for. */
const IDENTIFY_MS = 500
const LAST_PACKETS_MS = 50
/** How long closed connections may take to deliver what they still hold, within the grace, ms. */
const LAST_BYTES_MS = 5_000
