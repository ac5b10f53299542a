/**
 * One local port for every peer: SOCKS4, SOCKS5, HTTP CONNECT and plain http:// requests, distinguished by their first
 * bytes. It connects only to trusted peers, whatever is requested: it is not an open proxy. Above: gateway.ts. Below:
 * socks.ts, socks4.ts, http-connect.ts, splice.ts.
 */
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { asPilotError, PilotError } from '../../base/errors.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { Logger } from '../../base/logger.ts'
import { listenError } from '../../runtime/net/listen-error.ts'
import type { Overlay, OverlayStream } from '../../runtime/overlay.ts'
import type { HttpFront } from '../http/front.ts'
import type { ConnectionTable } from '../service/connections.ts'
import { HttpConnectHead } from './http-connect.ts'
import { checkLoopback } from '../model/listen.ts'
import { BACKLOG } from '../service/bind.ts'
import type { ProxyHead } from './proxy-head.ts'
import { SocksHead } from './socks.ts'
import { Socks4Head } from './socks4.ts'
import { SocksUdp } from './socks-udp.ts'
import { SparseLog } from '../service/sparse-log.ts'
import { resetSocket, splice } from '../service/splice.ts'

export interface ProxyDeps {
  readonly node: Overlay
  readonly connections: ConnectionTable
  readonly log: Logger
  readonly domain: () => string
  /** Takes over connections whose requests name http:// URLs. */
  readonly http: Pick<HttpFront, 'serve' | 'stop'>
  /** The peer that a host name or a loopback address of ours means. */
  readonly peerOf: (host: string) => string | undefined
}

export class Proxy {
  readonly #deps: ProxyDeps
  readonly #server: Server
  readonly #sparse: SparseLog
  #heads = 0
  local = ''

  constructor(deps: ProxyDeps) {
    this.#deps = deps
    this.#sparse = new SparseLog(deps.log)
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) =>
      this.#onClient(socket),
    )
  }

  /** @throws PilotError PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNAVAILABLE, USAGE. */
  async start(
    { address, port }: { readonly address: string; readonly port: number },
    allowLan: boolean,
  ): Promise<void> {
    checkLoopback(address, allowLan, 'proxy')
    await new Promise<void>((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void =>
        reject(listenError(error, 'proxy', formatEndpoint({ address, port })))
      this.#server.once('error', onError)
      this.#server.listen({ host: address, port, backlog: BACKLOG }, () => {
        this.#server.off('error', onError)
        this.#server.on('error', (error) =>
          this.#deps.log.warn({ reason: error.message }, 'a client of the proxy could not be accepted'),
        )
        const bound = this.#server.address() as AddressInfo
        this.local = formatEndpoint({ address: bound.address, port: bound.port })
        resolve()
      })
    })
  }

  /** No new clients; open connections continue. */
  stop(): void {
    this.#deps.http.stop()
    this.#server.close()
  }

  #onClient(socket: Socket): void {
    socket.on('error', () => {})
    if (this.#heads >= Math.min(MAX_HEADS, this.#deps.connections.budget.clients)) return resetSocket(socket)
    this.#heads += 1
    let head: ProxyHead | undefined
    let waiting: Buffer = Buffer.alloc(0)
    const late = setTimeout(() => resetSocket(socket), HEAD_MS)
    const leave = (): void => {
      clearTimeout(late)
      socket.off('data', onData).off('end', onEnd).off('close', leave)
      this.#heads -= 1
    }
    const onEnd = (): void => void socket.destroy()
    const onData = (bytes: Buffer): void => {
      waiting = waiting.length === 0 ? bytes : Buffer.concat([waiting, bytes])
      head ??= waiting[0] === 5 ? new SocksHead() : waiting[0] === 4 ? new Socks4Head() : new HttpConnectHead()
      for (;;) {
        const { used, news } = head.push(waiting)
        waiting = waiting.subarray(used)
        if (news.kind === 'more') {
          if (news.reply !== undefined) socket.write(news.reply)
          if (used === 0 || waiting.length === 0) return
          continue
        }
        leave()
        socket.pause()
        if (waiting.length > 0) socket.unshift(waiting)
        if (news.kind === 'http') return this.#deps.http.serve(socket)
        if (news.kind === 'refused') return this.#refuse(socket, news.reply, news.why)
        this.#serve(socket, head, news).catch((error: unknown) => {
          const refused = asPilotError(error)
          this.#refuse(socket, head!.failed(refused), refused.message, refused)
        })
        return
      }
    }
    socket.on('data', onData).on('end', onEnd).on('close', leave)
  }

  async #serve(
    socket: Socket,
    head: ProxyHead,
    asked: { readonly kind: 'connect' | 'associate'; readonly host: string; readonly port: number },
  ): Promise<void> {
    if (asked.kind === 'associate') {
      const relay = await SocksUdp.open({ ...this.#deps, peerOf: (host) => this.#peerOf(host) }, socket)
      socket.write(head.accepted(relay.local))
      return
    }
    const peer = this.#peerOf(asked.host)
    const { node, connections } = this.#deps
    if (!(await node.isTrusted(await node.resolve(peer))))
      throw new PilotError('NOT_TRUSTED', `${peer} is not a trusted peer`, { peer })
    const giveUp = new AbortController()
    const client = formatEndpoint({ address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 })
    const connection = connections.add(
      {
        direction: 'map',
        service: 'proxy',
        protocol: 'tcp',
        peer,
        nodeId: null,
        local: client,
        remote: `${peer}:${asked.port}`,
      },
      () => resetSocket(socket),
    )
    connections.counters.connections_mapped += 1
    const gone = (): void => giveUp.abort()
    socket.once('close', gone)
    let stream: OverlayStream
    try {
      stream = await node.dial(`${peer}:${asked.port}`, giveUp.signal)
    } catch (error) {
      connections.remove(connection, socket.destroyed ? undefined : asPilotError(error))
      throw error
    }
    socket.off('close', gone)
    connection.nodeId = stream.peer
    connections.opened(connection, stream)
    if (socket.destroyed) {
      stream.on('error', () => {})
      stream.resetAndDestroy()
      connections.remove(connection)
      return
    }
    socket.write(head.accepted({ address: '0.0.0.0', port: 0 }))
    splice(socket, stream, (error) => connections.remove(connection, error))
  }

  /** @throws PilotError DENIED for everything that is not a peer. */
  #peerOf(host: string): string {
    const peer = this.#deps.peerOf(host)
    if (peer === undefined)
      throw new PilotError(
        'DENIED',
        `${host} is not a peer's name; this proxy connects to peers only`,
        { host },
        undefined,
        `Name a peer as alice, alice.${this.#deps.domain()}, an overlay address or a node id; exclude everything else from the proxy.`,
      )
    return peer
  }

  /**
   * The answer, then the end; further data from the client is read and discarded, so that no reset overtakes the
   * answer.
   */
  #refuse(socket: Socket, reply: Uint8Array, why: string, error?: PilotError): void {
    if (socket.destroyed) return
    this.#deps.connections.counters.connections_failed += 1
    this.#sparse.warn(
      error?.code ?? 'malformed',
      { service: 'proxy', ...(error !== undefined && { code: error.code, hint: error.hint }) },
      `a client of the proxy was refused: ${why.slice(0, 300)}`,
    )
    socket.end(reply)
    socket.resume()
    const late = setTimeout(() => socket.destroy(), REFUSED_MS).unref()
    socket.once('end', () => socket.destroy()).once('close', () => clearTimeout(late))
  }
}

/** Clients that have not named a destination yet. */
const MAX_HEADS = 1_024
/** The opening is a few hundred bytes that programs send immediately. */
const HEAD_MS = 10_000
const REFUSED_MS = 1_000
