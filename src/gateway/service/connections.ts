/**
 * The connections that pass through this gateway: for display, for limits, and for a drain to wait on; and the last ones
 * that ended, with how.
 */
import { PilotError } from '../../base/errors.ts'
import { descriptorBudget } from '../../runtime/net/descriptors.ts'
import type { DescriptorBudget } from '../../runtime/net/descriptors.ts'
import type { NodeId } from '../../base/types.ts'
import type { ConnectionRecord, EndCause, EndedConnectionRecord, TrafficRecord } from '../model/records.ts'
import { Recent } from './recent.ts'

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
  readonly label: string | undefined
  readonly remote: string
  local: string
  nodeId: NodeId | null
  stream: Traffic | undefined // once it is open
  stopped = false // ended by us
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
    this.label = about.label
    this.nodeId = about.nodeId
    this.local = about.local
    this.remote = about.remote
    this.abort = abort
  }

  get record(): ConnectionRecord {
    const { stream } = this
    return {
      ...this.#about,
      openedMs: Math.round(performance.now() - this.openedAt),
      state: stream === undefined ? 'connecting' : 'open',
    }
  }

  /** @param error that ended it early. */
  ended(error: Error | undefined): EndedConnectionRecord {
    return {
      ...this.#about,
      endedAt: new Date().toISOString(),
      durationMs: Math.round(performance.now() - this.openedAt),
      ...this.#causeOf(error),
    }
  }

  #causeOf(error: Error | undefined): { readonly cause: EndCause; readonly code: EndedConnectionRecord['code'] } {
    if (this.stopped) return { cause: 'stopped', code: null }
    if (error instanceof PilotError && error.code !== 'PEER_RESET') return { cause: 'failed', code: error.code }
    if (error instanceof PilotError) return { cause: 'peer_reset', code: null }
    if (error !== undefined) return { cause: 'local_reset', code: null }
    if (this.stream !== undefined) return { cause: 'ended', code: null }
    return { cause: this.direction === 'map' ? 'local_reset' : 'peer_reset', code: null } // the caller left before it was open
  }

  get #about(): Omit<ConnectionRecord, 'openedMs' | 'state'> {
    const { id, direction, service, protocol, peer, nodeId, label, local, remote, stream } = this
    return {
      id,
      direction,
      service,
      protocol,
      peer,
      nodeId,
      ...(label !== undefined && { label }),
      local,
      remote,
      bytesIn: stream?.bytesRead ?? 0,
      bytesOut: stream?.bytesWritten ?? 0,
    }
  }
}

export interface ConnectionWatch {
  opened(record: ConnectionRecord): void
  ended(record: EndedConnectionRecord): void
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
  readonly #recent = new Recent<EndedConnectionRecord>(MAX_RECENT)
  #nextId = 1
  #watch: ConnectionWatch | undefined
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

  /** The last that ended, the newest last. */
  get recent(): readonly EndedConnectionRecord[] {
    return this.#recent.all
  }

  get traffic(): TrafficRecord {
    let [bytesIn, bytesOut] = [this.counters.bytes_in, this.counters.bytes_out]
    for (const { stream } of this.#open) {
      bytesIn += stream?.bytesRead ?? 0
      bytesOut += stream?.bytesWritten ?? 0
    }
    return { bytesIn, bytesOut, connections: this.#open.size }
  }

  /** Calls back for each connection that opens and ends. */
  watch(watch: ConnectionWatch): void {
    this.#watch = watch
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

  /** It is established. */
  opened(connection: Connection, traffic: Traffic): void {
    connection.stream = traffic
    this.#watch?.opened(connection.record)
  }

  /** @param error that ended it early, or kept it from opening. */
  remove(connection: Connection, error?: Error): void {
    if (!this.#open.delete(connection)) return
    const ended = connection.ended(error)
    this.#recent.add(ended)
    this.#watch?.ended(ended)
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
      if (connection.direction === direction && connection.service === service) stop(connection)
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
    for (const connection of this.#open) stop(connection)
    return left
  }
}

function stop(connection: Connection): void {
  connection.stopped = true
  connection.abort()
}

/** What a person looks through; each is a few hundred bytes. */
const MAX_RECENT = 200
