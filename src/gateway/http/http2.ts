/**
 * HTTP/2 without TLS (h2c), gRPC first of all, on connections that others have accepted: each stream is routed and
 * becomes a stream of an HTTP/2 connection of our own to where it goes. Headers, data, trailers, resets and their codes
 * pass as they are, whatever the content type; flow control makes each side wait for the other.
 * Above: front.ts and exposed.ts. Below: node:http2.
 */
import { connect, constants, performServerHandshake } from 'node:http2'
import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  IncomingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { asPilotError, PilotError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { logAccess } from './access-log.ts'
import type { Access, Tally } from './access-log.ts'
import { answerFailure2, failureOf } from './failure.ts'
import { requestHeaders2, requestTrailers2 } from './headers.ts'
import type { Hop, Route } from './hop.ts'
import { isExtendedConnect, openWebSocket2 } from './web-socket2.ts'
import {
  CONNECTION_WINDOW_BYTES,
  MAX_HEADER_BYTES,
  MAX_HEADERS,
  MAX_STREAMS,
  SESSION_MEMORY_MB,
  WINDOW_BYTES,
} from './limits.ts'

export class Http2 {
  readonly #log: Logger
  readonly #sessions = new Set<ServerHttp2Session>()

  constructor(log: Logger) {
    this.#log = log
  }

  accept(socket: Duplex, route: Route): void {
    const session = performServerHandshake(socket, {
      settings: {
        initialWindowSize: WINDOW_BYTES,
        maxConcurrentStreams: MAX_STREAMS,
        maxHeaderListSize: MAX_HEADER_BYTES,
        enableConnectProtocol: true,
      },
      maxHeaderListPairs: MAX_HEADERS,
      maxSessionMemory: SESSION_MEMORY_MB,
    })
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
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

  /** GOAWAY: streams under way go on, new ones go elsewhere. */
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
      logAccess(this.#log, hop?.about, access, tally)
    })
    try {
      hop = route(access.host === '' ? undefined : access.host)
      if (isExtendedConnect(headers)) {
        const to = hop
        openWebSocket2(stream, headers, to, tally, (error) => this.#fail(stream, headers, failureOf(error, to), tally))
        return
      }
      if (headers[':method'] === 'CONNECT') throw new PilotError('USAGE', 'CONNECT is not carried over HTTP/2')
      const upstream = await upstreams.get(hop)
      if (stream.destroyed || stream.closed) return
      const endStream = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0
      const request = upstream.request(requestHeaders2(headers, hop.caller), { endStream, waitForTrailers: !endStream })
      if (endStream) stream.resume()
      else carryUp(stream, request, tally)
      carryDown(stream, request, tally)
      const { about } = hop
      request.once('error', (error) => this.#fail(stream, headers, failureOf(error, { about }), tally))
    } catch (error) {
      this.#fail(stream, headers, hop === undefined ? asPilotError(error) : failureOf(error, hop), tally)
    }
  }

  #fail(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, error: PilotError, tally: Tally): void {
    if (stream.headersSent || stream.destroyed || stream.closed) return // carryDown passes on how it ended
    tally.code = error.code
    tally.status = error.httpStatus
    answerFailure2(stream, headers, error)
  }
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
  request.once('wantTrailers', () => request.sendTrailers(requestTrailers2(trailers)))
  stream.pipe(request)
}

/** Head, body, trailers of the response, and how each side ends. */
function carryDown(stream: ServerHttp2Stream, request: ClientHttp2Stream, tally: Tally): void {
  let trailers: IncomingHttpHeaders = {}
  let [told, over] = [false, false] // the client has everything; the upstream stream is closed
  const release = (): void => {
    // the client may still be sending a body that nobody reads
    if (told && over)
      setImmediate(() => {
        if (!stream.readableEnded) stream.close()
      })
  }
  request.on('headers', (headers: IncomingHttpHeaders) => {
    // 1xx
    if (!stream.headersSent && !stream.closed) stream.additionalHeaders(headers)
  })
  request.once('response', (headers: IncomingHttpHeaders, flags: number) => {
    if (stream.closed || stream.destroyed) return
    tally.status = Number(headers[':status'])
    const endStream = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0
    told = endStream
    stream.respond(headers, { endStream, waitForTrailers: !endStream })
    if (endStream) {
      request.resume()
      return
    }
    stream.once('wantTrailers', () => {
      // behind 'finish'
      stream.sendTrailers(trailers)
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
  // A reset on one side is the same reset on the other: this is how gRPC cancels, and how a server refuses the rest of a body.
  stream.once('close', () => request.close(stream.rstCode))
  request.once('close', () => {
    over = true
    if (stream.closed) return
    const whole = request.rstCode === constants.NGHTTP2_NO_ERROR && request.readableEnded
    if (whole) release()
    else if (stream.headersSent)
      stream.close(request.rstCode === constants.NGHTTP2_NO_ERROR ? constants.NGHTTP2_INTERNAL_ERROR : request.rstCode)
    else
      setImmediate(() => {
        if (!stream.headersSent) stream.close(request.rstCode)
      }) // unless an answer of our own follows from the error
  })
}

/** The HTTP/2 connections that one client's connection stands on, one for each place: they live and end with it. */
class Upstreams {
  readonly #open = new Map<string, Promise<ClientHttp2Session>>()
  #closed = false

  async get(hop: Hop): Promise<ClientHttp2Session> {
    const name = `${hop.host}:${hop.port}`
    for (;;) {
      const opening = this.#open.get(name) ?? this.#connect(name, hop)
      const session = await opening
      if (!session.closed && !session.destroyed) return session
      if (this.#open.get(name) === opening) this.#open.delete(name) // it has said GOAWAY, or is gone
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
  socket.read(0) // a paused one is not read from yet, and the session would wait for ever
  const session = connect(`http://${AUTHORITY}`, {
    createConnection: () => socket as Socket,
    settings: { initialWindowSize: WINDOW_BYTES, enablePush: false, maxHeaderListSize: MAX_HEADER_BYTES },
    maxHeaderListPairs: MAX_HEADERS,
    maxSessionMemory: SESSION_MEMORY_MB,
  })
  session.on('error', () => {}) // its streams fail, and say so
  await new Promise<void>((resolve, reject) => {
    session.once('connect', () => {
      session.off('error', reject)
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
      resolve()
    })
    session.once('error', reject)
  })
  return session
}

/** Never sent: every request has an authority of its own. */
const AUTHORITY = 'pilot.invalid'
/** As nginx writes it: nobody was left to answer. */
const CLIENT_GONE = 499
