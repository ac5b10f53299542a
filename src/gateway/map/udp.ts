/**
 * A remote overlay port that takes datagrams, on a local UDP address. Every local client has a session of its own.
 * Above: gateway.ts. Below: udp/overlay-flow.ts, service/bind.ts.
 */
import { createSocket } from 'node:dgram'
import type { RemoteInfo, Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { formatSocketAddress } from '../../base/address.ts'
import type { PilotError } from '../../base/errors.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { NodeId } from '../../base/types.ts'
import { clientFilter } from '../model/clients.ts'
import type { Connection } from '../service/connections.ts'
import { bindError, bindMapping, isSamePlace } from '../service/bind.ts'
import type { MappingDeps } from './tcp.ts'
import { checkAnswersReturn, OverlayFlow } from '../udp/overlay-flow.ts'
import type { Service } from '../service/table.ts'
import { SparseLog } from '../service/sparse-log.ts'
import type { MapSpec } from '../model/map-spec.ts'
import type { MappedRecord } from '../model/records.ts'
import { MAX_UDP_SESSIONS, UDP_BUFFER_BYTES, UdpSessionTable } from '../udp/sessions.ts'
import type { UdpSession } from '../udp/sessions.ts'

interface MappedSession extends UdpSession {
  readonly flow: OverlayFlow
  readonly traffic: { bytesRead: number; bytesWritten: number }
}

export class UdpMapping implements Service<MappedRecord> {
  readonly spec: MapSpec
  readonly #deps: MappingDeps
  readonly #sparse: SparseLog
  readonly #takes: (address: string) => boolean
  readonly #sessions = new UdpSessionTable<MappedSession>()
  #socket: Socket | undefined
  #local = ''
  #node: NodeId | undefined

  constructor(spec: MapSpec, deps: MappingDeps) {
    this.spec = spec
    this.#deps = deps
    this.#takes = clientFilter(spec.clients)
    this.#sparse = new SparseLog(deps.log)
  }

  get record(): MappedRecord {
    const { name, peer, port } = this.spec
    const remote =
      this.#node === undefined ? `${peer}:${port}` : formatSocketAddress({ network: 0, node: this.#node, port })
    return { name, local: this.#local, peer, remote, protocol: 'udp' }
  }

  async identify(): Promise<void> {
    this.#node = await this.#deps.node.resolve(this.spec.peer).catch(() => undefined)
  }

  /** @throws PilotError PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNAVAILABLE, USAGE. */
  async start(): Promise<void> {
    await checkAnswersReturn(this.#deps.node, `mapping ${this.spec.name}`)
    await bindMapping(this.spec, this.#deps, (address, port) => this.#bind(address, port))
    this.#deps.node.prepare(this.spec.peer)
  }

  /** The address is free at once, and the sessions, which live by it, end. */
  stop(): void {
    this.#socket?.close()
    this.#socket = undefined
    this.#sessions.clear()
  }

  /** Sessions were with what the other led to: the next datagram of a client begins another. */
  takeOver(running: Service<MappedRecord>): boolean {
    if (
      !(running instanceof UdpMapping) ||
      running.#socket === undefined ||
      !isSamePlace(this.spec, running.spec, running.#local)
    )
      return false
    this.#socket = running.#socket
    this.#local = running.#local
    if (this.spec.peer === running.spec.peer) this.#node = running.#node
    this.#attend(this.#socket)
    running.#socket = undefined
    running.stop()
    return true
  }

  #attend(socket: Socket): void {
    socket
      .removeAllListeners('error')
      .on('error', (error) =>
        this.#sparse.warn(
          'socket',
          { mapping: this.spec.name, reason: error.message },
          'a datagram could not be taken or given',
        ),
      )
    socket.removeAllListeners('message').on('message', (bytes, client) => this.#onClient(bytes, client))
  }

  #bind(address: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = createSocket({
        type: isIPv6(address) ? 'udp6' : 'udp4',
        recvBufferSize: UDP_BUFFER_BYTES,
        sendBufferSize: UDP_BUFFER_BYTES,
      })
      socket.once('error', (error) => {
        socket.close()
        reject(bindError(error, `mapping ${this.spec.name}`, `${address}:${port}`))
      })
      socket.bind({ address, port, exclusive: true }, () => {
        this.#attend(socket)
        const bound = socket.address()
        this.#local = formatEndpoint({ address: bound.address, port: bound.port })
        this.#socket = socket
        resolve()
      })
    })
  }

  #onClient(bytes: Uint8Array, client: RemoteInfo): void {
    const key = `${client.address}:${client.port}`
    const session = this.#sessions.get(key) ?? this.#open(key, client)
    if (session === undefined) return
    session.usedAt = performance.now()
    session.traffic.bytesWritten += bytes.length
    session.flow.send(bytes)
  }

  #open(key: string, client: RemoteInfo): MappedSession | undefined {
    const { connections, node } = this.#deps
    const { name, peer, port, path = 'any' } = this.spec
    if (!this.#takes(client.address)) {
      connections.counters.connections_denied += 1
      return this.#drop('a client that is not among `clients`')
    }
    if (this.#sessions.isFull) return this.#drop(`${MAX_UDP_SESSIONS} clients have sessions already`)
    let connection: Connection
    try {
      connection = connections.add(
        {
          direction: 'map',
          service: name,
          protocol: 'udp',
          peer,
          nodeId: null,
          local: formatEndpoint(client),
          remote: `${peer}:${port}`,
        },
        () => this.#sessions.remove(key, session),
      )
    } catch {
      return this.#drop('too many connections')
    }
    connections.counters.connections_mapped += 1
    const traffic = { bytesRead: 0, bytesWritten: 0 }
    const flow = new OverlayFlow(
      node,
      { peer, port, path },
      {
        onOpen: (id) => {
          connection.nodeId = this.#node = id
          connection.stream = traffic
        },
        onAnswer: (answer) => {
          session.usedAt = performance.now()
          traffic.bytesRead += answer.length
          this.#socket?.send(answer, client.port, client.address)
        },
        onDropped: (error) => {
          this.#onDropped(error)
          if (!HARMLESS.has(error.code)) this.#sessions.remove(key, session) // the next datagram asks anew who and where the peer is
        },
      },
    )
    const session: MappedSession = {
      usedAt: performance.now(),
      flow,
      traffic,
      close: () => {
        flow.close()
        connections.remove(connection)
      },
    }
    this.#sessions.add(key, session)
    void flow.open().then((opened) => {
      if (!opened) this.#sessions.remove(key, session)
    })
    return session
  }

  #drop(why: string): undefined {
    this.#deps.connections.counters.datagrams_dropped += 1
    this.#sparse.warn('full', { mapping: this.spec.name, code: 'TOO_MANY' }, `a datagram was dropped: ${why}`)
    return undefined
  }

  #onDropped({ code, message, hint }: PilotError): void {
    const { counters } = this.#deps.connections
    counters.datagrams_dropped += 1
    if (code === 'DATAGRAM_TOO_LARGE') counters.datagrams_too_large += 1
    this.#sparse.warn(
      code,
      { mapping: this.spec.name, peer: this.spec.peer, code, hint },
      `a datagram was dropped: ${message}`,
    )
  }
}

/** Of one datagram, not of the peer. */
const HARMLESS: ReadonlySet<string> = new Set(['DATAGRAM_TOO_LARGE', 'TOO_MANY'])
