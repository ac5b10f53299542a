/**
 * A local UDP service on one of our overlay ports: every (peer, source port) speaks to it from a local socket of its own,
 * so that its answers find their way back. Above: gateway.ts. Below: access.ts, runtime/overlay.ts.
 * Whoever is not allowed hears nothing, which is also what a port without a service says.
 */
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { formatAddress } from '../../base/address.ts'
import { asPilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { OverlayDatagrams } from '../../runtime/overlay.ts'
import { AccessList } from './access.ts'
import type { Connection } from '../service/connections.ts'
import type { ExposureDeps } from './tcp.ts'
import { ExposureLimits } from './limits.ts'
import type { Admission } from './limits.ts'
import type { Service } from '../service/table.ts'
import { SparseLog } from '../service/sparse-log.ts'
import type { ExposeSpec } from '../model/expose-spec.ts'
import type { ExposedRecord } from '../model/records.ts'
import { MAX_UDP_SESSIONS, MAX_UDP_WAITING, UDP_BUFFER_BYTES, UdpSessionTable } from '../udp/sessions.ts'
import type { UdpSession } from '../udp/sessions.ts'

interface ExposedSession extends UdpSession {
  readonly from: NodeId
  readonly peerName: string
  readonly traffic: { bytesRead: number; bytesWritten: number }
  connection: Connection | undefined // once it is allowed
  admission: Admission | undefined // with the connection
  socket: Socket | undefined // once it is connected to the target
  waiting: Uint8Array[]
  checkedAt: number // ms; when access was looked at last
}

/** Who attends to the datagrams of an overlay port. */
interface Desk {
  attendant: UdpExposure
}

export class UdpExposure implements Service<ExposedRecord> {
  readonly spec: ExposeSpec
  readonly #deps: ExposureDeps
  readonly #sparse: SparseLog
  readonly #sessions = new UdpSessionTable<ExposedSession>()
  readonly #access: AccessList
  readonly #limits: ExposureLimits
  #taken = false
  #port: OverlayDatagrams | undefined
  #desk: Desk | undefined // beside the port

  constructor(spec: ExposeSpec, deps: ExposureDeps) {
    this.spec = spec
    this.#deps = deps
    this.#sparse = new SparseLog(deps.log)
    this.#access = new AccessList(deps.node, spec.allow)
    this.#limits = new ExposureLimits(spec.limits)
  }

  get record(): ExposedRecord {
    const { name, port, target, allow } = this.spec
    return { name, port, target: target.text, allow, protocol: 'udp' }
  }

  /** @throws PilotError PORT_IN_USE when the overlay port takes datagrams already. */
  async start(): Promise<void> {
    const desk: Desk = { attendant: this }
    this.#port = await this.#deps.node.datagrams(this.spec.port, (bytes, from, sourcePort) =>
      desk.attendant.#onDatagram(bytes, from, sourcePort),
    )
    this.#desk = desk
    this.#access.start()
  }

  /** Sessions were by the other's terms: the next datagram of a peer begins another. */
  takeOver(running: Service<ExposedRecord>): boolean {
    if (
      !(running instanceof UdpExposure) ||
      running.#port === undefined ||
      running.#desk === undefined ||
      this.spec.port !== running.spec.port
    )
      return false
    const port = running.#port
    running.#port = undefined
    running.stop()
    this.#port = port
    this.#desk = running.#desk
    this.#desk.attendant = this
    this.#access.start()
    return true
  }

  /** The port is free at once, and the sessions, which live by it, end. */
  stop(): void {
    this.#access.stop()
    this.#port?.close()
    this.#port = undefined
    this.#sessions.clear()
  }

  #onDatagram(bytes: Uint8Array, from: NodeId, sourcePort: number): void {
    const key = `${from}:${sourcePort}`
    const session = this.#sessions.get(key) ?? this.#begin(key, from, sourcePort)
    if (session === undefined) return
    const now = performance.now()
    session.usedAt = now
    if (session.socket !== undefined && now - session.checkedAt > CHECK_AGAIN_MS) this.#checkAgain(key, session)
    if (session.admission?.fits(bytes.length) === false) {
      this.#deps.connections.counters.datagrams_dropped += 1
      return
    }
    session.traffic.bytesRead += bytes.length
    if (session.socket !== undefined) session.socket.send(bytes)
    else if (session.waiting.length < MAX_UDP_WAITING) session.waiting.push(bytes.slice())
    else this.#deps.connections.counters.datagrams_dropped += 1
  }

  #begin(key: string, from: NodeId, sourcePort: number): ExposedSession | undefined {
    if (this.#sessions.isFull) return this.#drop('full', from, `${MAX_UDP_SESSIONS} sessions are open already`)
    const { node, connections } = this.#deps
    const session: ExposedSession = {
      usedAt: performance.now(),
      checkedAt: performance.now(),
      from,
      connection: undefined,
      admission: undefined,
      socket: undefined,
      waiting: [],
      traffic: { bytesRead: 0, bytesWritten: 0 },
      peerName: node.hostnameOf(from) ?? formatAddress({ network: 0, node: from }),
      close: () => {
        session.socket?.close()
        session.socket = undefined
        session.waiting = []
        session.admission?.release()
        if (session.connection === undefined) return
        connections.remove(session.connection)
        if (this.#taken && this.#port !== undefined) this.#deps.onTaken(this.spec)
      },
    }
    this.#sessions.add(key, session)
    this.#connect(key, session, sourcePort).catch((error: unknown) => {
      const { message } = asPilotError(error)
      connections.counters.connections_failed += 1
      this.#sparse.warn(
        'target',
        { expose: this.spec.name, target: this.spec.target.text, code: 'TARGET_UNREACHABLE', reason: message },
        'the local service cannot be reached',
      )
      this.#sessions.remove(key, session)
    })
    return session
  }

  async #allows(peer: NodeId): Promise<boolean> {
    return await this.#access.allows(peer, await this.#deps.guests?.standing(peer, this.spec.name))
  }

  async #connect(key: string, session: ExposedSession, sourcePort: number): Promise<void> {
    const { connections } = this.#deps
    const { name, port, target, allow } = this.spec
    if (!(await this.#allows(session.from))) {
      connections.counters.connections_denied += 1
      this.#sparse.warn(
        `denied ${session.from}`,
        { expose: name, peer: session.peerName, nodeId: session.from, port, allow, code: 'DENIED' },
        'datagrams of a peer that is not allowed here are dropped',
      )
      return this.#forgetSoon(key, session)
    }
    if (this.#taken) return this.#forgetSoon(key, session)
    const admission = this.#limits.admit(session.from)
    if (typeof admission === 'string') {
      connections.counters.connections_limited += 1
      this.#sparse.warn(
        `${admission} ${session.from}`,
        { expose: name, peer: session.peerName, nodeId: session.from, code: 'TOO_MANY', limit: admission },
        'datagrams of a peer are dropped: a limit of this exposure',
      )
      return this.#forgetSoon(key, session)
    }
    session.admission = admission
    this.#taken = this.spec.once === true
    if (target.kind === 'unix' || this.#sessions.get(key) !== session) return
    const { address, family } = await lookup(target.host)
    const socket = createSocket({
      type: family === 6 ? 'udp6' : 'udp4',
      recvBufferSize: UDP_BUFFER_BYTES,
      sendBufferSize: UDP_BUFFER_BYTES,
    })
    socket.on('error', (error) =>
      this.#sparse.warn(
        'target',
        { expose: name, target: target.text, code: 'TARGET_UNREACHABLE', reason: error.message },
        'the local service does not take datagrams',
      ),
    )
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.connect(target.port, address, () => {
        socket.off('error', reject)
        resolve()
      })
    })
    if (this.#sessions.get(key) !== session) return void socket.close()
    session.connection = connections.add(
      {
        direction: 'expose',
        service: name,
        protocol: 'udp',
        peer: session.peerName,
        nodeId: session.from,
        local: target.text,
        remote: `${session.peerName}:${port}`,
      },
      () => this.#sessions.remove(key, session),
    )
    session.connection.stream = session.traffic
    connections.counters.connections_exposed += 1
    session.socket = socket
    socket.on('message', (answer) => this.#onAnswer(session, sourcePort, answer))
    for (const bytes of session.waiting) socket.send(bytes)
    session.waiting = []
  }

  #onAnswer(session: ExposedSession, sourcePort: number, answer: Uint8Array): void {
    session.usedAt = performance.now()
    if (session.admission?.fits(answer.length) === false) {
      this.#deps.connections.counters.datagrams_dropped += 1
      return
    }
    session.traffic.bytesWritten += answer.length
    this.#port?.send(String(session.from), sourcePort, answer).catch((error: unknown) => {
      const { code, message, hint } = asPilotError(error)
      const { counters } = this.#deps.connections
      counters.datagrams_dropped += 1
      if (code === 'DATAGRAM_TOO_LARGE') counters.datagrams_too_large += 1
      this.#sparse.warn(
        code,
        { expose: this.spec.name, peer: session.peerName, code, hint },
        `an answer was dropped: ${message}`,
      )
    })
  }

  /** Deaf for a moment: so a refused peer's flood costs one decision a second. */
  #forgetSoon(key: string, session: ExposedSession): void {
    session.waiting = []
    setTimeout(() => this.#sessions.remove(key, session), REFUSED_MS).unref()
  }

  /** Trust and permission may end while a session lives. */
  #checkAgain(key: string, session: ExposedSession): void {
    session.checkedAt = performance.now()
    this.#allows(session.from).then(
      (isAllowed) => {
        if (!isAllowed) this.#sessions.remove(key, session)
      },
      () => this.#sessions.remove(key, session),
    )
  }

  #drop(kind: string, from: NodeId, why: string): undefined {
    this.#deps.connections.counters.datagrams_dropped += 1
    this.#sparse.warn(
      kind,
      { expose: this.spec.name, nodeId: from, code: 'TOO_MANY' },
      `a datagram was dropped: ${why}`,
    )
    return undefined
  }
}

const CHECK_AGAIN_MS = 5_000
const REFUSED_MS = 1_000
