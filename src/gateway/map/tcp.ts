/**
 * A remote overlay port on a local address: accept here, dial there, join the two.
 * Above: gateway.ts. Below: splice.ts, runtime/overlay.ts. Every connection dials anew: nothing to go stale.
 */
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { formatSocketAddress } from '../../base/address.ts'
import { asPilotError, PilotError } from '../../base/errors.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { NodeId } from '../../base/types.ts'
import type { GivingUp } from '../../runtime/giving-up.ts'
import { GiveUp } from '../../runtime/giving-up.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Overlay, OverlayStream } from '../../runtime/overlay.ts'
import { clientFilter } from '../model/clients.ts'
import type { Connection, ConnectionTable } from '../service/connections.ts'
import { tagOf } from '../model/allow.ts'
import { isGroup, type MapSpec, peersOf } from '../model/map-spec.ts'
import type { MappedRecord } from '../model/records.ts'
import { BACKLOG, bindError, bindMapping, isSamePlace } from '../service/bind.ts'
import type { LoopbackPool } from '../service/loopback-pool.ts'
import { PeerGroup } from './group/group.ts'
import { admitDial, isRelayRefused } from '../service/path-policy.ts'
import type { Service } from '../service/table.ts'
import { SparseLog } from '../service/sparse-log.ts'
import { resetSocket, splice } from '../service/splice.ts'

export interface MappingDeps {
  readonly node: Overlay
  readonly pool: LoopbackPool
  readonly connections: ConnectionTable
  readonly log: Logger
  readonly allowLan: boolean
}

export class Mapping implements Service<MappedRecord> {
  readonly spec: MapSpec
  readonly #deps: MappingDeps
  #server: Server | undefined // while it listens
  readonly #takes: (address: string) => boolean
  readonly #sparse: SparseLog
  readonly #several: boolean
  readonly #group: PeerGroup | undefined // where there are several peers, or one that is probed
  #local = ''
  #bound: AddressInfo | undefined
  #node: NodeId | undefined

  constructor(spec: MapSpec, deps: MappingDeps) {
    this.spec = spec
    this.#deps = deps
    this.#takes = clientFilter(spec.clients)
    this.#sparse = new SparseLog(deps.log)
    this.#several = isGroup(spec.peer)
    if (this.#several || spec.probe !== undefined) this.#group = groupOf(spec, deps)
  }

  get record(): MappedRecord {
    const { name, peer, port } = this.spec
    const remote =
      this.#node === undefined ? `${peer}:${port}` : formatSocketAddress({ network: 0, node: this.#node, port })
    return {
      name,
      local: this.#local,
      peer,
      remote,
      protocol: 'tcp',
      ...(this.#group !== undefined && { peers: this.#group.records }),
    }
  }

  /** Whom it may dial, as of now. */
  get targets(): readonly string[] {
    return this.#group?.targets ?? [this.spec.peer]
  }

  /** Finds out which node the peer is, for the record; a peer that is not there yet, or does not trust us, stays a name. */
  async identify(): Promise<void> {
    if (!this.#several) this.#node = await this.#deps.node.resolve(this.spec.peer).catch(() => undefined)
  }

  /** @throws PilotError PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNAVAILABLE, USAGE. */
  async start(): Promise<void> {
    this.#checkTags()
    if (this.#bound !== undefined) await this.#listen(this.#bound.address, this.#bound.port) // again, after `stop`: clients know that place
    else await bindMapping(this.spec, this.#deps, (address, port) => this.#listen(address, port))
    this.#group?.start()
    for (const peer of peersOf(this.spec.peer)) if (tagOf(peer) === undefined) this.#deps.node.prepare(peer)
  }

  /** No new clients; those inside go on. */
  stop(): void {
    this.#server?.close()
    this.#server = undefined
    this.#group?.stop()
  }

  /** @throws PilotError USAGE. */
  takeOver(running: Service<MappedRecord>): boolean {
    if (
      !(running instanceof Mapping) ||
      running.#server === undefined ||
      !isSamePlace(this.spec, running.spec, running.#local)
    )
      return false
    this.#checkTags()
    this.#server = running.#server
    this.#bound = running.#bound
    this.#local = running.#local
    if (this.spec.peer === running.spec.peer) this.#node = running.#node
    this.#attend(this.#server)
    running.#server = undefined
    running.stop()
    this.#group?.start()
    return true
  }

  #checkTags(): void {
    const { name, peer } = this.spec
    if (this.#deps.node.health === null && peersOf(peer).some((each) => tagOf(each) !== undefined))
      throw new PilotError(
        'USAGE',
        `mapping ${name}: tags are not known with --daemon`,
        { name },
        undefined,
        'Name the peers: agent-b|agent-c.',
      )
  }

  #listen(address: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      // Paused until the peer answers: the first chunk waits here, so that it can open the stream; the rest in the kernel.
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true, keepAlive: true })
      server.once('error', (error) => reject(bindError(error, `mapping ${this.spec.name}`, `${address}:${port}`)))
      server.listen({ host: address, port, backlog: BACKLOG }, () => {
        this.#attend(server)
        this.#server = server
        this.#bound = server.address() as AddressInfo
        this.#local = formatEndpoint({ address: this.#bound.address, port: this.#bound.port })
        resolve()
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

  /** To the peer, by the policies of this mapping. @throws PilotError: what dialling throws. */
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

  #join(connection: Connection, socket: Socket, stream: OverlayStream): void {
    const { connections, log } = this.#deps
    splice(socket, stream, (error) => {
      connections.remove(connection)
      if (isRelayRefused(error))
        log.warn(
          {
            mapping: this.spec.name,
            peer: connection.peer,
            port: this.spec.port,
            code: 'RELAY_REFUSED',
            reason: this.#deps.node.pathTo(stream.peer)?.reason,
          },
          `a client was reset: ${error.message}`,
        )
      log.debug(
        {
          mapping: this.spec.name,
          peer: connection.peer,
          bytesIn: stream.bytesRead,
          bytesOut: stream.bytesWritten,
          ...(error !== undefined && { reason: error.message }),
        },
        'connection closed',
      )
    })
  }

  #onClient(socket: Socket): void {
    const { connections, log } = this.#deps
    const { name, peer, port } = this.spec
    if (!this.#takes(socket.remoteAddress ?? '')) {
      connections.counters.connections_denied += 1
      this.#sparse.warn(
        'client',
        { mapping: name, client: socket.remoteAddress, code: 'DENIED' },
        'a client that is not among `clients` was reset',
      )
      return resetSocket(socket)
    }
    const giveUp = new GiveUp()
    const gone = (): void => giveUp.abort()
    socket.on('error', gone).on('close', gone)
    let connection
    try {
      const client = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`
      connection = connections.add(
        {
          direction: 'map',
          service: name,
          protocol: 'tcp',
          peer,
          nodeId: null,
          local: client,
          remote: `${peer}:${port}`,
        },
        resetLater(socket),
      )
    } catch (error) {
      log.warn({ mapping: name, code: asPilotError(error).code }, 'a client was reset: too many connections')
      resetSocket(socket)
      return
    }
    const opened = connection
    connections.counters.connections_mapped += 1
    socket.read(0) // no more than begins to read
    this.dial(giveUp).then(
      (stream) => {
        opened.stream = stream
        opened.nodeId = stream.peer
        if (!this.#several) this.#node = stream.peer
        if (socket.destroyed) {
          stream.on('error', () => {})
          stream.resetAndDestroy()
          connections.remove(opened)
          return
        }
        this.#join(opened, socket, stream)
        socket.off('close', gone).off('error', gone) // the dial is over: an idle connection holds nothing of it
      },
      (error: unknown) => {
        connections.remove(opened)
        if (giveUp.aborted) return
        const { code, message, hint } = asPilotError(error)
        connections.counters.connections_failed += 1
        log.warn({ mapping: name, peer, port, code, hint }, `a client was reset: ${message}`)
        resetSocket(socket)
      },
    )
  }
}

/** In a scope of its own: it lives as long as the connection, and holds nothing else. */
function resetLater(socket: Socket): () => void {
  return () => resetSocket(socket)
}

function groupOf(spec: MapSpec, { node, log }: MappingDeps): PeerGroup {
  const mapping = spec.name
  return new PeerGroup(spec, node, {
    onEjected: (peer, reason) =>
      log.warn({ mapping, peer, reason }, 'a peer takes no connections: new ones go to the others'),
    onBack: (peer) => log.info({ mapping, peer }, 'a peer takes connections again'),
  })
}
