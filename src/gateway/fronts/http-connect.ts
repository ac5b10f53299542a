/** HTTP CONNECT (RFC 9110 §9.3.6), the server's side, as bytes in and bytes out. Above: proxy.ts. */
import { STATUS_CODES } from 'node:http'
import { utf8 } from '../../base/bytes.ts'
import type { PilotError } from '../../base/errors.ts'
import { parsePort } from '../model/listen.ts'
import type { HeadNews, ProxyHead } from './proxy-head.ts'

export class HttpConnectHead implements ProxyHead {
  push(bytes: Buffer): { readonly used: number; readonly news: HeadNews } {
    const end = bytes.subarray(0, MAX_HEAD_BYTES).indexOf('\r\n\r\n')
    if (end < 0) {
      if (bytes.length < MAX_HEAD_BYTES) return { used: 0, news: { kind: 'more' } }
      return refused(431, 'the head of the request is too long')
    }
    const line = bytes.subarray(0, end).toString('latin1').split('\r\n', 1)[0]!
    const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.[01]$/.exec(line) ?? []
    if (method === undefined) return refused(400, 'not an HTTP request')
    if (method !== 'CONNECT')
      return refused(405, `${method}: this proxy takes CONNECT only; use SOCKS5 or CONNECT (curl -p) for plain HTTP`)
    const [, host, portText] = /^(\[[^\]\s]+\]|[^\s]+):(\d+)$/.exec(target!) ?? []
    const port = parsePort(portText ?? '')
    if (host === undefined || port === undefined || host.length > MAX_HOST_CHARS)
      return refused(400, `${target!.slice(0, MAX_HOST_CHARS)}: expected HOST:PORT`)
    return { used: end + 4, news: { kind: 'connect', host, port } }
  }

  accepted(): Uint8Array {
    return utf8('HTTP/1.1 200 Connection established\r\n\r\n')
  }

  failed({ code, message, hint, httpStatus }: PilotError): Uint8Array {
    return answer(httpStatus, `${JSON.stringify({ code, message, hint })}\n`, 'application/json')
  }
}

function refused(status: number, why: string): { used: number; news: HeadNews } {
  return {
    used: 0,
    news: {
      kind: 'refused',
      reply: answer(status, `${why}\n`, 'text/plain; charset=utf-8', status === 405 ? 'Allow: CONNECT\r\n' : ''),
      why,
    },
  }
}

function answer(status: number, body: string, type: string, more = ''): Buffer {
  return Buffer.from(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}\r\n${more}Content-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}

/** As node:http; a CONNECT needs a few hundred bytes. */
const MAX_HEAD_BYTES = 16_384
const MAX_HOST_CHARS = 255
