/** The connections currently passing through this gateway: for display, for limits, and for a drain to wait on. */
import { PilotError } from '../../base/errors.ts'
import { descriptorBudget } from '../../runtime/net/descriptors.ts'
import type { DescriptorBudget } from '../../runtime/net/descriptors.ts'
import type { NodeId } from '../../base/types.ts'
import type { ConnectionRecord } from '../model/records.ts'

/** An OverlayStream, or the counts of a UDP session. */
export interface Traffic {
  readonly bytesRead: number
  readonly bytesWritten: number
}

export class Connection {
  readonly id: number
  readonly direction: 'map' | 'expose'
  readonly service: string
  readonly protocol: 'tcp' | 'udp'
  readonly peer: string
  readonly local: string
  readonly remote: string
  nodeId: NodeId | null
  stream: Traffic | undefined // once it is open
  readonly openedAt = performance.now()
  /** ip:port of our end towards the local program, which sees it as its client. */
  readonly ends = new Set<string>()
  /** Ends it abruptly. */
  abort: () => void

  constructor(
    id: number,
    about: Omit<ConnectionRecord, 'id' | 'bytesIn' | 'bytesOut' | 'openedMs' | 'state'>,
    abort: () => void,
  ) {
    this.id = id
    this.direction = about.direction
    this.service = about.service
    this.protocol = about.protocol
    this.peer = about.peer
    this.nodeId = about.nodeId
    this.local = about.local
    this.remote = about.remote
    this.abort = abort
  }

  get record(): ConnectionRecord {
    const { id, direction, service, protocol, peer, nodeId, local, remote, stream } = this
    return {
      id,
      direction,
      service,
      protocol,
      peer,
      nodeId,
      local,
      remote,
      bytesIn: stream?.bytesRead ?? 0,
      bytesOut: stream?.bytesWritten ?? 0,
      openedMs: Math.round(performance.now() - this.openedAt),
      state: stream === undefined ? 'connecting' : 'open',
    }
  }
}

export class ConnectionTable {
  readonly budget: DescriptorBudget
  readonly #open = new Set<Connection>()
  readonly #ofPeers = new Map<NodeId | null, number>() // to exposures, by the peer that made them
  readonly counters = {
    connections_mapped: 0,
    connections_exposed: 0,
    connections_failed: 0,
    connections_denied: 0,
    connections_limited: 0,
    datagrams_dropped: 0,
    datagrams_too_large: 0,
    bytes_in: 0,
    bytes_out: 0,
    faults: 0, // our uncaught exceptions: each ended at most the connection it happened in
  }
  #nextId = 1
  #waiters: Array<() => void> = []

  constructor(budget: DescriptorBudget = descriptorBudget()) {
    this.budget = budget
  }

  get open(): Iterable<Connection> {
    return this.#open
  }
  get size(): number {
    return this.#open.size
  }
  get records(): readonly ConnectionRecord[] {
    return [...this.#open].map((connection) => connection.record)
  }

  /** @throws PilotError TOO_MANY if all are in use, or one peer has half of them at our exposures. */
  add(about: ConstructorParameters<typeof Connection>[1], abort: () => void): Connection {
    const { connections } = this.budget
    if (this.#open.size >= connections) throw new PilotError('TOO_MANY', `${connections} connections are open already`)
    if (about.direction === 'expose') {
      const own = this.#ofPeers.get(about.nodeId) ?? 0
      if (own >= connections / 2)
        throw new PilotError('TOO_MANY', `${about.peer} has ${own} connections open, half of the total allowed`)
      this.#ofPeers.set(about.nodeId, own + 1)
    }
    const connection = new Connection(this.#nextId++, about, abort)
    this.#open.add(connection)
    return connection
  }

  /** The one with this ip:port between us and a local program: our end (exposures), or the program's (mappings). */
  find(end: string): Connection | undefined {
    for (const connection of this.#open) {
      if (connection.ends.has(end) || (connection.direction === 'map' && connection.local === end)) return connection
    }
    return undefined
  }

  remove(connection: Connection): void {
    if (!this.#open.delete(connection)) return
    this.#leave(connection)
    this.counters.bytes_in += connection.stream?.bytesRead ?? 0
    this.counters.bytes_out += connection.stream?.bytesWritten ?? 0
    if (this.#open.size > 0) return
    for (const tell of this.#waiters) tell()
    this.#waiters = []
  }

  #leave({ direction, nodeId }: Connection): void {
    if (direction !== 'expose') return
    const left = (this.#ofPeers.get(nodeId) ?? 1) - 1
    if (left === 0) this.#ofPeers.delete(nodeId)
    else this.#ofPeers.set(nodeId, left)
  }

  /** Ends those of one service abruptly. */
  abortOf(direction: Connection['direction'], service: string): void {
    for (const connection of this.#open)
      if (connection.direction === direction && connection.service === service) connection.abort()
  }

  /** Waits until none is open, at most `graceMs`; then ends the rest. @returns how many had to be ended. */
  async drain(graceMs: number): Promise<number> {
    if (this.#open.size > 0 && graceMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, graceMs)
        this.#waiters.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
    const left = this.#open.size
    for (const connection of this.#open) connection.abort()
    return left
  }
}
