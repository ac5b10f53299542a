/**
 * HTTP/2 without TLS (h2c), gRPC first of all, on connections that others have accepted: each stream is routed and
 * becomes a stream of our own HTTP/2 connection to its destination. Headers, data, trailers, resets and their codes
 * pass unchanged, whatever the content type; flow control makes each side wait for the other. Above: front.ts and
 * exposed.ts. Below: node:http2.
 */
import { connect, constants } from 'node:http2'
import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { asPilotError, PilotError } from '../../base/errors.ts'
import type { Access, AccessLog, Tally } from './access-log.ts'
import { answerFailure2, failureOf } from './failure.ts'
import { handshake2, inform2, respond2, trail2, widen2 } from './guarded.ts'
import { redirectOf, requestHeaders2, requestTrailers2 } from './headers.ts'
import type { Asked, Hop, Route } from './hop.ts'
import { OwnPage } from './own-page.ts'
import { isExtendedConnect, openWebSocket2 } from './web-socket2.ts'
import {
  CONNECTION_WINDOW_BYTES,
  MAX_ATTEMPTS,
  MAX_HEADER_BYTES,
  MAX_HEADERS,
  MAX_STREAMS,
  SESSION_MEMORY_MB,
  WINDOW_BYTES,
} from './limits.ts'

export class Http2 {
  readonly #access: AccessLog
  readonly #sessions = new Set<ServerHttp2Session>()

  constructor(access: AccessLog) {
    this.#access = access
  }

  accept(socket: Duplex, route: Route): void {
    const session = handshake2(socket, {
      settings: {
        initialWindowSize: WINDOW_BYTES,
        maxConcurrentStreams: MAX_STREAMS,
        maxHeaderListSize: MAX_HEADER_BYTES,
        enableConnectProtocol: true,
      },
      maxHeaderListPairs: MAX_HEADERS,
      maxSessionMemory: SESSION_MEMORY_MB,
    })
    if (session === undefined) {
      socket.destroy()
      return
    }
    widen2(session, CONNECTION_WINDOW_BYTES)
    const upstreams = new Upstreams()
    this.#sessions.add(session)
    session.on('error', () => {}) // 'close' follows
    session.once('close', () => {
      this.#sessions.delete(session)
      upstreams.close()
    })
    session.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number) => {
      stream.on('error', () => {}) // 'close' follows
      void this.#onStream(stream, headers, flags, route, upstreams)
    })
  }

  /** GOAWAY: open streams continue, new ones go elsewhere. */
  drain(): void {
    for (const session of this.#sessions) session.close()
  }

  async #onStream(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    flags: number,
    route: Route,
    upstreams: Upstreams,
  ): Promise<void> {
    const access: Access = {
      method: headers[':method'] ?? '',
      host: headers[':authority'] ?? headers.host ?? '',
      target: headers[':path'] ?? '',
      protocol: 'HTTP/2',
      startedAt: performance.now(),
    }
    const tally: Tally = { status: 0, bytesIn: 0, bytesOut: 0 }
    let hop: Hop | undefined
    stream.once('close', () => {
      if (tally.status === 0) tally.status = CLIENT_GONE
      if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) tally.cut = true
      this.#access.note(hop?.about, access, tally)
    })
    try {
      const isWebSocket = isExtendedConnect(headers)
      hop = route(askedOf(headers, access.host, isWebSocket))
      if (isWebSocket) {
        const to = hop
        openWebSocket2(stream, headers, to, tally, (error) => this.#fail(stream, headers, failureOf(error, to), tally))
        return
      }
      if (headers[':method'] === 'CONNECT') throw new PilotError('USAGE', 'CONNECT is not supported over HTTP/2')
      await this.#send(stream, headers, flags, hop, upstreams, tally)
    } catch (error) {
      if (error instanceof OwnPage) {
        tally.status = OWN_PAGE
        answerFailure2(stream, headers, await error.fill().catch(asPilotError))
      } else this.#fail(stream, headers, hop === undefined ? asPilotError(error) : failureOf(error, hop), tally)
    }
  }

  async #send(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    flags: number,
    hop: Hop,
    upstreams: Upstreams,
    tally: Tally,
    attempts = 1,
  ): Promise<void> {
    const endStream = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0
    const request = await upstreams.request(hop, requestHeaders2(headers, hop.caller, hop.presents), endStream)
    if (stream.destroyed || stream.closed) {
      request.close(constants.NGHTTP2_CANCEL)
      return
    }
    const fail = (error: unknown): void => this.#fail(stream, headers, failureOf(error, hop), tally)
    let repeated = false
    const repeat = (): void => {
      repeated = true
      this.#send(stream, headers, flags, hop, upstreams, tally, attempts + 1).catch(fail)
    }
    request.once('error', (error: NodeJS.ErrnoException) => {
      if (stream.headersSent || stream.closed) return // carryDown forwards how it ended
      if (!isRefused(request, error)) {
        if (error.code !== RESET_BY_SERVICE) fail(error)
      } else if (endStream && attempts < MAX_ATTEMPTS) {
        repeat()
      } else stream.close(constants.NGHTTP2_REFUSED_STREAM) // none of it was processed: clients repeat it on their own
    })
    request.once('close', () =>
      setImmediate(() => {
        if (!stream.headersSent && !repeated) stream.close(request.rstCode) // unless an answer of our own follows from the error
      }),
    )
    // The core API does not answer `Expect`, and it is not forwarded (RFC 9110 §10.1.1).
    if (!endStream && /^100-continue$/i.test(headers.expect ?? '')) inform2(stream, { ':status': 100 })
    if (endStream) stream.resume()
    else carryUp(stream, request, tally)
    const redirect = redirectOf(headers[':authority'], hop.presents)
    if (redirect !== undefined)
      request.once('response', (answer: IncomingHttpHeaders) => {
        if (answer.location !== undefined) answer.location = redirect(answer.location)
      })
    carryDown(stream, request, tally, fail)
  }

  #fail(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, error: PilotError, tally: Tally): void {
    if (stream.headersSent || stream.destroyed || stream.closed) return // carryDown forwards how it ended
    tally.code = error.code
    tally.status = error.httpStatus
    answerFailure2(stream, headers, error)
  }
}

function askedOf(headers: IncomingHttpHeaders, authority: string, isWebSocket: boolean): Asked {
  return {
    authority: authority === '' ? undefined : authority,
    path: headers[':path'] ?? '',
    absolute: false,
    method: headers[':method'] ?? '',
    upgrades: isWebSocket,
    origin: headers.origin,
    site: headers['sec-fetch-site'] as string | undefined,
  }
}

/** The service did not process it (RFC 9113 §8.7): it may be sent again, whatever it is. */
function isRefused(request: ClientHttp2Stream, { code = '' }: NodeJS.ErrnoException): boolean {
  return request.rstCode === constants.NGHTTP2_REFUSED_STREAM || SESSION_ENDING.has(code)
}

/** Body and trailers of the request. */
function carryUp(stream: ServerHttp2Stream, request: ClientHttp2Stream, tally: Tally): void {
  let trailers: IncomingHttpHeaders = {}
  stream.on('data', (part: Buffer) => {
    tally.bytesIn += part.length
  })
  stream.once('trailers', (received: IncomingHttpHeaders) => {
    trailers = received
  })
  request.once('wantTrailers', () => {
    if (trail2(request, requestTrailers2(trailers)) !== undefined) request.close(constants.NGHTTP2_INTERNAL_ERROR)
  })
  stream.pipe(request)
}

/** Head, body, trailers of the response, and how each side ends. */
function carryDown(
  stream: ServerHttp2Stream,
  request: ClientHttp2Stream,
  tally: Tally,
  fail: (error: unknown) => void,
): void {
  let trailers: IncomingHttpHeaders = {}
  let [told, over] = [false, false] // the client has everything; the upstream stream is closed
  const release = (): void => {
    // the client may still be sending a body that nothing reads
    if (told && over)
      setImmediate(() => {
        if (!stream.readableEnded) stream.close()
      })
  }
  request.on('headers', (headers: IncomingHttpHeaders) => {
    // 1xx
    if (!stream.headersSent && !stream.closed) inform2(stream, headers)
  })
  request.once('response', (headers: IncomingHttpHeaders, flags: number) => {
    if (stream.closed || stream.destroyed) return
    const endStream = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0
    const thrown = respond2(stream, headers, { endStream, waitForTrailers: !endStream })
    if (thrown !== undefined) {
      request.resume().close(constants.NGHTTP2_PROTOCOL_ERROR)
      fail(thrown)
      return
    }
    tally.status = Number(headers[':status'])
    told = endStream
    if (endStream) {
      request.resume()
      return
    }
    stream.once('wantTrailers', () => {
      // behind 'finish'
      if (trail2(stream, trailers) !== undefined) stream.close(constants.NGHTTP2_INTERNAL_ERROR)
      told = true
      release()
    })
    request.on('data', (part: Buffer) => {
      tally.bytesOut += part.length
    })
    request.pipe(stream)
  })
  request.once('trailers', (received: IncomingHttpHeaders) => {
    trailers = received
  })
  // A reset on one side becomes the same reset on the other: gRPC cancels this way, and servers refuse the rest of a
  // body.
  stream.once('close', () => request.close(stream.rstCode))
  request.once('close', () => {
    over = true
    if (stream.closed) return
    const whole = request.rstCode === constants.NGHTTP2_NO_ERROR && request.readableEnded
    if (whole) release()
    else if (stream.headersSent)
      stream.close(request.rstCode === constants.NGHTTP2_NO_ERROR ? constants.NGHTTP2_INTERNAL_ERROR : request.rstCode)
  })
}

/** The HTTP/2 connections behind one client connection, one per destination; they end with it. */
class Upstreams {
  readonly #open = new Map<string, Promise<ClientHttp2Session>>()
  #closed = false

  /** @throws like dialling, and Node's errors about headers that may not be sent. */
  async request(hop: Hop, headers: OutgoingHttpHeaders, endStream: boolean): Promise<ClientHttp2Stream> {
    for (let attempts = 1; ; attempts++) {
      const session = await this.#get(hop)
      try {
        return session.request(headers, { endStream, waitForTrailers: !endStream })
      } catch (error) {
        const { code = '' } = error as NodeJS.ErrnoException // it has just sent GOAWAY
        if (!SESSION_ENDING.has(code) || attempts >= MAX_ATTEMPTS) throw error
      }
    }
  }

  async #get(hop: Hop): Promise<ClientHttp2Session> {
    const name = `${hop.host}:${hop.port}`
    for (;;) {
      const opening = this.#open.get(name) ?? this.#connect(name, hop)
      const session = await opening
      if (!session.closed && !session.destroyed) return session
      if (this.#open.get(name) === opening) this.#open.delete(name) // it has sent GOAWAY, or is gone
    }
  }

  close(): void {
    this.#closed = true
    for (const opening of this.#open.values())
      opening.then(
        (session) => session.close(),
        () => {},
      )
    this.#open.clear()
  }

  #connect(name: string, hop: Hop): Promise<ClientHttp2Session> {
    const opening = open(hop)
    this.#open.set(name, opening)
    opening.then(
      (session) => {
        if (this.#closed) session.destroy()
        session.once('close', () => {
          if (this.#open.get(name) === opening) this.#open.delete(name)
        })
      },
      () => {
        if (this.#open.get(name) === opening) this.#open.delete(name)
      },
    )
    return opening
  }
}

async function open(hop: Hop): Promise<ClientHttp2Session> {
  const socket = await hop.connect()
  socket.read(0) // a paused one is not read yet, and the session would wait forever
  const session = connect(`http://${AUTHORITY}`, {
    createConnection: () => socket as Socket,
    settings: { initialWindowSize: WINDOW_BYTES, enablePush: false, maxHeaderListSize: MAX_HEADER_BYTES },
    maxHeaderListPairs: MAX_HEADERS,
    maxSessionMemory: SESSION_MEMORY_MB,
  })
  session.on('error', () => {}) // its streams fail and report it
  await new Promise<void>((resolve, reject) => {
    session.once('connect', () => {
      session.off('error', reject)
      widen2(session, CONNECTION_WINDOW_BYTES)
      resolve()
    })
    session.once('error', reject)
  })
  return session
}

/** Node's error codes of a session that accepts no more requests. */
const SESSION_ENDING: ReadonlySet<string> = new Set([
  'ERR_HTTP2_GOAWAY_SESSION',
  'ERR_HTTP2_INVALID_SESSION',
  'ERR_HTTP2_SESSION_ERROR',
])
/** The other side reset this one stream; carryDown resets ours with the same code. */
const RESET_BY_SERVICE = 'ERR_HTTP2_STREAM_ERROR'
/** Never sent: every request has an authority of its own. */
const AUTHORITY = 'pilot.invalid'
/** As in nginx: the client was gone. */
const OWN_PAGE = 200
const CLIENT_GONE = 499
