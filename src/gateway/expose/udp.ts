/**
 * A local UDP service on one of our overlay ports: every (peer, source port) has its own local socket towards it, so
 * that answers reach the right peer. Above: gateway.ts. Below: reception.ts, udp-target.ts, runtime/overlay.ts. A peer
 * that is not allowed gets no answer, as from a port without a service.
 */
import { formatAddress } from '../../base/address.ts'
import { asPilotError, type PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { OverlayDatagrams } from '../../runtime/overlay.ts'
import type { ExposeSpec } from '../model/expose-spec.ts'
import type { ExposedRecord } from '../model/records.ts'
import type { Connection } from '../service/connections.ts'
import type { Service } from '../service/table.ts'
import { MAX_UDP_WAITING, UdpSessionTable } from '../udp/sessions.ts'
import type { UdpSession } from '../udp/sessions.ts'
import type { Admission } from './limits.ts'
import { Reception } from './reception.ts'
import type { ExposureDeps, Visitor } from './reception.ts'
import type { TargetHosts } from './target-hosts.ts'
import { targetHosts } from './target-hosts.ts'
import { UdpTarget } from './udp-target.ts'

interface ExposedSession extends UdpSession, Visitor {
  readonly sourcePort: number
  readonly traffic: { bytesRead: number; bytesWritten: number }
  connection: Connection | undefined // once it is allowed
  admission: Admission | undefined // with the connection
  target: UdpTarget | undefined // once it can be sent to
  waiting: Uint8Array[]
  checkedAt: number // ms; when access was last checked
  readonly onDropped: (error: PilotError) => void // of an answer
}

/** An overlay port for datagrams, and the exposure that handles them. */
interface Door {
  owner: UdpExposure
  port: OverlayDatagrams | undefined // set as soon as it is open
}

export class UdpExposure implements Service<ExposedRecord> {
  readonly spec: ExposeSpec
  readonly #deps: ExposureDeps
  readonly #hosts: TargetHosts
  readonly #reception: Reception
  readonly #sessions = new UdpSessionTable<ExposedSession>()
  #door: Door | undefined // while it listens

  constructor(spec: ExposeSpec, deps: ExposureDeps) {
    this.spec = spec
    this.#deps = deps
    this.#hosts = targetHosts(spec, deps.hosts)
    this.#reception = new Reception(spec, deps, 'datagrams of a peer are dropped')
  }

  get record(): ExposedRecord {
    return this.#reception.record
  }

  /** @throws PilotError PORT_IN_USE if the overlay port already takes datagrams. */
  async start(): Promise<void> {
    const door: Door = { owner: this, port: undefined }
    door.port = await this.#deps.node.datagrams(this.spec.port, (bytes, from, sourcePort) =>
      door.owner.#onDatagram(bytes, from, sourcePort),
    )
    this.#door = door
    this.#reception.start()
  }

  /** Existing sessions follow the old terms: a peer's next datagram starts a new one. */
  takeOver(running: Service<ExposedRecord>): boolean {
    if (!(running instanceof UdpExposure) || running.#door === undefined) return false
    if (this.spec.port !== running.spec.port) return false
    this.#door = running.#door
    this.#door.owner = this
    running.#door = undefined
    running.stop()
    this.#reception.follow(running.#reception)
    this.#reception.start()
    return true
  }

  /** The port is freed immediately, and the sessions that depend on it end. */
  stop(): void {
    this.#reception.stop()
    this.#door?.port?.close()
    this.#door = undefined
    this.#sessions.clear()
  }

  #onDatagram(bytes: Uint8Array, peer: NodeId, sourcePort: number): void {
    const key = `${peer}:${sourcePort}`
    const session = this.#sessions.get(key) ?? this.#begin(key, peer, sourcePort)
    const now = performance.now()
    session.usedAt = now
    if (session.target !== undefined && now - session.checkedAt > CHECK_AGAIN_MS) this.#checkAgain(key, session, now)
    if (session.admission?.fits(bytes.length) === false) return this.#dropped()
    session.traffic.bytesRead += bytes.length
    if (session.target !== undefined) session.target.send(bytes)
    else if (session.waiting.length < MAX_UDP_WAITING) session.waiting.push(bytes.slice())
    else this.#dropped()
  }

  #begin(key: string, peer: NodeId, sourcePort: number): ExposedSession {
    const { node } = this.#deps
    const session: ExposedSession = {
      peer,
      peerName: node.hostnameOf(peer) ?? formatAddress({ network: 0, node: peer }),
      sourcePort,
      usedAt: performance.now(),
      checkedAt: performance.now(),
      answered: false,
      connection: undefined,
      admission: undefined,
      target: undefined,
      waiting: [],
      traffic: { bytesRead: 0, bytesWritten: 0 },
      onDropped: (error) => this.#onDropped(session, error),
      close: () => this.#close(session),
    }
    this.#sessions.add(key, session, (other) => other.peer === peer)
    this.#admit(key, session).catch((error: unknown) => {
      this.#reception.failed(session, asPilotError(error).message)
      this.#sessions.remove(key, session)
    })
    return session
  }

  #close(session: ExposedSession): void {
    const wasOpen = session.target !== undefined
    session.target?.close()
    session.target = undefined
    this.#leave(session)
    if (wasOpen && this.#reception.taken && this.#door !== undefined) this.#deps.onTaken(this.spec)
  }

  #leave(session: ExposedSession): void {
    session.waiting = []
    session.admission?.release()
    session.admission = undefined
    if (session.connection !== undefined) this.#deps.connections.remove(session.connection)
    session.connection = undefined
  }

  /** Rejects if the target cannot be sent to. */
  async #admit(key: string, session: ExposedSession): Promise<void> {
    const isOpen = (): boolean => this.#sessions.get(key) === session
    const admission = await this.#reception.admit(session)
    if (admission === undefined) return this.#forgetSoon(key, session)
    if (!isOpen()) return admission.release()
    session.admission = admission
    const connection = this.#reception.enter(session, () => this.#sessions.remove(key, session))
    if (connection === undefined) return this.#forgetSoon(key, session)
    session.connection = connection
    const target = await this.#open(key, session)
    if (!isOpen()) return target.close()
    if (this.#reception.taken) {
      target.close()
      return this.#forgetSoon(key, session)
    }
    this.#reception.opened(connection, session.traffic)
    session.target = target
    for (const bytes of session.waiting) target.send(bytes)
    session.waiting = []
  }

  async #open(key: string, session: ExposedSession): Promise<UdpTarget> {
    const { target } = this.spec
    if (!('port' in target)) throw new RangeError('a /udp port has only HOST:PORT behind it') // parsing refuses it
    const opened = new UdpTarget(target, this.#hosts, {
      onAnswer: (answer) => this.#onAnswer(session, answer),
      onUnreachable: (error) => this.#onUnreachable(key, session, error),
    })
    try {
      await opened.open()
    } catch (error) {
      opened.close()
      throw error
    }
    return opened
  }

  #onUnreachable(key: string, session: ExposedSession, { message }: Error): void {
    const { target, once } = this.spec
    this.#reception.warn(
      'target',
      { target: target.text, code: 'TARGET_UNREACHABLE', reason: message },
      'the local service does not accept datagrams',
    )
    if (once !== true || session.answered) return
    this.#reception.taken = false // its one connection was not used
    this.#sessions.remove(key, session)
  }

  #onAnswer(session: ExposedSession, answer: Uint8Array): void {
    session.usedAt = performance.now()
    session.answered = true
    if (session.admission?.fits(answer.length) === false) return this.#dropped()
    session.traffic.bytesWritten += answer.length
    this.#door?.port?.sendTo(session.peer, session.sourcePort, answer, session.onDropped)
  }

  #onDropped(session: ExposedSession, { code, message, hint }: PilotError): void {
    this.#dropped()
    if (code === 'DATAGRAM_TOO_LARGE') this.#deps.connections.counters.datagrams_too_large += 1
    this.#reception.warn(code, { peer: session.peerName, code, hint }, `an answer was dropped: ${message}`)
  }

  #dropped(): void {
    this.#deps.connections.counters.datagrams_dropped += 1
  }

  /** Ignores the peer for a moment, so that a refused peer's flood costs one decision a second. */
  #forgetSoon(key: string, session: ExposedSession): void {
    this.#leave(session)
    setTimeout(() => this.#sessions.remove(key, session), REFUSED_MS).unref()
  }

  /** Trust and permission may end while a session lives, and the service may move. */
  #checkAgain(key: string, session: ExposedSession, now: number): void {
    session.checkedAt = now
    void session.target?.follow()
    this.#reception.allows(session.peer).then(
      (isAllowed) => {
        if (!isAllowed) this.#sessions.remove(key, session)
      },
      () => this.#sessions.remove(key, session),
    )
  }
}

const CHECK_AGAIN_MS = 5_000
const REFUSED_MS = 1_000
