/**
 * A WebSocket within an HTTP/2 connection (RFC 8441, extended CONNECT): it is forwarded as an HTTP/1.1 upgrade on a
 * separate connection, which every WebSocket server accepts; then stream and connection are joined. Above: http2.ts.
 */
import { createHash, randomBytes } from 'node:crypto'
import { request } from 'node:http'
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { constants } from 'node:http2'
import { PilotError } from '../../base/errors.ts'
import type { Tally } from './access-log.ts'
import { respond2 } from './guarded.ts'
import type { Thrown } from './guarded.ts'
import { collect, requestHeaders2, responseHeaders } from './headers.ts'
import type { Hop } from './hop.ts'
import { join } from './upgrade.ts'

export function isExtendedConnect(headers: IncomingHttpHeaders): boolean {
  return headers[':method'] === 'CONNECT' && headers[':protocol'] !== undefined
}

/** @param onFailure called at most once, before any answer. @throws PilotError USAGE. */
export function openWebSocket2(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  hop: Hop,
  tally: Tally,
  onFailure: (error: unknown) => void,
): void {
  checkProtocol(headers)
  const { host, port, agent } = hop
  const key = randomBytes(KEY_BYTES).toString('base64')
  const out = request({
    host,
    port,
    agent,
    method: 'GET',
    path: String(headers[':path'] ?? '/'),
    headers: upgradeHeaders(headers, hop, key),
  })
  let settled = false
  const fail = (error: unknown): void => {
    if (settled) return
    settled = true
    onFailure(error)
  }
  stream.once('close', () => {
    if (!settled) out.destroy()
  })
  out.once('error', fail)
  out.once('close', () =>
    fail(new PilotError('PEER_RESET', `${hop.about.service}: the connection ended without an answer`)),
  )
  out.once('response', (answer) => {
    settled = true
    out.shouldKeepAlive = false // a service that refused an upgrade may treat the next bytes in any way
    const thrown = answerPlainly(stream, answer, tally)
    if (thrown === undefined) return
    out.destroy()
    onFailure(badAnswer(hop, `its answer is not valid HTTP/2: ${thrown.message}`))
  })
  out.once('upgrade', (answer, upstream, first) => {
    settled = true
    upstream.on('error', () => {}) // 'close' follows
    if (first.length > 0) upstream.unshift(first)
    const refusal = acceptUpgrade(stream, answer, key)
    if (refusal === undefined) {
      tally.status = SUCCESS
      join(stream, upstream, tally, () => {})
      return
    }
    upstream.destroy()
    if (!stream.closed) onFailure(badAnswer(hop, refusal))
  })
  out.end()
}

function checkProtocol({ ':protocol': protocol }: IncomingHttpHeaders): void {
  if (protocol === 'websocket') return
  throw new PilotError('USAGE', `extended CONNECT for "${String(protocol)}" is not supported, only for websocket`)
}

function badAnswer({ about }: Hop, why: string): PilotError {
  return new PilotError('BAD_RESPONSE', `${about.service}: ${why}`)
}

/** Not a WebSocket server: return its answer. */
function answerPlainly(stream: ServerHttp2Stream, answer: IncomingMessage, tally: Tally): Thrown {
  if (stream.closed) return undefined
  const head = { ':status': answer.statusCode!, ...collect(responseHeaders(answer.rawHeaders, false)) }
  const thrown = respond2(stream, head)
  if (thrown !== undefined) return thrown
  tally.status = answer.statusCode!
  answer.once('error', () => stream.close(constants.NGHTTP2_CANCEL))
  answer.pipe(stream)
  return undefined
}

/** @returns why not. */
function acceptUpgrade(stream: ServerHttp2Stream, answer: IncomingMessage, key: string): string | undefined {
  const fields = collect(responseHeaders(answer.rawHeaders, false))
  if (fields['sec-websocket-accept'] !== acceptOf(key))
    return 'its answer to the upgrade is not that of a WebSocket server'
  delete fields['sec-websocket-accept'] // of the key that is ours
  if (stream.closed) return 'the client has disconnected'
  return respond2(stream, { ':status': SUCCESS, ...fields })?.message
}

/** An HTTP/1.1 upgrade has no body, so no header may announce one: it would swallow the following data. */
function upgradeHeaders(headers: IncomingHttpHeaders, hop: Hop, key: string): OutgoingHttpHeaders {
  const kept = requestHeaders2(headers, hop.caller, hop.presents)
  for (const name of Object.keys(kept)) if (name.startsWith(':') || BODY_NAMES.has(name)) delete kept[name]
  return Object.assign(kept, {
    host: hop.presents ?? headers[':authority'] ?? headers.host ?? hop.host,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-key': key,
  })
}

/** RFC 6455 §4.2.2. */
function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

const BODY_NAMES: ReadonlySet<string> = new Set([
  'content-length',
  'content-type',
  'content-encoding',
  'transfer-encoding',
])
const KEY_BYTES = 16
const SUCCESS = 200
