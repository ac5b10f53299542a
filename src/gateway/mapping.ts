/**
 * A remote overlay port on a local address: accept here, dial there, join the two.
 * Above: gateway.ts. Below: splice.ts, runtime/overlay.ts. Every connection dials anew: nothing to go stale.
 */
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { formatSocketAddress } from '../base/address.ts'
import { asPilotError } from '../base/errors.ts'
import { formatEndpoint } from '../base/types.ts'
import type { NodeId } from '../base/types.ts'
import type { Logger } from '../runtime/log.ts'
import type { Overlay, OverlayStream } from '../runtime/overlay.ts'
import { clientFilter } from './clients.ts'
import type { ConnectionTable } from './connections.ts'
import { BACKLOG, bindError, bindMapping } from './local-listen.ts'
import type { LoopbackPool } from './loopback-pool.ts'
import { PeerGroup } from './peer-group.ts'
import { admitDial, isRelayRefused } from './path-policy.ts'
import { peersOf } from './specs.ts'
import { SparseLog } from './sparse-log.ts'
import { resetSocket, splice } from './splice.ts'
import type { MapSpec, MappedRecord } from './types.ts'

export interface MappingDeps {
  readonly node: Overlay
  readonly pool: LoopbackPool
  readonly connections: ConnectionTable
  readonly log: Logger
  readonly allowLan: boolean
}

export class Mapping {
  readonly spec: MapSpec
  readonly #deps: MappingDeps
  readonly #server: Server
  readonly #takes: (address: string) => boolean
  readonly #sparse: SparseLog
  readonly #group: PeerGroup | undefined // where there are several peers
  #local = ''
  #bound: AddressInfo | undefined
  #node: NodeId | undefined

  constructor (spec: MapSpec, deps: MappingDeps) {
    this.spec = spec
    this.#deps = deps
    this.#takes = clientFilter(spec.clients)
    this.#sparse = new SparseLog(deps.log)
    if (peersOf(spec.peer).length > 1) this.#group = groupOf(spec, deps)
    // Paused until the peer answers: what the client sends meanwhile stays in the kernel, and so does its patience.
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true, keepAlive: true }, (socket) => this.#onClient(socket))
  }

  get record (): MappedRecord {
    const { name, peer, port } = this.spec
    const remote = this.#node === undefined ? `${peer}:${port}` : formatSocketAddress({ network: 0, node: this.#node, port })
    return { name, local: this.#local, peer, remote, protocol: 'tcp', ...this.#group !== undefined && { peers: this.#group.records } }
  }

  /** Finds out which node the peer is, for the record; a peer that is not there yet, or does not trust us, stays a name. */
  async identify (): Promise<void> {
    if (this.#group === undefined) this.#node = await this.#deps.node.resolve(this.spec.peer).catch(() => undefined)
  }

  /** @throws PilotError PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNAVAILABLE, USAGE. */
  async start (): Promise<void> {
    if (this.#bound !== undefined) await this.#listen(this.#bound.address, this.#bound.port) // again, after `stop`: clients know that place
    else await bindMapping(this.spec, this.#deps, (address, port) => this.#listen(address, port))
    this.#group?.start()
    for (const peer of peersOf(this.spec.peer)) this.#deps.node.prepare(peer)
  }

  /** No new clients; those inside go on. */
  stop (): void {
    this.#server.close()
    this.#group?.stop()
  }

  #listen (address: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => reject(bindError(error, `mapping ${this.spec.name}`, `${address}:${port}`))
      this.#server.once('error', onError)
      this.#server.listen({ host: address, port, backlog: BACKLOG }, () => {
        this.#server.off('error', onError)
        this.#server.removeAllListeners('error').on('error', (error) => this.#deps.log.warn({ mapping: this.spec.name, reason: error.message }, 'a client could not be accepted'))
        this.#bound = this.#server.address() as AddressInfo
        this.#local = formatEndpoint({ address: this.#bound.address, port: this.#bound.port })
        resolve()
      })
    })
  }

  /** To the peer, by the policies of this mapping. @throws PilotError: what dialling throws. */
  async dial (signal: AbortSignal): Promise<OverlayStream> {
    const stream = await this.#dial(signal)
    if (this.spec.path === 'direct') stream.refuseRelay()
    return stream
  }

  async #dial (signal: AbortSignal): Promise<OverlayStream> {
    if (this.#group !== undefined) return await this.#group.dial(signal)
    const { peer, port, path = 'any' } = this.spec
    if (path !== 'any') await admitDial(this.#deps.node, peer, path, signal)
    return await this.#deps.node.dial(`${peer}:${port}`, signal)
  }

  #onClient (socket: Socket): void {
    const { connections, log } = this.#deps
    const { name, peer, port } = this.spec
    if (!this.#takes(socket.remoteAddress ?? '')) {
      connections.counters.connections_denied += 1
      this.#sparse.warn('client', { mapping: name, client: socket.remoteAddress, code: 'DENIED' }, 'a client that is not among `clients` was reset')
      return resetSocket(socket)
    }
    const giveUp = new AbortController()
    socket.on('error', () => giveUp.abort())
    socket.once('close', () => giveUp.abort())
    let connection
    try {
      const client = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`
      connection = connections.add({ direction: 'map', service: name, protocol: 'tcp', peer, nodeId: null, local: client, remote: `${peer}:${port}` }, () => resetSocket(socket))
    } catch (error) {
      log.warn({ mapping: name, code: asPilotError(error).code }, 'a client was reset: too many connections')
      resetSocket(socket)
      return
    }
    const opened = connection
    connections.counters.connections_mapped += 1
    this.dial(giveUp.signal).then((stream) => {
      opened.stream = stream
      opened.nodeId = stream.peer
      if (this.#group === undefined) this.#node = stream.peer
      if (socket.destroyed) {
        stream.on('error', () => {})
        stream.resetAndDestroy()
        connections.remove(opened)
        return
      }
      splice(socket, stream, (error) => {
        connections.remove(opened)
        if (isRelayRefused(error)) log.warn({ mapping: name, peer, port, code: 'RELAY_REFUSED', reason: this.#deps.node.pathTo(stream.peer)?.reason }, `a client was reset: ${error.message}`)
        log.debug({ mapping: name, peer, bytesIn: stream.bytesRead, bytesOut: stream.bytesWritten, ...(error !== undefined && { reason: error.message }) }, 'connection closed')
      })
    }, (error: unknown) => {
      connections.remove(opened)
      if (giveUp.signal.aborted) return
      const { code, message, hint } = asPilotError(error)
      connections.counters.connections_failed += 1
      log.warn({ mapping: name, peer, port, code, hint }, `a client was reset: ${message}`)
      resetSocket(socket)
    })
  }
}

function groupOf (spec: MapSpec, { node, log }: MappingDeps): PeerGroup {
  const mapping = spec.name
  return new PeerGroup(spec, node, {
    onEjected: (peer, reason) => log.warn({ mapping, peer, reason }, 'a peer takes no connections: new ones go to the others'),
    onBack: (peer) => log.info({ mapping, peer }, 'a peer takes connections again'),
  })
}
