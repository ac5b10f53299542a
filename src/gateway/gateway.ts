/**
 * The product put together: one overlay node, its mappings and exposures, and what people may ask of them.
 * Above: cli/ and admin/. Below: mapping.ts and expose.ts, which meet only here.
 */
import { mkdir } from 'node:fs/promises'
import { formatAddress, parsePeerName } from '../base/address.ts'
import { PilotError } from '../base/errors.ts'
import type { NodeId } from '../base/types.ts'
import type { Logger } from '../runtime/log.ts'
import type { Overlay, OverlayEvent, PathStatus } from '../runtime/overlay.ts'
import { ConnectionTable } from './connections.ts'
import { Exposure } from './expose.ts'
import { HttpFront } from './http/front.ts'
import { joinOverlay } from './join.ts'
import { LoopbackPool } from './loopback-pool.ts'
import { Mapping } from './mapping.ts'
import { SparseLog } from './sparse-log.ts'
import { whois } from './whois.ts'
import type {
  GatewayControl, GatewayEvent, GatewayOptions, NodeRecord, PeerRecord, PendingTrustRecord, PingRecord, ReadyEvent, StatusRecord,
  TrustRecord, TrustRequestRecord, WhoisRecord,
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
  #node!: Overlay
  #front: HttpFront | undefined
  #state: 'starting' | 'ready' | 'draining' = 'starting'
  #elapsedMs = 0
  #stopping: Promise<void> | undefined

  constructor (options: GatewayOptions, deps: GatewayDeps) {
    this.#options = options
    this.#deps = deps
    this.#sparse = new SparseLog(deps.log)
  }

  async start (): Promise<void> {
    const { stateDir, maps, exposes, allowLan } = this.#options
    const { log, onEvent } = this.#deps
    await mkdir(stateDir, { recursive: true, mode: 0o700 })
    const node = await joinOverlay(this.#options, log, (event) => this.#onOverlayEvent(event))
    this.#node = node
    const pool = await LoopbackPool.open(stateDir, node.publicKey)
    for (const spec of maps) {
      const mapping = new Mapping(spec, { node, pool, connections: this.#connections, log, allowLan })
      this.#mappings.push(mapping)
      await mapping.start()
    }
    await pool.save()
    for (const spec of exposes) {
      const exposure = new Exposure(spec, { node, connections: this.#connections, log })
      this.#exposures.push(exposure)
      await exposure.start()
    }
    await this.#startFront(node)
    const registered = await node.whenRegistered(REGISTRATION_PATIENCE_MS)
    if (!registered) log.warn({ registry: this.#options.registry, code: 'REGISTRY_UNREACHABLE' }, 'not registered yet: nobody can reach this node, and mapped ports reset their clients, until the registry answers')
    else await soon(Promise.all(this.#mappings.map((mapping) => mapping.identify())), IDENTIFY_MS)
    for (const record of this.mappings()) onEvent({ event: 'mapped', ...record })
    for (const record of this.exposes()) onEvent({ event: 'exposed', ...record })
    this.#elapsedMs = Math.round(performance.now() - this.#startedAt)
    this.#state = 'ready'
  }

  async #startFront (node: Overlay): Promise<void> {
    const { http } = this.#options
    if (http === undefined) return
    this.#front = new HttpFront({ node, connections: this.#connections, log: this.#deps.log, mappings: () => this.#mappings.map(({ spec }) => spec) })
    await this.#front.start(http.address, http.port)
  }

  ready (): ReadyEvent {
    return {
      event: 'ready',
      node: this.#nodeRecord(),
      udp: this.#node.status.udp,
      admin: this.#options.adminSocket,
      http: this.#front?.local ?? null,
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
    this.#front?.stop()
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
      http: this.#front?.local ?? null,
      peers: this.#node.peers.length,
      connections: this.#connections.size,
      mappings: this.mappings(),
      exposes: this.exposes(),
      memory: { rssBytes: rss, heapBytes: heapUsed },
      counters: { ...this.#connections.counters, ...counters },
    }
  }

  peers (): readonly PeerRecord[] { return this.#node.peers }
  mappings (): readonly ReturnType<GatewayControl['mappings']>[number][] { return this.#mappings.map(({ record }) => record) }
  exposes (): readonly ReturnType<GatewayControl['exposes']>[number][] { return this.#exposures.map(({ record }) => record) }
  connections (): ReturnType<GatewayControl['connections']> { return this.#connections.records }

  async ping (peer: string, seq: number, timeoutMs: number): Promise<PingRecord> {
    const { node, rttMs, path, endpoint } = await this.#node.ping(peer, timeoutMs)
    return { peer, nodeId: node, seq, rttMs, path, endpoint }
  }

  async trusted (): Promise<readonly TrustRecord[]> {
    return (await this.#node.trusted()).map((entry) => this.#trustRecord(entry.nodeId, entry.publicKey, entry.approvedAt))
  }

  async whois (local: string): Promise<WhoisRecord> { return whois(this.#connections, this.#node, local) }

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
    const record = node === undefined ? undefined : this.#trustRecord(node, '', null)
    if (node === undefined || record === undefined || !await this.#node.revokeTrust(node)) throw new PilotError('NOT_FOUND', `${peer} is not trusted`)
    return record
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

  #onOverlayEvent (event: OverlayEvent): void {
    const { log } = this.#deps
    switch (event.kind) {
      case 'registered': log.info({ nodeId: event.nodeId, address: event.address }, 'registered'); return
      case 'registry_refused': log.warn({ request: event.request, text: event.text, code: 'REGISTRY_REFUSED' }, 'the registry refuses'); return
      case 'hostname_refused': log.error({ hostname: event.hostname, text: event.text, code: 'CONFLICT' }, 'the registry refuses the hostname'); return
      case 'endpoint': log.debug({ endpoint: event.endpoint }, 'public endpoint, as the beacon sees it'); return
      case 'turned_away':
        // A stranger's node id is only a claim: were it part of the kind, each forged one would be a line.
        this.#sparse.warn(event.why === 'stranger' ? 'stranger' : `${event.node}:${event.port ?? 0}:${event.why}`, {
          nodeId: event.node, port: event.port, why: event.why, ...(event.from !== undefined && { from: event.from }),
        }, TURNED_AWAY[event.why])
        return
      case 'auth_refused':
        this.#sparse.warn(`${event.node}:auth`, { nodeId: event.node, why: event.why, from: event.from }, 'a key exchange with a wrong identity was refused')
        return
      case 'wish_refused':
        log.warn({ peer: event.peer, text: event.text, code: 'REGISTRY_REFUSED' }, 'our request for trust is not delivered; asking on')
        return
      case 'message': {
        const { node: nodeId, peerName: peer, type, bytes, path } = event
        log.info({ peer, nodeId, type, bytes, path }, 'a peer has sent something')
        this.#deps.onEvent({ event: 'message', peer, nodeId, type, bytes, path })
        return
      }
      case 'trust': this.#onTrust(event.node, event.hostname, event.state); return
      case 'peer': {
        const about = { peer: event.peerName, nodeId: event.node }
        if (event.state === 'unreachable') log.warn({ ...about, code: 'PEER_UNREACHABLE' }, 'the peer has stopped answering')
        else log.info(about, event.state === 'connected' ? 'tunnel is up' : 'the peer has new keys')
        return
      }
      case 'path': this.#onPath(event.node, event.peerName, event.path); return
      case 'daemon':
        if (event.state === 'lost') log.error({ reason: event.text, code: 'DAEMON_UNREACHABLE' }, 'the daemon went away, and every connection with it; trying on')
        else log.info({}, 'the daemon is back')
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

  #onPath (nodeId: NodeId, peer: string, path: PathStatus): void {
    const told = `${path.kind} ${path.endpoint} ${path.mtu}`
    if (this.#toldPaths.get(nodeId) === told) return
    this.#toldPaths.set(nodeId, told)
    this.#deps.onEvent({ event: 'path', peer, nodeId, ...path })
  }
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
