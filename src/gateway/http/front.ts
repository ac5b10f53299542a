/**
 * One local port for the HTTP of every peer: `http://agent-b.pilot.localhost:8088/` is port 80 of agent-b, the name of a
 * mapping is that mapping's port. Connections to peers are dialled when a request needs one, and kept as long as the client keeps its own.
 * Above: gateway.ts. Below: versions.ts, runtime/overlay.ts.
 */
import { Agent } from 'node:http'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { asPilotError } from '../../base/errors.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { NodeId } from '../../base/types.ts'
import type { Logger } from '../../base/logger.ts'
import { listenError } from '../../runtime/net/listen-error.ts'
import type { Overlay, OverlayStream } from '../../runtime/overlay.ts'
import { BACKLOG } from '../service/bind.ts'
import type { ConnectionTable } from '../service/connections.ts'
import { SparseLog } from '../service/sparse-log.ts'
import { isGroup } from '../model/map-spec.ts'
import type { MappedRecord, WhoisEntry } from '../model/records.ts'
import type { AccessLog } from './access-log.ts'
import { dialling } from './dialling-agent.ts'
import type { Asked, Hop, HopAbout } from './hop.ts'
import { isEventPath } from './event-pages.ts'
import { destinationOf } from './hosts.ts'
import type { Destination, NamedMapping } from './hosts.ts'
import { admitOrigin } from './origin.ts'
import { isFrontItself, OwnPage, type Contents } from './own-page.ts'
import { HttpVersions } from './versions.ts'

export interface HttpFrontDeps {
  /** Domain of the peers' names: pilot, unless `dns` sets another. */
  readonly domain: () => string
  readonly node: Overlay
  readonly connections: ConnectionTable
  readonly log: Logger
  readonly access: AccessLog
  readonly mappings: () => readonly NamedMapping[] // as they are now
  readonly configured: () => readonly MappedRecord[]
  /** Additional web origins, in lower case, that may change things and open WebSockets. */
  readonly origins: readonly string[]
  /** A connection on which the events of brokers are served as HTTP. */
  readonly events: () => Duplex
  /** The peer of a host name outside the domain, for requests of clients that use us as their proxy. */
  readonly peerOf: (host: string) => string | undefined
  /** Follows the policies of that mapping. */
  readonly dialMapping: (name: string, signal: AbortSignal) => Promise<OverlayStream>
}

export class HttpFront {
  readonly #deps: HttpFrontDeps
  readonly #server: Server
  readonly #http: HttpVersions
  readonly #nodes = new Map<string, NodeId>() // peers that were reached, for the log
  readonly #clients = new Map<string, Destination & { readonly openedAt: number }>() // that have asked for something, by ip:port
  readonly #sparse: SparseLog
  #local = ''

  constructor(deps: HttpFrontDeps) {
    this.#deps = deps
    this.#sparse = new SparseLog(deps.log)
    this.#http = new HttpVersions(deps.access, () => true) // after an upgrade, the data is between the client and the peer
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.serve(socket))
    this.#server.maxConnections = deps.connections.budget.clients
  }

  /** ip:port, once it listens. */
  get local(): string {
    return this.#local
  }

  /** @throws PilotError PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNAVAILABLE. */
  async start(address: string, port: number): Promise<void> {
    const where = formatEndpoint({ address, port })
    await new Promise<void>((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => reject(listenError(error, 'http', where))
      this.#server.once('error', onError)
      this.#server.listen({ host: address, port, backlog: BACKLOG }, () => {
        this.#server.off('error', onError)
        this.#server.on('error', (error) =>
          this.#deps.log.warn({ http: 'front', reason: error.message }, 'a client could not be accepted'),
        )
        resolve()
      })
    })
    const bound = this.#server.address() as AddressInfo
    this.#local = formatEndpoint({ address: bound.address, port: bound.port })
  }

  /** No new clients; pending requests continue, and idle connections end. */
  stop(): void {
    if (this.#server.listening) this.#server.close()
    this.#http.drain()
  }

  /**
   * The peer that this client asked last: its connection may lead to several, in sequence or, with HTTP/2,
   * concurrently.
   */
  findClient(end: string): WhoisEntry | undefined {
    const client = this.#clients.get(end)
    if (client === undefined) return undefined
    const { service, peer, openedAt } = client
    return {
      direction: 'map',
      service,
      peer,
      nodeId: this.#nodeOf(peer) ?? null,
      openedMs: Math.round(performance.now() - openedAt),
    }
  }

  /** A client's connection, wherever it was accepted. */
  serve(socket: Socket): void {
    const end = formatEndpoint({ address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 })
    const openedAt = performance.now()
    const agent = this.#agentOf(socket)
    socket.on('error', () => {}) // 'close' follows
    socket.once('close', () => {
      this.#clients.delete(end)
      agent.destroy()
    })
    this.#http.accept(socket, (asked) => {
      if (this.#isForUs(asked)) throw new OwnPage(this.#contents())
      if (this.#isForEvents(asked)) return this.#eventsHop(asked, agent)
      const destination = this.#destinationOf(asked)
      admitOrigin(asked, asked.authority, this.#deps.origins)
      this.#clients.set(end, { ...destination, openedAt })
      return this.#hop(destination, agent)
    })
  }

  #isForUs({ authority, absolute, method, path }: Asked): boolean {
    const reads = method === 'GET' || method === 'HEAD'
    return reads && !absolute && path.split('?')[0] === '/' && isFrontItself(authority, this.#deps.domain())
  }

  #isForEvents({ authority, absolute, path }: Asked): boolean {
    return !absolute && isEventPath(path) && isFrontItself(authority, this.#deps.domain())
  }

  #eventsHop(asked: Asked, agent: Agent): Hop {
    admitOrigin(asked, asked.authority, this.#deps.origins)
    const about = { http: 'front' as const, service: 'events', peer: asked.path.split('/')[2] ?? '' }
    return { host: EVENTS_HOST, port: 0, agent, connect: async () => this.#deps.events(), about }
  }

  async #contents(): Promise<Contents> {
    const { domain, node, mappings, configured } = this.#deps
    return {
      port: this.#local.slice(this.#local.lastIndexOf(':') + 1),
      domain: domain(),
      trusted: await node.trusted(),
      peers: node.peers,
      mappings: mappings(),
      listeners: configured(),
    }
  }

  /**
   * A client's own connections to peers: one at a time to each destination, never shared between clients. Services
   * authenticate connections, not requests (NTLM), handle the requests of one in order, and may close an idle one just
   * as a POST arrives; none of that may affect another client. If the peer closes an idle one, the client's closes too.
   */
  #agentOf(socket: Socket): Agent {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 })
    return dialling(agent, async (host, port) => {
      if (host === EVENTS_HOST) return this.#deps.events()
      const stream = await this.#dial(host, port)
      stream.once('close', () => this.#http.closeIdle(socket))
      return stream
    })
  }

  /** The port of a URL is the front's own, unless the client uses us as its proxy: then it is the peer's. */
  #destinationOf({ authority, absolute }: Asked): Destination {
    const { domain, mappings, peerOf } = this.#deps
    const destination = destinationOf(authority, mappings(), domain(), absolute ? peerOf : () => undefined)
    const port = Number(/:(\d+)$/.exec(authority ?? '')?.[1] ?? 0)
    if (!absolute || port === 0 || port === destination.port || this.#local.endsWith(`:${port}`)) return destination
    return { service: `${destination.peer}:${port}`, peer: destination.peer, port }
  }

  #hop(destination: Destination, agent: Agent): Hop {
    const { peer, mapping, port } = destination
    const host = mapping ?? peer
    const about = (): HopAbout => this.#about(destination)
    return {
      host,
      port,
      agent,
      connect: () => this.#dial(host, port),
      get about() {
        return about()
      },
    }
  }

  #about({ service, peer }: Destination): HopAbout {
    const { node } = this.#deps
    const nodeId = this.#nodeOf(peer)
    const via = nodeId === undefined ? undefined : node.pathTo(nodeId)?.kind
    return { http: 'front', service, peer, ...(nodeId !== undefined && { nodeId }), ...(via !== undefined && { via }) }
  }

  /** With several peers, we cannot tell which one served a request. */
  #nodeOf(peer: string): NodeId | undefined {
    return isGroup(peer) ? undefined : this.#nodes.get(peer)
  }

  /** @param host mapping, otherwise peer. @throws PilotError: like dialling, and TOO_MANY. */
  async #dial(host: string, port: number): Promise<OverlayStream> {
    const { node, connections } = this.#deps
    const mapping = this.#deps.mappings().find(({ name }) => name === host)
    const peer = mapping?.peer ?? host
    const about = {
      direction: 'map' as const,
      protocol: 'tcp' as const,
      service: 'http',
      peer,
      nodeId: null,
      local: this.#local,
      remote: `${peer}:${port}`,
    }
    const giveUp = new AbortController()
    const connection = connections.add(about, () => giveUp.abort())
    try {
      const stream =
        mapping === undefined
          ? await node.dial(`${peer}:${port}`, giveUp.signal)
          : await this.#deps.dialMapping(mapping.name, giveUp.signal)
      connections.counters.connections_mapped += 1
      connection.nodeId = stream.peer
      connection.abort = () => stream.resetAndDestroy()
      connections.opened(connection, stream)
      this.#nodes.set(peer, stream.peer)
      stream.allowHalfOpen = false // the end of an idle connection ends it
      let failure: Error | undefined
      stream.once('error', (error) => {
        failure = error
      })
      stream.once('close', () => connections.remove(connection, failure))
      return stream
    } catch (error) {
      connections.remove(connection, asPilotError(error))
      connections.counters.connections_failed += 1
      const { code, message, hint } = asPilotError(error)
      this.#sparse.warn(
        `${peer}:${port} ${code}`,
        { http: 'front', peer, port, code, hint },
        `a request failed: ${message}`,
      )
      throw error
    }
  }
}

/** In the agent's pool: no peer is called that. */
const EVENTS_HOST = '\0events'
