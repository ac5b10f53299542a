/**
 * A remote overlay port on a local address: accept here, dial there, join the two. Above: gateway.ts. Below:
 * entrance.ts, splice.ts, runtime/overlay.ts. Each connection dials separately: nothing can become stale.
 */
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { asPilotError } from '../../base/errors.ts'
import type { Endpoint } from '../../base/types.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { GivingUp } from '../../runtime/giving-up.ts'
import { GiveUp } from '../../runtime/giving-up.ts'
import { listenError } from '../../runtime/net/listen-error.ts'
import type { OverlayStream } from '../../runtime/overlay.ts'
import { HttpMapping } from '../http/mapped.ts'
import { isGroup } from '../model/map-spec.ts'
import type { MapSpec } from '../model/map-spec.ts'
import type { MappedRecord } from '../model/records.ts'
import { BACKLOG } from '../service/bind.ts'
import type { Connection } from '../service/connections.ts'
import { admitDial, isRelayRefused } from '../service/path-policy.ts'
import { resetSocket, splice } from '../service/splice.ts'
import type { Service } from '../service/table.ts'
import { Entrance } from './entrance.ts'
import type { MappingDeps } from './entrance.ts'
import { PeerGroup } from './group/group.ts'

export class Mapping implements Service<MappedRecord> {
  readonly spec: MapSpec
  readonly #deps: MappingDeps
  readonly #entrance: Entrance
  readonly #group: PeerGroup | undefined // if there are several peers, or one that is probed
  #http: HttpMapping | undefined // under host=rewrite; a new one at each start, because a drain is final
  #server: Server | undefined // while it listens

  constructor(spec: MapSpec, deps: MappingDeps) {
    this.spec = spec
    this.#deps = deps
    this.#entrance = new Entrance(spec, deps)
    if (isGroup(spec.peer) || spec.probe !== undefined) this.#group = groupOf(spec, deps)
  }

  get record(): MappedRecord {
    return { ...this.#entrance.record, ...(this.#group !== undefined && { peers: this.#group.records }) }
  }

  /** The peers it may dial now. */
  get targets(): readonly string[] {
    return this.#group?.targets ?? [this.spec.peer]
  }

  identify(): Promise<void> {
    return this.#entrance.identify()
  }

  /** @throws PilotError PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNAVAILABLE, USAGE. */
  async start(): Promise<void> {
    this.#readHttp()
    await this.#entrance.open((place) => this.#listen(place))
    this.#group?.start()
  }

  /** No new clients; open connections continue. */
  stop(): void {
    this.#server?.close()
    this.#server = undefined
    this.#http?.drain()
    this.#group?.stop()
  }

  /** @throws PilotError USAGE. */
  takeOver(running: Service<MappedRecord>): boolean {
    if (!(running instanceof Mapping) || running.#server === undefined) return false
    if (!this.#entrance.canFollow(running.#entrance)) return false
    this.#entrance.follow(running.#entrance)
    this.#server = running.#server
    this.#attend(this.#server)
    running.#server = undefined
    running.stop()
    this.#readHttp()
    this.#group?.start()
    return true
  }

  #readHttp(): void {
    const { name, peer, port, host } = this.spec
    if (host !== undefined) this.#http = new HttpMapping(name, peer, port, this.#deps.access)
  }

  #listen({ address, port }: Endpoint): Promise<Endpoint> {
    return new Promise((resolve, reject) => {
      // Paused until the peer answers: the first chunk waits here, so that it can open the stream; the rest in the kernel.
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true, keepAlive: true })
      server.once('error', (error) =>
        reject(listenError(error, `mapping ${this.spec.name}`, formatEndpoint({ address, port }))),
      )
      server.listen({ host: address, port, backlog: BACKLOG }, () => {
        this.#attend(server)
        this.#server = server
        resolve(server.address() as AddressInfo)
      })
    })
  }

  /** From now on its clients are ours. */
  #attend(server: Server): void {
    server
      .removeAllListeners('error')
      .on('error', (error) =>
        this.#deps.log.warn({ mapping: this.spec.name, reason: error.message }, 'a client could not be accepted'),
      )
    server.removeAllListeners('connection').on('connection', (socket: Socket) => this.#onClient(socket))
  }

  /** Dials the peer, following the policies of this mapping. @throws PilotError: like dialling. */
  async dial(signal: GivingUp): Promise<OverlayStream> {
    const stream = await this.#dial(signal)
    if (this.spec.path === 'direct') stream.refuseRelay()
    return stream
  }

  async #dial(signal: GivingUp): Promise<OverlayStream> {
    if (this.#group !== undefined) return await this.#group.dial(signal)
    const { peer, port, path = 'any' } = this.spec
    if (path !== 'any') await admitDial(this.#deps.node, peer, path, signal)
    return await this.#deps.node.dial(`${peer}:${port}`, signal)
  }

  #onClient(socket: Socket): void {
    const address = socket.remoteAddress ?? ''
    const client = `${address}:${socket.remotePort ?? 0}`
    const connection = this.#entrance.admits(address, RESET)
      ? this.#entrance.enter(client, RESET, resetLater(socket))
      : undefined
    if (connection === undefined) return resetSocket(socket)
    if (this.#http !== undefined) return this.#serve(this.#http, connection, socket)
    const giveUp = new GiveUp()
    const gone = (): void => giveUp.abort()
    socket.on('error', gone).on('close', gone)
    socket.read(0) // just starts to read
    this.dial(giveUp).then(
      (stream) => {
        this.#onStream(connection, socket, stream)
        socket.off('close', gone).off('error', gone) // the dial has ended: an idle connection holds nothing of it
      },
      (error: unknown) => {
        this.#deps.connections.remove(connection, giveUp.aborted ? undefined : asPilotError(error))
        if (!giveUp.aborted) this.#onFailed(socket, error)
      },
    )
  }

  /** Its requests are read, and dial when they need the peer. */
  #serve(http: HttpMapping, connection: Connection, socket: Socket): void {
    this.#deps.connections.opened(connection, {
      get bytesRead() {
        return socket.bytesWritten
      },
      get bytesWritten() {
        return socket.bytesRead
      },
    })
    const closed = new GiveUp()
    socket.once('close', () => {
      closed.abort()
      this.#deps.connections.remove(connection)
    })
    http.serve(socket, async () => {
      const stream = await this.dial(closed).catch((error: unknown) => {
        this.#warnOfFailure(error, 'a request failed')
        throw error
      })
      this.#entrance.reached(connection, stream.peer)
      return stream
    })
  }

  #onStream(connection: Connection, socket: Socket, stream: OverlayStream): void {
    this.#entrance.reached(connection, stream.peer)
    if (!socket.destroyed) {
      this.#deps.connections.opened(connection, stream)
      return this.#join(connection, socket, stream)
    }
    stream.on('error', () => {})
    stream.resetAndDestroy()
    this.#deps.connections.remove(connection)
  }

  #onFailed(socket: Socket, error: unknown): void {
    this.#warnOfFailure(error, RESET)
    resetSocket(socket)
  }

  #warnOfFailure(error: unknown, what: string): void {
    const { name, peer, port } = this.spec
    const { code, message, hint } = asPilotError(error)
    this.#deps.connections.counters.connections_failed += 1
    this.#entrance.sparse.warn(`failed ${code}`, { mapping: name, peer, port, code, hint }, `${what}: ${message}`)
  }

  #join(connection: Connection, socket: Socket, stream: OverlayStream): void {
    const { connections, log, node } = this.#deps
    const { name, port } = this.spec
    splice(socket, stream, (error) => {
      connections.remove(connection, error)
      if (isRelayRefused(error))
        this.#entrance.sparse.warn(
          'relay',
          {
            mapping: name,
            peer: connection.peer,
            port,
            code: 'RELAY_REFUSED',
            reason: node.pathTo(stream.peer)?.reason,
          },
          `${RESET}: ${error.message}`,
        )
      log.debug(
        {
          mapping: name,
          peer: connection.peer,
          bytesIn: stream.bytesRead,
          bytesOut: stream.bytesWritten,
          ...(error !== undefined && { reason: error.message }),
        },
        'connection closed',
      )
    })
  }
}

/** In its own scope: it lives as long as the connection, and holds nothing else. */
function resetLater(socket: Socket): () => void {
  return () => resetSocket(socket)
}

function groupOf(spec: MapSpec, { node, log, tags }: MappingDeps): PeerGroup {
  const mapping = spec.name
  return new PeerGroup(spec, node, {
    tags,
    onEjected: (peer, reason) =>
      log.warn({ mapping, peer, reason }, 'a peer accepts no connections: new ones go to the others'),
    onBack: (peer) => log.info({ mapping, peer }, 'a peer accepts connections again'),
  })
}

const RESET = 'a client was reset'
