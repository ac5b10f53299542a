/**
 * A remote overlay port for datagrams, on a local UDP address. Every local client has its own session. Above:
 * gateway.ts. Below: entrance.ts, udp/overlay-flow.ts, service/udp-listener.ts.
 */
import type { RemoteInfo } from 'node:dgram'
import type { PilotError } from '../../base/errors.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { Endpoint } from '../../base/types.ts'
import type { MapSpec } from '../model/map-spec.ts'
import type { MappedRecord } from '../model/records.ts'
import type { Connection } from '../service/connections.ts'
import type { Service } from '../service/table.ts'
import { UdpListener } from '../service/udp-listener.ts'
import type { UdpAttendant, Via } from '../service/udp-listener.ts'
import { checkAnswersReturn, OverlayFlow } from '../udp/overlay-flow.ts'
import { UDP_BUFFER_BYTES, UdpSessionTable } from '../udp/sessions.ts'
import type { UdpSession } from '../udp/sessions.ts'
import { Entrance } from './entrance.ts'
import type { MappingDeps } from './entrance.ts'

interface MappedSession extends UdpSession {
  readonly flow: OverlayFlow
  readonly client: string // its address
  readonly traffic: { bytesRead: number; bytesWritten: number }
}

export class UdpMapping implements Service<MappedRecord>, UdpAttendant {
  readonly spec: MapSpec
  readonly #deps: MappingDeps
  readonly #entrance: Entrance
  readonly #sessions = new UdpSessionTable<MappedSession>()
  #listener: UdpListener | undefined // while it listens

  constructor(spec: MapSpec, deps: MappingDeps) {
    this.spec = spec
    this.#deps = deps
    this.#entrance = new Entrance(spec, deps)
  }

  get record(): MappedRecord {
    return this.#entrance.record
  }

  identify(): Promise<void> {
    return this.#entrance.identify()
  }

  /** @throws PilotError PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNAVAILABLE, USAGE. */
  async start(): Promise<void> {
    await checkAnswersReturn(this.#deps.node, `mapping ${this.spec.name}`)
    await this.#entrance.open((place) => this.#bind(place))
  }

  /** The address is freed immediately, and the sessions that depend on it end. */
  stop(): void {
    this.#listener?.close()
    this.#listener = undefined
    this.#sessions.clear()
  }

  /** Existing sessions lead to the old peer: a client's next datagram starts a new one. @throws PilotError USAGE. */
  takeOver(running: Service<MappedRecord>): boolean {
    if (!(running instanceof UdpMapping) || running.#listener === undefined) return false
    if (!this.#entrance.canFollow(running.#entrance)) return false
    this.#entrance.follow(running.#entrance)
    this.#listener = running.#listener
    this.#listener.attendant = this
    running.#listener = undefined
    running.stop()
    return true
  }

  async #bind(place: Endpoint): Promise<Endpoint> {
    const service = `mapping ${this.spec.name}`
    this.#listener = await UdpListener.bind(place, this, { service, bufferBytes: UDP_BUFFER_BYTES })
    return this.#listener.local
  }

  onError(error: Error): void {
    this.#entrance.sparse.warn(
      'socket',
      { mapping: this.spec.name, reason: error.message },
      'a datagram could not be received or sent',
    )
  }

  onDatagram(bytes: Buffer, client: RemoteInfo, via: Via): void {
    const key = `${via.key}${client.address}:${client.port}`
    const session = this.#sessions.get(key) ?? this.#open(key, client, via)
    if (session === undefined) return
    session.usedAt = performance.now()
    session.traffic.bytesWritten += bytes.length
    session.flow.send(bytes)
  }

  #open(key: string, client: RemoteInfo, via: Via): MappedSession | undefined {
    const { counters } = this.#deps.connections
    const connection = this.#entrance.admits(client.address, DROPPED)
      ? this.#entrance.enter(formatEndpoint(client), DROPPED, () => this.#sessions.remove(key, session))
      : undefined
    if (connection === undefined) {
      counters.datagrams_dropped += 1
      return undefined
    }
    const session = this.#session(key, connection, client, via)
    this.#sessions.add(key, session, (other) => other.client === session.client)
    void session.flow.open().then((opened) => {
      if (!opened) this.#sessions.remove(key, session)
    })
    return session
  }

  #session(key: string, connection: Connection, client: RemoteInfo, via: Via): MappedSession {
    const { connections, node } = this.#deps
    const { peer, port, path = 'any' } = this.spec
    const traffic = { bytesRead: 0, bytesWritten: 0 }
    const flow = new OverlayFlow(
      node,
      { peer, port, path },
      {
        onOpen: (nodeId) => {
          this.#entrance.reached(connection, nodeId)
          connections.opened(connection, traffic)
        },
        onAnswer: (answer) => {
          session.usedAt = performance.now()
          session.answered = true
          traffic.bytesRead += answer.length
          via.send(answer, client.port, client.address)
        },
        onDropped: (error) => {
          this.#onDropped(error)
          if (!HARMLESS.has(error.code)) this.#sessions.remove(key, session) // the next datagram looks up the peer again
        },
      },
    )
    const close = (): void => {
      flow.close()
      connections.remove(connection)
    }
    const session: MappedSession = {
      usedAt: performance.now(),
      answered: false,
      client: client.address,
      flow,
      traffic,
      close,
    }
    return session
  }

  #onDropped({ code, message, hint }: PilotError): void {
    const { counters } = this.#deps.connections
    counters.datagrams_dropped += 1
    if (code === 'DATAGRAM_TOO_LARGE') counters.datagrams_too_large += 1
    this.#entrance.sparse.warn(
      code,
      { mapping: this.spec.name, peer: this.spec.peer, code, hint },
      `${DROPPED}: ${message}`,
    )
  }
}

const DROPPED = 'a datagram was dropped'
/** Of one datagram, not of the peer. */
const HARMLESS: ReadonlySet<string> = new Set(['DATAGRAM_TOO_LARGE', 'TOO_MANY'])
