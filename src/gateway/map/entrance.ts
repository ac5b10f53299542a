/**
 * The common part of TCP and UDP mappings: their peer, where they listen, which clients they accept, and how a client
 * is registered as a connection. Above: map/tcp.ts, map/udp.ts.
 */
import { formatSocketAddress } from '../../base/address.ts'
import { PilotError } from '../../base/errors.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { Endpoint, NodeId } from '../../base/types.ts'
import type { Logger } from '../../base/logger.ts'
import type { AccessLog } from '../http/access-log.ts'
import type { Overlay } from '../../runtime/overlay.ts'
import { tagOf } from '../model/allow.ts'
import { clientFilter } from '../model/clients.ts'
import { isGroup, peersOf } from '../model/map-spec.ts'
import type { MapSpec } from '../model/map-spec.ts'
import type { MappedRecord } from '../model/records.ts'
import type { ConfiguredTags } from '../model/tags.ts'
import { bindMapping, isSamePlace } from '../service/bind.ts'
import type { Connection, ConnectionTable } from '../service/connections.ts'
import type { LoopbackPool } from '../service/loopback-pool.ts'
import { SparseLog } from '../service/sparse-log.ts'

export interface MappingDeps {
  readonly node: Overlay
  readonly pool: LoopbackPool
  readonly connections: ConnectionTable
  readonly log: Logger
  readonly access: AccessLog
  readonly allowLan: boolean
  /** Tags assigned in the configuration; absent: none. */
  readonly tags?: ConfiguredTags
}

export class Entrance {
  readonly spec: MapSpec
  readonly sparse: SparseLog
  readonly #deps: MappingDeps
  readonly #takes: (address: string) => boolean
  #bound: Endpoint | undefined
  #nodeId: NodeId | undefined // of a mapping to one peer, once it is known

  constructor(spec: MapSpec, deps: MappingDeps) {
    this.spec = spec
    this.sparse = new SparseLog(deps.log)
    this.#deps = deps
    this.#takes = clientFilter(spec.clients)
  }

  get record(): MappedRecord {
    const { name, peer, port, protocol } = this.spec
    const node = this.#nodeId
    const remote = node === undefined ? `${peer}:${port}` : formatSocketAddress({ network: 0, node, port })
    return { name, local: this.#local, peer, remote, protocol }
  }

  get #local(): string {
    return this.#bound === undefined ? '' : formatEndpoint(this.#bound)
  }

  /** A peer that is absent, or does not trust us, stays a name. */
  async identify(): Promise<void> {
    if (!isGroup(this.spec.peer)) this.#nodeId = await this.#deps.node.resolve(this.spec.peer).catch(() => this.#nodeId)
  }

  /**
   * The first time according to the specification; after a stop, at the address that clients already know.
   * @throws PilotError PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNAVAILABLE, USAGE.
   */
  async open(listen: (place: Endpoint) => Promise<Endpoint>): Promise<void> {
    this.checkTags()
    const bind = async (address: string, port: number): Promise<void> => {
      this.#bound = await listen({ address, port })
    }
    if (this.#bound !== undefined) await bind(this.#bound.address, this.#bound.port)
    else await bindMapping(this.spec, this.#deps, bind)
    for (const peer of peersOf(this.spec.peer)) if (tagOf(peer) === undefined) this.#deps.node.prepare(peer)
  }

  /** Whether this one would listen at the other's address. @throws PilotError USAGE. */
  canFollow(other: Entrance): boolean {
    if (!isSamePlace(this.spec, other.spec, other.#local)) return false
    this.checkTags()
    return true
  }

  follow(other: Entrance): void {
    this.#bound = other.#bound
    if (this.spec.peer === other.spec.peer) this.#nodeId = other.#nodeId
  }

  /** @throws PilotError USAGE. */
  checkTags(): void {
    const { name, peer } = this.spec
    if (this.#deps.node.health === null && peersOf(peer).some((each) => tagOf(each) !== undefined))
      throw new PilotError(
        'USAGE',
        `mapping ${name}: tags are not known with --daemon`,
        { name },
        undefined,
        'Name the peers: agent-b|agent-c.',
      )
  }

  /** Counts a client that is not in `clients`; the caller refuses it. @param what the outcome, for the log. */
  admits(address: string, what: string): boolean {
    if (this.#takes(address)) return true
    this.#deps.connections.counters.connections_denied += 1
    this.sparse.warn(
      'client',
      { mapping: this.spec.name, client: address, code: 'DENIED' },
      `${what}: the client is not in \`clients\``,
    )
    return false
  }

  /** @param client ip:port. @returns undefined if too many connections are open, which is logged. */
  enter(client: string, what: string, abort: () => void): Connection | undefined {
    const { connections } = this.#deps
    const { name, peer, port, protocol } = this.spec
    const remote = `${peer}:${port}`
    try {
      const about = { direction: 'map', service: name, protocol, peer, nodeId: null, local: client, remote } as const
      const connection = connections.add(about, abort)
      connections.counters.connections_mapped += 1
      return connection
    } catch {
      this.sparse.warn('connections', { mapping: name, code: 'TOO_MANY' }, `${what}: too many connections are open`)
      return undefined
    }
  }

  /** The peer that a connection has reached. */
  reached(connection: Connection, nodeId: NodeId): void {
    connection.nodeId = nodeId
    if (!isGroup(this.spec.peer)) this.#nodeId = nodeId
  }
}
