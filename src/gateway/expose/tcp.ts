/**
 * A local service on one of our overlay ports: a peer connects, the target is dialled, and the two are joined. Above:
 * gateway.ts. Below: reception.ts, connect-target.ts, splice.ts, runtime/overlay.ts. The peer's request is answered
 * only once the target has accepted the connection, so that 'connected' is true for it.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { PilotError } from '../../base/errors.ts'
import { formatEndpoint } from '../../base/types.ts'
import { GiveUp } from '../../runtime/giving-up.ts'
import type { Incoming, Listener, OverlayStream } from '../../runtime/overlay.ts'
import { FolderServer } from '../folder/folder-server.ts'
import { HttpExposure } from '../http/exposed.ts'
import { Paced } from '../http/paced.ts'
import { knownPeer } from '../model/known-peer.ts'
import { hostOf } from '../model/expose-spec.ts'
import type { ExposeSpec } from '../model/expose-spec.ts'
import type { ExposedRecord } from '../model/records.ts'
import type { Connection } from '../service/connections.ts'
import { isRelayRefused } from '../service/path-policy.ts'
import { resetSocket, splice } from '../service/splice.ts'
import type { Service } from '../service/table.ts'
import { callerEnvironment, startCommand } from './command.ts'
import { connectTarget, type DialledTarget } from './connect-target.ts'
import type { TargetHosts } from './target-hosts.ts'
import { targetHosts } from './target-hosts.ts'
import type { Admission } from './limits.ts'
import { proxyHeader } from './proxy-protocol.ts'
import { Reception } from './reception.ts'
import type { ExposureDeps } from './reception.ts'

/** A listening overlay port, and the exposure that handles its connections. */
interface Door {
  owner: Exposure
  listener: Listener | undefined // set as soon as it listens
}

export class Exposure implements Service<ExposedRecord> {
  readonly spec: ExposeSpec
  readonly #deps: ExposureDeps
  readonly #hosts: TargetHosts
  readonly #reception: Reception
  #http: HttpExposure | undefined // parses requests to set headers; a new one at each start, because a drain is final
  #folder: FolderServer | undefined // of a folder; likewise
  #door: Door | undefined // while it listens

  constructor(spec: ExposeSpec, deps: ExposureDeps) {
    this.spec = spec
    this.#deps = deps
    this.#hosts = targetHosts(spec, deps.hosts)
    this.#reception = new Reception(spec, deps, 'a peer was refused')
  }

  get record(): ExposedRecord {
    return this.#reception.record
  }

  /** @throws PilotError PORT_IN_USE if the overlay port is already exposed. */
  async start(): Promise<void> {
    const door: Door = { owner: this, listener: undefined }
    door.listener = await this.#deps.node.listen(this.spec.port, (incoming) => door.owner.#take(incoming))
    this.#door = door
    this.#attend()
  }

  takeOver(running: Service<ExposedRecord>): boolean {
    if (!(running instanceof Exposure) || running.#door === undefined) return false
    if (this.spec.port !== running.spec.port) return false
    this.#door = running.#door
    this.#door.owner = this
    this.#reception.follow(running.#reception)
    running.#door = undefined
    running.stop()
    this.#attend()
    return true
  }

  #attend(): void {
    const { node, access, stateDir } = this.#deps
    const { name, target, identity, host } = this.spec
    if (target.kind === 'folder') this.#folder = new FolderServer(target.path, stateDir, access)
    const identifies = identity?.includes('headers') === true
    const presents = host === undefined ? undefined : hostOf(target)
    if (identifies || presents !== undefined)
      this.#http = new HttpExposure(name, node, access, { identifies, presents })
    this.#reception.start()
  }

  /** No new peers; open connections continue. */
  stop(): void {
    this.#reception.stop()
    this.#door?.listener?.close()
    this.#door = undefined
    this.#http?.drain()
    this.#folder?.drain()
  }

  #take(incoming: Incoming): void {
    this.#onPeer(incoming).catch((error: unknown) => {
      this.#deps.log.error({ expose: this.spec.name, reason: String(error) }, 'a connection could not be handled')
      incoming.refuse()
    })
  }

  async #onPeer(incoming: Incoming): Promise<void> {
    const admission = await this.#reception.admit(incoming)
    if (admission === undefined) return incoming.refuse()
    const giveUp = new GiveUp()
    const connection = incoming.gone ? undefined : this.#reception.enter(incoming, () => giveUp.abort())
    if (connection === undefined) {
      admission.release()
      return incoming.refuse()
    }
    const turnAway = (error?: PilotError): void => {
      this.#deps.connections.remove(connection, error)
      admission.release()
      incoming.refuse(error === undefined ? undefined : 'target_unreachable')
    }
    if (this.#folder !== undefined) return this.#serveFolder(this.#folder, incoming, connection, admission)
    let socket: Socket
    try {
      socket = await this.#reach(connection, giveUp)
    } catch (error) {
      return turnAway(giveUp.aborted ? undefined : this.#reception.failed(incoming, (error as Error).message))
    }
    if (giveUp.aborted || incoming.gone || this.#reception.taken) {
      socket.on('error', () => {})
      resetSocket(socket)
      return turnAway()
    }
    this.#accept(incoming, connection, socket, admission)
  }

  /** The service, or a process that is started for this connection. */
  async #reach(connection: Connection, giveUp: GiveUp): Promise<Socket> {
    const { target, name } = this.spec
    if (target.kind !== 'exec') return await connectTarget(target as DialledTarget, this.#hosts, giveUp)
    const caller = knownPeer(this.#deps.node, connection.nodeId!)
    const env = callerEnvironment(caller, name, connection.label, process.env)
    const pipe = await startCommand(target.command, env, ({ code, signal, lastWords }) => {
      if (code !== 0)
        this.#reception.warn(
          'command',
          {
            peer: connection.peer,
            code,
            ...(signal !== null && { signal }),
            ...(lastWords !== '' && { stderr: lastWords }),
          },
          'the command of an exposure failed',
        )
    })
    return pipe as Duplex as Socket // splice and resetSocket treat what has no port as a Unix socket
  }

  #serveFolder(folder: FolderServer, incoming: Incoming, connection: Connection, admission: Admission): void {
    const stream = incoming.accept()
    connection.abort = () => stream.resetAndDestroy()
    let failure: Error | undefined
    stream.on('error', (error) => {
      failure = error
    })
    stream.once('close', () => {
      admission.release()
      this.#onClosed(connection, stream, failure)
    })
    this.#reception.opened(connection, stream)
    if (this.spec.path === 'direct') stream.refuseRelay()
    const { pace } = admission
    folder.serve(pace === undefined ? stream : new Paced(stream, pace), {
      http: 'expose',
      service: this.spec.name,
      peer: stream.peerName,
      nodeId: stream.peer,
      ...(connection.label !== undefined && { label: connection.label }),
    })
    if (this.#reception.taken) this.#deps.onTaken(this.spec)
  }

  /** In its own scope, so that long-lived closures keep nothing of the connection's set-up alive. */
  #accept(incoming: Incoming, connection: Connection, socket: Socket, admission: Admission): void {
    connection.abort = () => resetSocket(socket)
    const stream = incoming.accept()
    this.#reception.opened(connection, stream)
    if (this.spec.path === 'direct') stream.refuseRelay()
    this.#join(connection, socket, stream, admission)
    if (this.#reception.taken) this.#deps.onTaken(this.spec)
  }

  #join(connection: Connection, socket: Socket, stream: OverlayStream, admission: Admission): void {
    this.#introduce(connection, socket, stream)
    const closed = (error: Error | undefined): void => {
      admission.release()
      this.#onClosed(connection, stream, error)
    }
    if (this.#http === undefined) {
      splice(socket, stream, closed, admission.pace)
      return
    }
    // When read as HTTP, the peer's stream outlives this one connection to the target.
    connection.abort = () => stream.resetAndDestroy()
    let failure: Error | undefined
    stream.once('error', (error) => {
      failure = error
    })
    stream.once('close', () => closed(failure))
    this.#http.serve(
      stream,
      socket,
      async () => {
        const next = await this.#reach(connection, NEVER)
        this.#introduce(connection, next, stream)
        return next
      },
      admission.pace,
      connection.label,
    )
  }

  #onClosed(connection: Connection, stream: OverlayStream, error: Error | undefined): void {
    const { connections, log, node } = this.#deps
    connections.remove(connection, error)
    const about = { expose: this.spec.name, peer: stream.peerName }
    if (isRelayRefused(error))
      this.#reception.warn(
        'relay',
        { peer: stream.peerName, code: 'RELAY_REFUSED', reason: node.pathTo(stream.peer)?.reason },
        `a peer was reset: ${error.message}`,
      )
    log.debug(
      {
        ...about,
        bytesIn: stream.bytesRead,
        bytesOut: stream.bytesWritten,
        ...(error !== undefined && { reason: error.message }),
      },
      'connection closed',
    )
  }

  /** A connection to the target, known to whois, and starting with the caller's identity if the target expects it. */
  #introduce(connection: Connection, socket: Socket, stream: OverlayStream): void {
    const { node } = this.#deps
    if (socket.localAddress !== undefined && socket.localPort !== undefined) {
      const end = formatEndpoint({ address: socket.localAddress, port: socket.localPort })
      connection.local = end
      connection.ends.add(end)
      socket.on('close', () => connection.ends.delete(end))
    }
    const version = this.spec.identity?.find((kind) => kind !== 'headers')
    if (version === undefined) return
    socket.write(
      proxyHeader(version, {
        caller: knownPeer(node, stream.peer),
        callerPort: stream.remotePort,
        ownNode: node.nodeId,
        ownPort: this.spec.port,
      }),
    )
  }
}

const NEVER = new GiveUp()
