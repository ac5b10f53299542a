/** HTTP CONNECT (RFC 9110 §9.3.6), the server's side, as bytes in and bytes out; other requests are recognised. Above: proxy.ts. */
import { STATUS_CODES } from 'node:http'
import { utf8 } from '../../base/bytes.ts'
import type { PilotError } from '../../base/errors.ts'
import { parsePort } from '../model/listen.ts'
import type { HeadNews, ProxyHead } from './proxy-head.ts'

export class HttpConnectHead implements ProxyHead {
  push(bytes: Buffer): { readonly used: number; readonly news: HeadNews } {
    const found = HEAD_END.exec(bytes.toString('latin1', 0, MAX_HEAD_BYTES))
    if (found === null) {
      if (bytes.length < MAX_HEAD_BYTES) return { used: 0, news: { kind: 'more' } }
      return refused(431, 'the head of the request is too long')
    }
    const end = found.index
    const line = bytes.toString('latin1', 0, end).split(/\r?\n/, 1)[0]!
    const [, method, target] = /^([A-Z-]+) (\S+) HTTP\/1\.[01]$/.exec(line) ?? []
    if (method === undefined) return refused(400, 'not an HTTP request')
    if (method !== 'CONNECT') {
      if (/^http:\/\//i.test(target!)) return { used: 0, news: { kind: 'http' } }
      return refused(
        405,
        `${method} ${target!.slice(0, MAX_HOST_CHARS)}: this is a proxy; it accepts CONNECT and http:// URLs`,
      )
    }
    const [, host, portText] = /^(\[[^\]\s]+\]|[^\s]+):(\d+)$/.exec(target!) ?? []
    const port = parsePort(portText ?? '')
    if (host === undefined || port === undefined || host.length > MAX_HOST_CHARS)
      return refused(400, `${target!.slice(0, MAX_HOST_CHARS)}: expected HOST:PORT`)
    return { used: end + found[0].length, news: { kind: 'connect', host, port } }
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

/**
 * RFC 9112 §2.2 lets a recipient accept a bare line feed as a line end; after a CONNECT nothing can be smuggled with
 * it.
 */
const HEAD_END = /\r?\n\r?\n/
/** Like node:http; a CONNECT needs a few hundred bytes. */
const MAX_HEAD_BYTES = 16_384
const MAX_HOST_CHARS = 255
