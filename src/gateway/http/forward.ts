/**
 * One HTTP/1.1 request sent on through http-proxy, and its response brought back: bodies in both directions as they
 * come, followed by trailers. Above: http1.ts. The only file that imports http-proxy, used for what it does well
 * (requests through an agent, clients that disconnect). We handle what it gets wrong: it drops trailers, rewrites
 * paths, and gives a chunked DELETE the length 0, after which its body would be read as a separate request with
 * unchecked headers.
 */
import httpProxy from 'http-proxy'
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Stream } from 'node:stream'
import { PilotError } from '../../base/errors.ts'
import type { Tally } from './access-log.ts'
import { failureOf } from './failure.ts'
import { hint1, writeHead1 } from './guarded.ts'
import { collect, pairs, redirectOf, requestHeaders, requestTrailers, responseHeaders } from './headers.ts'
import type { Hop } from './hop.ts'
import { MAX_ATTEMPTS } from './limits.ts'

/** `onFailure` is called at most once, before any of the response was sent; a broken response is cut. */
export function forward(
  req: IncomingMessage,
  res: ServerResponse,
  hop: Hop,
  tally: Tally,
  onFailure: (error: PilotError) => void,
): void {
  let attempts = 0
  let out: ClientRequest | undefined
  let settled = false
  const fail = (error: unknown): void => {
    if (settled || res.destroyed) return
    const failure = failureOf(error, hop)
    const closedWhileIdle = out?.reusedSocket === true && failure.code === 'PEER_RESET'
    if (closedWhileIdle && !hasBody(req) && SAFE.has(req.method!) && attempts < MAX_ATTEMPTS) {
      send()
      return
    }
    settled = true
    if (closedWhileIdle) {
      // The service may or may not have read it. Clients understand a kept connection that closes, and repeat what they
      // may; a 502 would hide it from them (RFC 9112 §9.3.1).
      tally.code = failure.code
      res.destroy()
      return
    }
    onFailure(failure)
  }
  const send = (): void => {
    attempts += 1
    const body = {
      pipe: (request: ClientRequest): void => {
        out = request
        request.on('information', (news) => {
          if (!settled) inform(res, req.httpVersion, news)
        })
        request.once('response', (answer: IncomingMessage) => {
          if (settled) return
          settled = true
          respond(req, res, hop, answer, tally, (error) => {
            request.destroy()
            onFailure(failureOf(error, hop))
          })
        })
        request.once('close', () => {
          if (!settled && out === request)
            fail(new PilotError('PEER_RESET', `${hop.about.service}: the connection ended without an answer`))
        })
        sendBody(req, request, hop, tally)
      },
    }
    sendVia(req, res, hop, body, fail)
  }
  req.headers = requestHeaders(req.rawHeaders, hop.caller, hop.presents) as IncomingMessage['headers']
  send()
}

/**
 * The part done by http-proxy: a request through the agent, abandoned if the client disconnects. @param body receives
 * the request.
 */
function sendVia(
  req: IncomingMessage,
  res: ServerResponse,
  { host, port, agent }: Hop,
  body: { pipe(request: ClientRequest): void },
  onFailure: (error: unknown) => void,
): void {
  const target = { protocol: 'http:', host, port }
  const buffer = body as unknown as Stream // http-proxy calls its `pipe` with the request, and nothing else
  try {
    proxy.web(
      req,
      res,
      { target, agent, buffer, selfHandleResponse: true, toProxy: true, prependPath: false },
      onFailure,
    )
  } catch (error) {
    onFailure(error) // a header that may not be sent
  }
}

/** Forwards early hints (RFC 8297). We have already answered `Expect`, and other 1xx responses are dropped. */
function inform(
  res: ServerResponse,
  version: string,
  { statusCode, rawHeaders }: { readonly statusCode: number; readonly rawHeaders: readonly string[] },
): void {
  if (statusCode !== EARLY_HINTS || version !== '1.1' || res.headersSent) return
  hint1(res, collect(responseHeaders(rawHeaders, false))) // a link that Node refuses to write: hints are optional
}

/** The response as it comes. `onRefused`: its head cannot be sent, nothing has been. */
export function respond(
  req: IncomingMessage,
  res: ServerResponse,
  hop: Hop,
  answer: IncomingMessage,
  tally: Tally,
  onRefused: (error: unknown) => void,
): void {
  const hasLength = answer.headers['content-length'] !== undefined
  const chunked = !hasLength && req.httpVersion === '1.1' && req.method !== 'HEAD' && !NO_BODY.has(answer.statusCode!)
  const reason = REASON.test(answer.statusMessage!) ? answer.statusMessage : undefined
  const redirect = redirectOf(hostOf(req), hop.presents)
  const thrown = writeHead1(res, answer.statusCode!, reason, responseHeaders(answer.rawHeaders, chunked, redirect))
  if (thrown !== undefined) {
    onRefused(thrown)
    return
  }
  flushHead(res) // an event stream may be silent for a while
  tally.status = answer.statusCode!
  answer.on('data', (part: Buffer) => {
    tally.bytesOut += part.length
  })
  answer.once('end', () => {
    if (chunked && answer.rawTrailers.length > 0) res.addTrailers(pairs(answer.rawTrailers))
  })
  answer.once('error', () => {
    // an end here would make a partial answer look complete
    tally.cut = true
    res.destroy()
  })
  answer.pipe(res)
}

export function hasBody({ headers, rawHeaders }: Pick<IncomingMessage, 'headers' | 'rawHeaders'>): boolean {
  return isChunked(rawHeaders) || Number(headers['content-length'] ?? 0) > 0
}

/** Sends the head now. `flushHeaders` would write it as UTF-8, and every byte above 127 twice. */
function flushHead(message: ClientRequest | ServerResponse): void {
  message.write(NOTHING)
}

export function isChunked(raw: readonly string[]): boolean {
  return pairs(raw).some(([name]) => name.toLowerCase() === 'transfer-encoding')
}

/** Framing is decided here, from what the parser saw. */
function sendBody(req: IncomingMessage, request: ClientRequest, { presents }: Hop, tally: Tally): void {
  request.path = req.url!
  const chunked = isChunked(req.rawHeaders)
  for (const [name, value] of pairs(req.rawHeaders)) {
    // as the client spelt them; http-proxy looks for lower case
    if (/^(host|content-length)$/i.test(name) && request.hasHeader(name))
      request.setHeader(name, presents !== undefined && name.length === HOST.length ? presents : value)
  }
  if (chunked) {
    request.removeHeader('content-length')
    request.setHeader('Transfer-Encoding', 'chunked')
  }
  if (!hasBody(req)) {
    request.end()
    return
  }
  const announced = pairs(req.rawHeaders).find(([name]) => name.toLowerCase() === 'trailer')
  if (chunked && announced !== undefined) request.setHeader('Trailer', announced[1])
  flushHead(request)
  req.on('data', (part: Buffer) => {
    tally.bytesIn += part.length
  })
  req.once('end', () => {
    if (chunked) request.addTrailers(requestTrailers(req.rawTrailers))
  })
  request.once('close', () => req.resume()) // an unwanted remainder must not precede the next request
  req.pipe(request)
}

/** As the client sent it; `req.headers` are those of the service by now. */
function hostOf({ rawHeaders }: IncomingMessage): string | undefined {
  return pairs(rawHeaders).find(([name]) => name.toLowerCase() === HOST)?.[1]
}

const HOST = 'host'
const NOTHING = Buffer.alloc(0)
const proxy = httpProxy.createProxyServer({})
/** RFC 9110 §9.2.1: sending these twice does no harm. */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])
/** RFC 9112 §4; the parser accepts more than may be sent. */
const REASON = /^[\t\x20-\x7e\x80-\xff]*$/
const EARLY_HINTS = 103
const NO_BODY: ReadonlySet<number> = new Set([204, 304])
