/**
 * A WebSocket within an HTTP/2 connection (RFC 8441, extended CONNECT): to the service it goes on as what every WebSocket
 * server takes, an HTTP/1.1 upgrade on a connection of its own; then stream and connection are joined. Above: http2.ts.
 */
import { createHash, randomBytes } from 'node:crypto'
import { request } from 'node:http'
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { constants } from 'node:http2'
import { PilotError } from '../../base/errors.ts'
import type { Tally } from './access-log.ts'
import { pairs, requestHeaders2, responseHeaders } from './headers.ts'
import type { Hop } from './hop.ts'
import { join } from './upgrade.ts'

export function isExtendedConnect(headers: IncomingHttpHeaders): boolean {
  return headers[':method'] === 'CONNECT' && headers[':protocol'] !== undefined
}

/** @param onFailure at most once, with nothing answered yet. @throws PilotError USAGE. */
export function openWebSocket2(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  hop: Hop,
  tally: Tally,
  onFailure: (error: unknown) => void,
): void {
  if (headers[':protocol'] !== 'websocket')
    throw new PilotError(
      'USAGE',
      `extended CONNECT for "${String(headers[':protocol'])}" is not carried, only for websocket`,
    )
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
    // no WebSocket there: its answer is the answer
    settled = true
    tally.status = answer.statusCode!
    const fields = responseHeaders(answer.rawHeaders, false)
    if (!stream.closed) stream.respond({ ':status': tally.status, ...collected(fields) })
    answer.once('error', () => stream.close(constants.NGHTTP2_CANCEL))
    answer.pipe(stream)
  })
  out.once('upgrade', (answer, upstream, first) => {
    settled = true
    if (stream.closed || answer.headers['sec-websocket-accept'] !== acceptOf(key)) {
      upstream.destroy()
      if (!stream.closed)
        onFailure(
          new PilotError(
            'BAD_RESPONSE',
            `${hop.about.service}: its answer to the upgrade is not that of a WebSocket server`,
          ),
        )
      return
    }
    tally.status = SUCCESS
    const fields = collected(responseHeaders(answer.rawHeaders, false))
    delete fields['sec-websocket-accept'] // of the key that is ours
    stream.respond({ ':status': SUCCESS, ...fields })
    if (first.length > 0) upstream.unshift(first)
    join(stream, upstream, tally, () => {})
  })
  out.end()
}

function upgradeHeaders(headers: IncomingHttpHeaders, hop: Hop, key: string): Record<string, string | string[]> {
  const kept = Object.entries(requestHeaders2(headers, hop.caller)).filter(([name]) => !name.startsWith(':')) as [
    string,
    string | string[],
  ][]
  return {
    ...Object.fromEntries(kept),
    host: headers[':authority'] ?? headers.host ?? hop.host,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-key': key,
  }
}

/** As HTTP/2 wants them: lower case, each name once. */
function collected(raw: readonly string[]): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = {}
  for (const [name, value] of pairs(raw)) {
    const before = fields[name.toLowerCase()]
    fields[name.toLowerCase()] = before === undefined ? value : [before, value].flat()
  }
  return fields
}

/** RFC 6455 §4.2.2. */
function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

const KEY_BYTES = 16
const SUCCESS = 200
