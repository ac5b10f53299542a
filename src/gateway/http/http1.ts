/**
 * HTTP/1.1 on connections accepted elsewhere: each request is routed, forwarded, and logged. Above: front.ts and
 * exposed.ts, which give each connection its route. Below: forward.ts, upgrade.ts. Node's parser is strict, and stays
 * so: ambiguous length or framing is answered with 400 and closed.
 */
import { createServer, IncomingMessage } from 'node:http'
import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ErrorCode } from '../../base/errors.ts'
import { asPilotError, PilotError } from '../../base/errors.ts'
import type { Access, AccessLog, Tally } from './access-log.ts'
import { answerFailure } from './failure.ts'
import { forward, isChunked } from './forward.ts'
import { listOf, pairs } from './headers.ts'
import type { Asked, Hop, Route } from './hop.ts'
import { OwnPage } from './own-page.ts'
import { HEAD_CHECK_MS, HEAD_MS, KEEP_ALIVE_MS, MAX_HEADER_BYTES, MAX_HEADERS } from './limits.ts'
import { lastResponse, upgrade } from './upgrade.ts'

interface Connection {
  readonly route: Route
  readonly active: Set<ServerResponse>
}

/** One request on its way. */
interface Exchange {
  readonly hop: Hop | undefined // undefined: answered already
  readonly tally: Tally
  readonly fail: (error: PilotError) => void
  readonly over: () => void
}

export class Http1 {
  readonly #server: Server
  readonly #access: AccessLog
  readonly #open = new Map<Duplex, Connection>()
  #draining = false

  /**
   * @param mayUpgrade judges a protocol of the `Upgrade` header, in lower case; a request for any other is served
   *   without its upgrade, as RFC 9110 §7.8 lets a server do.
   * @param heads how long the head of a request may take, and how often that is checked, ms.
   */
  constructor(
    access: AccessLog,
    mayUpgrade: (protocol: string) => boolean,
    heads = { headersTimeout: HEAD_MS, connectionsCheckingInterval: HEAD_CHECK_MS },
  ) {
    this.#access = access
    // Never listens: connections are passed in. Uploads and event streams may last indefinitely, so only the request
    // head has a timeout.
    this.#server = createServer({
      ...heads,
      maxHeaderSize: MAX_HEADER_BYTES,
      keepAliveTimeout: KEEP_ALIVE_MS,
      requestTimeout: 0,
      noDelay: true,
      IncomingMessage: requestsThatUpgrade(mayUpgrade),
    })
    const server: Server & { httpAllowHalfOpen?: boolean } = this.#server
    server.httpAllowHalfOpen = true // a client that ends its side after a complete request still wants the answer (RFC 9112 §9.6)
    server.emit('listening') // from then on Node checks the heads; test/e2e/http-hostile.test.ts verifies that
    server.maxHeadersCount = MAX_HEADERS
    server.on('request', (req, res) => this.#onRequest(req, res))
    server.on('upgrade', (req, socket, head) => this.#onUpgrade(req, socket, head))
    server.on('connect', (_req, socket) => this.#onConnect(socket))
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => this.#onBadRequest(error, socket))
  }

  accept(socket: Duplex, route: Route): void {
    this.#open.set(socket, { route, active: new Set() })
    socket.once('close', () => {
      this.#open.delete(socket)
      this.#restIfEmpty()
    })
    this.#server.emit('connection', socket)
  }

  /** Closes an idle connection, as the service did with its counterpart. */
  closeIdle(socket: Duplex): void {
    if (this.#open.get(socket)?.active.size === 0) (socket as Socket).destroySoon()
  }

  /** Idle connections are closed now, the others after their request. */
  drain(): void {
    this.#draining = true
    for (const [socket, { active }] of this.#open) {
      if (active.size === 0) (socket as Socket).destroySoon()
      for (const res of active) res.shouldKeepAlive = false // tells the client, if the response has not begun
    }
    this.#restIfEmpty()
  }

  /** No more clients: Node stops checking. */
  #restIfEmpty(): void {
    if (this.#draining && this.#open.size === 0) this.#server.close()
  }

  #onRequest(req: IncomingMessage, res: ServerResponse): void {
    const { hop, tally, fail, over } = this.#begin(req, res, req.socket)
    res.once('close', () => {
      if (!res.writableFinished) tally.cut = true
      over()
    })
    if (hop !== undefined) forward(req, res, hop, tally, fail)
  }

  #onUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    const res = lastResponse(req, socket)
    socket.on('error', () => {}) // Node's server no longer listens
    const { hop, tally, fail, over } = this.#begin(req, res, socket)
    res.once('close', () => {
      if (tally.status !== SWITCHED) over()
    })
    socket.once('close', over)
    if (hop !== undefined) upgrade(req, res, socket, head, hop, tally, fail, over)
  }

  /** Browsers and curl do this for wss: and https: URLs when the front is set as their proxy. */
  #onConnect(socket: Duplex): void {
    socket.on('error', () => {})
    this.#refuse(
      socket,
      '405 Method Not Allowed',
      'USAGE',
      'CONNECT belongs to the proxy port (proxy.listen), not here',
    )
  }

  #begin(req: IncomingMessage, res: ServerResponse, socket: Duplex): Exchange {
    const connection = this.#open.get(socket)
    const access = accessOf(req)
    const tally: Tally = { status: 0, bytesIn: 0, bytesOut: 0 }
    const fail = (error: PilotError | OwnPage): void => {
      if (error instanceof PilotError) tally.code = error.code
      if (!res.headersSent) tally.status = error instanceof PilotError ? error.httpStatus : OWN_PAGE
      answerFailure(req, res, error)
    }
    connection?.active.add(res)
    if (this.#draining) res.shouldKeepAlive = false
    const hop = this.#hop(req, access, connection?.route, fail)
    let told = false
    const over = (): void => {
      if (told) return
      told = true
      connection?.active.delete(res)
      if (this.#draining && connection?.active.size === 0) (socket as Socket).destroySoon()
      this.#access.note(hop?.about, access, { ...tally, status: tally.status === 0 ? CLIENT_GONE : tally.status })
    }
    return { hop, tally, fail, over }
  }

  /**
   * Requests that the parser rejects. Node's own answer would be followed by a reset, which overtakes it on the
   * overlay.
   */
  #onBadRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
    const answering = (this.#open.get(socket)?.active.size ?? 0) > 0
    const isLate = error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
    if (answering || !socket.writable || !(isLate || error.code?.startsWith('HPE_') === true)) {
      socket.destroy()
      return
    }
    const status = isLate
      ? '408 Request Timeout'
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : '400 Bad Request'
    this.#refuse(socket, status, isLate ? 'TIMED_OUT' : 'USAGE', error.message)
  }

  /** An answer without a request that could carry it. */
  #refuse(socket: Duplex, status: string, code: ErrorCode, reason: string): void {
    const text = `${status}\n${reason}\n`
    socket.write(
      `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\nPilot-Error: ${code}\r\n\r\n${text}`,
    )
    ;(socket as Socket).destroySoon()
    this.#access.log.info({ status: Number(status.slice(0, 3)), code, reason }, 'request')
  }

  #hop(
    req: IncomingMessage,
    access: Access,
    route: Route | undefined,
    fail: (error: PilotError | OwnPage) => void,
  ): Hop | undefined {
    try {
      const hosts = pairs(req.rawHeaders).filter(([name]) => name.toLowerCase() === 'host')
      if (hosts.length > 1) throw new PilotError('USAGE', 'the request names two hosts') // RFC 9112 §3.2
      if (req.rawHeaders.length >= 2 * MAX_HEADERS)
        throw new PilotError('USAGE', `the request has more than ${MAX_HEADERS - 1} header fields`) // Node has dropped the rest
      const coding = listOf(req.rawHeaders, 'transfer-encoding')
      if (coding.length > 1 || (coding.length === 1 && coding[0]!.toLowerCase() !== 'chunked'))
        throw new PilotError('USAGE', 'only the transfer coding "chunked" is supported')
      return route?.(askedOf(req, access.host))
    } catch (error) {
      if (error instanceof OwnPage) error.fill().then(fail, (fault: unknown) => fail(asPilotError(fault)))
      else fail(asPilotError(error))
      return undefined
    }
  }
}

/**
 * A client that uses us as its proxy sends the full URL, which overrides `Host` (RFC 9112 §3.2.2); the path is
 * forwarded.
 */
function askedOf(req: IncomingMessage, host: string): Asked {
  const match = ABSOLUTE.exec(req.url!)
  if (match !== null) {
    req.url = match[2]!.startsWith('/') ? match[2]! : `/${match[2]!}`
    const at = req.rawHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'host')
    if (at < 0) req.rawHeaders.push('Host', host)
    else req.rawHeaders[at + 1] = host
  }
  return {
    authority: host === '' ? undefined : host,
    path: req.url!,
    absolute: match !== null,
    method: req.method!,
    upgrades: (req as { upgrade?: boolean }).upgrade === true,
    origin: req.headers.origin,
    site: req.headers['sec-fetch-site'] as string | undefined,
  }
}

/**
 * Requests whose `upgrade` is true for Node's server only if we would carry it. Node reads it once the head is
 * complete; without an upgrade, the connection stays HTTP and a body is a body. A chunked body before an upgraded
 * connection would require our own parser, and no client sends one.
 */
function requestsThatUpgrade(mayUpgrade: (protocol: string) => boolean): typeof IncomingMessage {
  class Request extends IncomingMessage {
    declare offersUpgrade: boolean // declared only: Node assigns `upgrade` in its constructor, before our fields would exist
    get upgrade(): boolean {
      if (!this.offersUpgrade) return false
      if (this.method === 'CONNECT') return true
      const protocols = listOf(this.rawHeaders, 'upgrade').map((protocol) => protocol.toLowerCase())
      return protocols.length > 0 && protocols.every(mayUpgrade) && !isChunked(this.rawHeaders)
    }
    set upgrade(value: boolean | null) {
      this.offersUpgrade = value === true
    }
  }
  return Request
}

function accessOf(req: IncomingMessage): Access {
  const absolute = ABSOLUTE.exec(req.url!)
  return {
    method: req.method!,
    host: absolute?.[1] ?? req.headers.host ?? '',
    target: absolute === null ? req.url! : absolute[2]!,
    protocol: req.httpVersion === '1.0' ? 'HTTP/1.0' : 'HTTP/1.1',
    startedAt: performance.now(),
  }
}

const ABSOLUTE = /^https?:\/\/([^/?#@]*)(.*)$/is
/** As in nginx: the client was gone. */
const CLIENT_GONE = 499
const SWITCHED = 101
const OWN_PAGE = 200
