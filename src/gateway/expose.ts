/**
 * A local service on one of our overlay ports: a peer asks, access decides, the target is connected, the two are joined.
 * Above: gateway.ts. Below: access.ts, splice.ts, runtime/overlay.ts.
 * The peer's request is answered only when the target has taken the connection, so that 'connected' is true for it.
 */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { NodeId } from '../base/types.ts'
import type { Logger } from '../runtime/log.ts'
import type { Incoming, Listener, Overlay } from '../runtime/overlay.ts'
import { isAllowed, withoutTickets } from './access.ts'
import type { Connection, ConnectionTable } from './connections.ts'
import { admitPeer } from './path-policy.ts'
import { resetSocket, splice } from './splice.ts'
import type { ExposedRecord, ExposeSpec, Target } from './types.ts'

export interface ExposureDeps {
  readonly node: Overlay
  /** Who came by a ticket; absent: nobody. */
  readonly guests?: { standing (node: NodeId, service: string): Promise<'granted' | 'restricted' | undefined> }
  readonly connections: ConnectionTable
  readonly log: Logger
}

export class Exposure {
  readonly spec: ExposeSpec
  readonly #deps: ExposureDeps
  #listener: Listener | undefined

  constructor (spec: ExposeSpec, deps: ExposureDeps) {
    this.spec = spec
    this.#deps = deps
  }

  get record (): ExposedRecord {
    const { name, port, target, allow } = this.spec
    return { name, port, target: target.text, allow, protocol: 'tcp' }
  }

  /** @throws PilotError PORT_IN_USE when the overlay port is exposed already. */
  async start (): Promise<void> {
    this.#listener = await this.#deps.node.listen(this.spec.port, (incoming) => {
      this.#onPeer(incoming).catch((error: unknown) => {
        this.#deps.log.error({ expose: this.spec.name, reason: String(error) }, 'a connection could not be handled')
        incoming.refuse()
      })
    })
  }

  /** No new peers; those inside go on. */
  stop (): void {
    this.#listener?.close()
    this.#listener = undefined
  }

  async #onPeer (incoming: Incoming): Promise<void> {
    const { node, connections, log } = this.#deps
    const { name, port, allow, target } = this.spec
    const guest = await this.#deps.guests?.standing(incoming.peer, name)
    if (guest !== 'granted' && !await isAllowed(node, withoutTickets(allow, guest), incoming.peer)) {
      connections.counters.connections_denied += 1
      log.warn({ expose: name, peer: incoming.peerName, nodeId: incoming.peer, port, code: 'DENIED' }, 'a trusted peer that is not allowed here was refused')
      incoming.refuse()
      return
    }
    if (!await admitPeer(node, incoming.peer, this.spec.path ?? 'any')) {
      connections.counters.connections_denied += 1
      log.warn({ expose: name, peer: incoming.peerName, nodeId: incoming.peer, port, code: 'RELAY_REFUSED', reason: node.pathTo(incoming.peer)?.reason }, 'a peer that only the relay carries was refused: path is direct')
      incoming.refuse()
      return
    }
    if (incoming.gone) return
    const socket = connectTarget(target)
    const connection = this.#register(incoming, socket)
    if (connection === undefined) return
    const failed = (error: Error): void => {
      connections.remove(connection)
      connections.counters.connections_failed += 1
      log.warn({ expose: name, target: target.text, peer: incoming.peerName, code: 'TARGET_UNREACHABLE', reason: error.message }, 'the local service does not answer')
      incoming.refuse()
    }
    const aborted = (): void => connections.remove(connection) // by a drain, before the target answered
    socket.once('error', failed)
    socket.once('close', aborted)
    socket.once('connect', () => {
      socket.off('error', failed)
      socket.off('close', aborted)
      if (incoming.gone) {
        socket.on('error', () => {})
        resetSocket(socket)
        connections.remove(connection)
        return
      }
      connections.counters.connections_exposed += 1
      const stream = incoming.accept()
      if (this.spec.path === 'direct') stream.refuseRelay()
      connection.stream = stream
      splice(socket, stream, (error) => {
        connections.remove(connection)
        log.debug({ expose: name, peer: incoming.peerName, bytesIn: stream.bytesRead, bytesOut: stream.bytesWritten, ...(error !== undefined && { reason: error.message }) }, 'connection closed')
      })
    })
  }

  #register (incoming: Incoming, socket: Socket): Connection | undefined {
    const { connections, log } = this.#deps
    const { name, port, target } = this.spec
    const about = { direction: 'expose' as const, service: name, peer: incoming.peerName, nodeId: incoming.peer, local: target.text, remote: `${incoming.peerName}:${port}` }
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

function connectTarget (target: Target): Socket {
  const socket = target.kind === 'unix'
    ? connect({ path: target.path, allowHalfOpen: true })
    : connect({ host: target.host, port: target.port, allowHalfOpen: true, noDelay: true, keepAlive: true })
  return socket.pause()
}
