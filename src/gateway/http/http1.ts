/**
 * HTTP/1.1 on connections that others have accepted: each request is routed, sent on, and told to the access log.
 * Above: front.ts and exposed.ts, which give each connection its route. Below: forward.ts, upgrade.ts.
 * Node's parser is strict, and stays so: what is ambiguous about length or framing is answered with 400 and closed.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { asPilotError, PilotError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { logAccess } from './access-log.ts'
import type { Access, Tally } from './access-log.ts'
import { answerFailure } from './failure.ts'
import { forward, hasBody } from './forward.ts'
import { listOf, pairs } from './headers.ts'
import type { Hop, Route } from './hop.ts'
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
  readonly #log: Logger
  readonly #open = new Map<Duplex, Connection>()
  #draining = false

  /** @param heads how long the head of a request may take, and how often that is looked at, ms. */
  constructor(log: Logger, heads = { headersTimeout: HEAD_MS, connectionsCheckingInterval: HEAD_CHECK_MS }) {
    this.#log = log
    // Never listens: connections are handed in. Uploads and event streams may take for ever, so nothing times a request but its head.
    this.#server = createServer({
      ...heads,
      maxHeaderSize: MAX_HEADER_BYTES,
      keepAliveTimeout: KEEP_ALIVE_MS,
      requestTimeout: 0,
      noDelay: true,
    })
    this.#server.emit('listening') // from then on Node looks at the heads; test/e2e/http-hostile.test.ts holds it to that
    this.#server.maxHeadersCount = MAX_HEADERS
    this.#server.on('request', (req, res) => this.#onRequest(req, res))
    this.#server.on('upgrade', (req, socket, head) => this.#onUpgrade(req, socket, head))
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => this.#onBadRequest(error, socket))
  }

  accept(socket: Duplex, route: Route): void {
    this.#open.set(socket, { route, active: new Set() })
    socket.once('close', () => {
      this.#open.delete(socket)
      this.#restIfEmpty()
    })
    this.#server.emit('connection', socket)
  }

  /** Connections with no request under way are closed now, the others after theirs. */
  drain(): void {
    this.#draining = true
    for (const [socket, { active }] of this.#open) {
      if (active.size === 0) (socket as Socket).destroySoon()
      for (const res of active) res.shouldKeepAlive = false // says so, if it has not begun
    }
    this.#restIfEmpty()
  }

  /** Nobody comes any more: Node stops looking. */
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
    // A client that could do HTTP/2 does HTTP/1.1 as well: RFC 9113 §3.1 has dropped this upgrade, and most servers have.
    const wanted = listOf(req.rawHeaders, 'upgrade')
    if (wanted.length > 0 && wanted.every((protocol) => /^h2c$/i.test(protocol)) && !hasBody(req)) {
      this.#onRequest(req, res)
      return
    }
    const { hop, tally, fail, over } = this.#begin(req, res, socket)
    res.once('close', () => {
      if (tally.status !== SWITCHED) over()
    })
    socket.once('close', over)
    if (hop === undefined) return
    if (hasBody(req)) fail(new PilotError('USAGE', 'a request that upgrades its connection cannot have a body'))
    else upgrade(req, res, socket, head, hop, tally, fail, over)
  }

  #begin(req: IncomingMessage, res: ServerResponse, socket: Duplex): Exchange {
    const connection = this.#open.get(socket)
    const access = accessOf(req)
    const tally: Tally = { status: 0, bytesIn: 0, bytesOut: 0 }
    const fail = (error: PilotError): void => {
      tally.code = error.code
      if (!res.headersSent) tally.status = error.httpStatus
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
      logAccess(this.#log, hop?.about, access, { ...tally, status: tally.status === 0 ? CLIENT_GONE : tally.status })
    }
    return { hop, tally, fail, over }
  }

  /** What the parser refuses. Node's own answer would be followed by a reset, which on the overlay overtakes it. */
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
    const code = isLate ? 'TIMED_OUT' : 'USAGE'
    const text = `${status}\n${error.message}\n`
    socket.write(
      `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\nPilot-Error: ${code}\r\n\r\n${text}`,
    )
    ;(socket as Socket).destroySoon()
    this.#log.info({ status: Number(status.slice(0, 3)), code, reason: error.message }, 'request')
  }

  #hop(
    req: IncomingMessage,
    access: Access,
    route: Route | undefined,
    fail: (error: PilotError) => void,
  ): Hop | undefined {
    try {
      const hosts = pairs(req.rawHeaders).filter(([name]) => name.toLowerCase() === 'host')
      if (hosts.length > 1) throw new PilotError('USAGE', 'the request names two hosts') // RFC 9112 §3.2
      if (req.rawHeaders.length >= 2 * MAX_HEADERS)
        throw new PilotError('USAGE', `the request has more than ${MAX_HEADERS - 1} header fields`) // Node has dropped the rest
      const coding = listOf(req.rawHeaders, 'transfer-encoding')
      if (coding.length > 1 || (coding.length === 1 && coding[0]!.toLowerCase() !== 'chunked'))
        throw new PilotError('USAGE', 'the body is coded in a way that is not chunked')
      takeOriginForm(req, access.host)
      return route?.(access.host === '' ? undefined : access.host)
    } catch (error) {
      fail(asPilotError(error))
      return undefined
    }
  }
}

/** A client that takes us for its proxy sends the whole address; it then overrules `Host` (RFC 9112 §3.2.2). */
function takeOriginForm(req: IncomingMessage, host: string): void {
  const match = ABSOLUTE.exec(req.url!)
  if (match === null) return
  req.url = match[2]!.startsWith('/') ? match[2]! : `/${match[2]!}`
  const at = req.rawHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'host')
  if (at < 0) req.rawHeaders.push('Host', host)
  else req.rawHeaders[at + 1] = host
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
/** As nginx writes it: nobody was left to answer. */
const CLIENT_GONE = 499
const SWITCHED = 101
