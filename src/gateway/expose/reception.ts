/**
 * The common part of TCP and UDP exposures: who is admitted and within which limits, how a caller is registered as a
 * connection, and what is counted and logged. Above: expose/tcp.ts, expose/udp.ts. Below: access.ts, limits.ts.
 */
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { Logger } from '../../base/logger.ts'
import type { HostAddresses } from '../../runtime/net/host-addresses.ts'
import type { Overlay } from '../../runtime/overlay.ts'
import type { ExposeSpec } from '../model/expose-spec.ts'
import { serviceKey, type ServiceKey } from '../model/service-key.ts'
import type { ExposedRecord } from '../model/records.ts'
import type { ConfiguredTags } from '../model/tags.ts'
import type { Connection, ConnectionTable } from '../service/connections.ts'
import { admitPeer } from '../service/path-policy.ts'
import { SparseLog } from '../service/sparse-log.ts'
import type { AccessLog } from '../http/access-log.ts'
import { AccessList } from './access.ts'
import { MAX_PROCESSES } from './command.ts'
import type { Admission } from './limits.ts'
import { ExposureLimits } from './limits.ts'

export interface ExposureDeps {
  readonly node: Overlay
  /** Guests by ticket; absent: none. */
  readonly guests?: {
    standing(node: NodeId, service: ServiceKey): Promise<'granted' | 'restricted' | undefined>
    labelOf(node: NodeId, service: ServiceKey): string | undefined
  }
  /** Tags assigned in the configuration; absent: none. */
  readonly tags?: ConfiguredTags
  readonly connections: ConnectionTable
  readonly hosts: HostAddresses
  readonly log: Logger
  readonly access: AccessLog
  /** Of the gateway, absolute: no folder shows its files. */
  readonly stateDir: string
  /** A one-connection exposure has had its connection. */
  readonly onTaken: (spec: ExposeSpec) => void
}

/** A peer that wants to connect. */
export interface Visitor {
  readonly peer: NodeId
  readonly peerName: string
}

export class Reception {
  readonly #spec: ExposeSpec
  readonly #deps: ExposureDeps
  readonly #access: AccessList
  readonly #limits: ExposureLimits
  readonly #sparse: SparseLog
  readonly #refused: string // what happens to a visitor, for the log
  /** For a one-connection exposure: the connection was admitted. */
  taken = false

  constructor(spec: ExposeSpec, deps: ExposureDeps, refused: string) {
    this.#spec = spec
    this.#deps = deps
    this.#refused = refused
    this.#access = new AccessList(deps.node, spec.allow, deps.tags)
    this.#limits = new ExposureLimits(
      spec.target.kind === 'exec' ? { connections: MAX_PROCESSES, ...spec.limits } : spec.limits,
    )
    this.#sparse = new SparseLog(deps.log)
  }

  get record(): ExposedRecord {
    const { name, port, target, allow, protocol, identity, host, limits, once } = this.#spec
    return {
      name,
      port,
      target: target.text,
      allow,
      protocol,
      ...(identity !== undefined && { identity }),
      ...(host !== undefined && { host }),
      ...(limits !== undefined && { limits }),
      ...(once !== undefined && { once }),
    }
  }

  start(): void {
    this.#access.start()
  }

  stop(): void {
    this.#access.stop()
  }

  /** Connections open under the other's limits count here too. */
  follow(other: Reception): void {
    this.#limits.follow(other.#limits)
  }

  /** Checks trust, the allow-list and tickets, as of now. */
  async allows(peer: NodeId): Promise<boolean> {
    return await this.#access.allows(peer, await this.#deps.guests?.standing(peer, serviceKey(this.record)))
  }

  /**
   * All checks before the target is contacted. @returns undefined if the visitor must be refused, which is counted and
   * logged.
   */
  async admit(visitor: Visitor): Promise<Admission | undefined> {
    const { node, connections } = this.#deps
    const { counters } = connections
    const { allow, path = 'any' } = this.#spec
    const { peer } = visitor
    if (!(await this.allows(peer))) {
      counters.connections_denied += 1
      return this.#refuse('denied', visitor, { code: 'DENIED', allow }, 'it is trusted, but not allowed here')
    }
    if (!(await admitPeer(node, peer, path))) {
      counters.connections_denied += 1
      const reason = node.pathTo(peer)?.reason
      return this.#refuse(
        'relay',
        visitor,
        { code: 'RELAY_REFUSED', reason },
        'only the relay works, and path is direct',
      )
    }
    if (this.taken)
      return this.#refuse('once', visitor, { code: 'TOO_MANY' }, 'the one connection has already been made')
    const admission = this.#limits.admit(peer)
    if (typeof admission !== 'string') return admission
    counters.connections_limited += 1
    return this.#refuse(admission, visitor, { code: 'TOO_MANY', limit: admission }, 'a limit of this exposure')
  }

  /** @returns undefined if too many connections are open, which is logged. */
  enter(visitor: Visitor, abort: () => void): Connection | undefined {
    const { name, port, protocol, target } = this.#spec
    const { peer, peerName } = visitor
    const label = this.#deps.guests?.labelOf(peer, serviceKey(this.record))
    const about = {
      direction: 'expose',
      service: name,
      protocol,
      peer: peerName,
      nodeId: peer,
      ...(label !== undefined && { label }),
      local: target.text,
      remote: `${peerName}:${port}`,
    } as const
    try {
      return this.#deps.connections.add(about, abort)
    } catch {
      return this.#refuse('full', visitor, { code: 'TOO_MANY' }, 'too many connections are open')
    }
  }

  /** The connection is established. */
  opened(connection: Connection, traffic: NonNullable<Connection['stream']>): void {
    this.#deps.connections.counters.connections_exposed += 1
    this.taken = this.#spec.once === true
    this.#deps.connections.opened(connection, traffic)
  }

  /** The target refuses the visitor's connection or datagrams. */
  failed({ peerName }: Visitor, reason: string): PilotError {
    const { name, target } = this.#spec
    this.#deps.connections.counters.connections_failed += 1
    this.#sparse.warn(
      'target',
      { expose: name, target: target.text, peer: peerName, code: 'TARGET_UNREACHABLE', reason },
      'the local service does not answer',
    )
    return new PilotError('TARGET_UNREACHABLE', `${target.text}: ${reason}`)
  }

  warn(kind: string, fields: object, message: string): void {
    this.#sparse.warn(kind, { expose: this.#spec.name, ...fields }, message)
  }

  #refuse(kind: string, { peer, peerName }: Visitor, fields: object, why: string): undefined {
    const { name, port } = this.#spec
    this.#sparse.warn(
      `${kind} ${peer}`,
      { expose: name, peer: peerName, nodeId: peer, port, ...fields },
      `${this.#refused}: ${why}`,
    )
    return undefined
  }
}
