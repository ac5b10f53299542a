/**
 * A local service on one of our overlay ports: a peer asks, access decides, the target is connected, the two are joined.
 * Above: gateway.ts. Below: access.ts, splice.ts, runtime/overlay.ts.
 * The peer's request is answered only when the target has taken the connection, so that 'connected' is true for it.
 */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { formatEndpoint, type NodeId } from '../../base/types.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Incoming, Listener, Overlay, OverlayStream } from '../../runtime/overlay.ts'
import { AccessList } from './access.ts'
import { callerOf } from '../model/caller.ts'
import type { Connection, ConnectionTable } from '../service/connections.ts'
import { HttpExposure } from '../http/exposed.ts'
import type { Admission } from './limits.ts'
import { ExposureLimits } from './limits.ts'
import { admitPeer, isRelayRefused } from '../service/path-policy.ts'
import { proxyHeader } from './proxy-protocol.ts'
import type { Service } from '../service/table.ts'
import { SparseLog } from '../service/sparse-log.ts'
import { resetSocket, splice } from '../service/splice.ts'
import type { ExposeSpec, Target } from '../model/expose-spec.ts'
import type { ExposedRecord } from '../model/records.ts'

export interface ExposureDeps {
  readonly node: Overlay
  /** Who came by a ticket; absent: nobody. */
  readonly guests?: { standing(node: NodeId, service: string): Promise<'granted' | 'restricted' | undefined> }
  readonly connections: ConnectionTable
  readonly log: Logger
  /** An exposure for one connection has had it. */
  readonly onTaken: (spec: ExposeSpec) => void
}

/** Who attends to those that come to an overlay port. */
interface Desk {
  attendant: Exposure
}

export class Exposure implements Service<ExposedRecord> {
  readonly spec: ExposeSpec
  readonly #deps: ExposureDeps
  #http: HttpExposure | undefined // where requests are read, for headers to be set; a new one at each start, as a drain is for good
  readonly #access: AccessList
  readonly #limits: ExposureLimits
  readonly #sparse: SparseLog
  #door: { readonly desk: Desk; readonly listener: Listener } | undefined // while it listens
  #taken = false

  constructor(spec: ExposeSpec, deps: ExposureDeps) {
    this.spec = spec
    this.#deps = deps
    this.#access = new AccessList(deps.node, spec.allow)
    this.#limits = new ExposureLimits(spec.limits)
    this.#sparse = new SparseLog(deps.log)
  }

  get record(): ExposedRecord {
    const { name, port, target, allow, identity } = this.spec
    return { name, port, target: target.text, allow, protocol: 'tcp', ...(identity !== undefined && { identity }) }
  }

  /** @throws PilotError PORT_IN_USE when the overlay port is exposed already. */
  async start(): Promise<void> {
    const desk: Desk = { attendant: this }
    const listener = await this.#deps.node.listen(this.spec.port, (incoming) => desk.attendant.#take(incoming))
    this.#door = { desk, listener }
    this.#attend()
  }

  takeOver(running: Service<ExposedRecord>): boolean {
    if (!(running instanceof Exposure) || running.#door === undefined || this.spec.port !== running.spec.port)
      return false
    this.#door = running.#door
    this.#door.desk.attendant = this
    this.#limits.follow(running.#limits)
    running.#door = undefined
    running.stop()
    this.#attend()
    return true
  }

  #attend(): void {
    const { node, log } = this.#deps
    if (this.spec.identity?.includes('headers') === true) this.#http = new HttpExposure(this.spec.name, node, log)
    this.#access.start()
  }

  #take(incoming: Incoming): void {
    this.#onPeer(incoming).catch((error: unknown) => {
      this.#deps.log.error({ expose: this.spec.name, reason: String(error) }, 'a connection could not be handled')
      incoming.refuse()
    })
  }

  /** No new peers; those inside go on. */
  stop(): void {
    this.#access.stop()
    this.#door?.listener.close()
    this.#door = undefined
    this.#http?.drain()
  }

  async #onPeer(incoming: Incoming): Promise<void> {
    const { node, connections, log } = this.#deps
    const { name, port, target } = this.spec
    if (!(await this.#access.allows(incoming.peer, await this.#deps.guests?.standing(incoming.peer, name)))) {
      connections.counters.connections_denied += 1
      log.warn(
        { expose: name, peer: incoming.peerName, nodeId: incoming.peer, port, code: 'DENIED' },
        'a trusted peer that is not allowed here was refused',
      )
      incoming.refuse()
      return
    }
    if (!(await admitPeer(node, incoming.peer, this.spec.path ?? 'any'))) {
      connections.counters.connections_denied += 1
      log.warn(
        {
          expose: name,
          peer: incoming.peerName,
          nodeId: incoming.peer,
          port,
          code: 'RELAY_REFUSED',
          reason: node.pathTo(incoming.peer)?.reason,
        },
        'a peer that only the relay carries was refused: path is direct',
      )
      incoming.refuse()
      return
    }
    if (incoming.gone) return
    const admission = this.#limits.admit(incoming.peer)
    if (typeof admission === 'string') {
      connections.counters.connections_limited += 1
      this.#sparse.warn(
        `${admission} ${incoming.peer}`,
        { expose: name, peer: incoming.peerName, nodeId: incoming.peer, code: 'TOO_MANY', limit: admission },
        'a peer was refused: a limit of this exposure',
      )
      incoming.refuse()
      return
    }
    const socket = connectTarget(target)
    const connection = this.#register(incoming, socket)
    if (connection === undefined) return admission.release()
    this.#releaseWith(socket, connection, admission)
    const failed = (error: Error): void => {
      connections.remove(connection)
      connections.counters.connections_failed += 1
      log.warn(
        {
          expose: name,
          target: target.text,
          peer: incoming.peerName,
          code: 'TARGET_UNREACHABLE',
          reason: error.message,
        },
        'the local service does not answer',
      )
      incoming.refuse()
    }
    const aborted = (): void => connections.remove(connection) // by a drain, before the target answered
    socket.once('error', failed)
    socket.once('close', aborted)
    socket.once('connect', () => {
      socket.off('error', failed)
      socket.off('close', aborted)
      if (incoming.gone || this.#taken) {
        incoming.refuse()
        socket.on('error', () => {})
        resetSocket(socket)
        connections.remove(connection)
        return
      }
      connections.counters.connections_exposed += 1
      const stream = incoming.accept()
      this.#taken = this.spec.once === true
      if (this.spec.path === 'direct') stream.refuseRelay()
      this.#join(connection, socket, stream, admission)
      if (this.#taken) this.#deps.onTaken(this.spec)
    })
  }

  /** In a scope of its own: it lives as long as the connection, and holds nothing of how it came about. */
  #releaseWith(socket: Socket, connection: Connection, admission: Admission): void {
    // Read as HTTP, the peer's stream outlives this one connection to the target.
    socket.on('close', () => {
      if (this.#http === undefined || connection.stream === undefined) admission.release()
    })
  }

  #join(connection: Connection, socket: Socket, stream: OverlayStream, admission: Admission): void {
    const { connections, log } = this.#deps
    connection.stream = stream
    this.#introduce(connection, socket, stream)
    const closed = (error: Error | undefined): void => {
      connections.remove(connection)
      if (isRelayRefused(error))
        log.warn(
          {
            expose: this.spec.name,
            peer: stream.peerName,
            code: 'RELAY_REFUSED',
            reason: this.#deps.node.pathTo(stream.peer)?.reason,
          },
          `a peer was reset: ${error.message}`,
        )
      log.debug(
        {
          expose: this.spec.name,
          peer: stream.peerName,
          bytesIn: stream.bytesRead,
          bytesOut: stream.bytesWritten,
          ...(error !== undefined && { reason: error.message }),
        },
        'connection closed',
      )
    }
    if (this.#http === undefined) {
      splice(socket, stream, closed, admission.pace)
      return
    }
    connection.abort = () => stream.resetAndDestroy()
    stream.once('close', () => {
      admission.release()
      closed(undefined)
    })
    this.#http.serve(
      stream,
      socket,
      async () => {
        const next = await connected(connectTarget(this.spec.target))
        this.#introduce(connection, next, stream)
        return next
      },
      admission.pace,
    )
  }

  /** A connection to the target: known to whois, and begun with who calls where the target wants to read that. */
  #introduce(connection: Connection, socket: Socket, stream: OverlayStream): void {
    const { node } = this.#deps
    if (socket.localAddress !== undefined && socket.localPort !== undefined) {
      const end = formatEndpoint({ address: socket.localAddress, port: socket.localPort })
      connection.ends.add(end)
      socket.on('close', () => connection.ends.delete(end))
    }
    const version = this.spec.identity?.find((kind) => kind !== 'headers')
    if (version === undefined) return
    socket.write(
      proxyHeader(version, {
        caller: callerOf(node, stream.peer),
        callerPort: stream.remotePort,
        ownNode: node.nodeId,
        ownPort: this.spec.port,
      }),
    )
  }

  #register(incoming: Incoming, socket: Socket): Connection | undefined {
    const { connections, log } = this.#deps
    const { name, port, target } = this.spec
    const about = {
      direction: 'expose' as const,
      service: name,
      protocol: 'tcp' as const,
      peer: incoming.peerName,
      nodeId: incoming.peer,
      local: target.text,
      remote: `${incoming.peerName}:${port}`,
    }
    try {
      return connections.add(about, () => resetSocket(socket))
    } catch {
      log.warn({ expose: name, peer: incoming.peerName, code: 'TOO_MANY' }, 'a peer was refused: too many connections')
      socket.on('error', () => {})
      socket.destroy()
      incoming.refuse()
      return undefined
    }
  }
}

function connected(socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}

function connectTarget(target: Target): Socket {
  const socket =
    target.kind === 'unix'
      ? connect({ path: target.path, allowHalfOpen: true })
      : connect({ host: target.host, port: target.port, allowHalfOpen: true, noDelay: true, keepAlive: true })
  return socket.pause()
}
