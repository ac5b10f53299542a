/**
 * The files of a folder over HTTP/1.1, read-only, on streams that others have accepted: single ranges, validators
 * (RFC 9110 §13), a page that lists a folder without index.html. Above: expose/tcp.ts. Below: confine.ts.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { basename } from 'node:path'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { asPilotError } from '../../base/errors.ts'
import type { AccessLog, Tally } from '../http/access-log.ts'
import { answerFailure } from '../http/failure.ts'
import type { HopAbout } from '../http/hop.ts'
import { admitHost } from '../http/host-rewrite.ts'
import { HEAD_CHECK_MS, HEAD_MS, KEEP_ALIVE_MS, MAX_HEADER_BYTES, MAX_HEADERS } from '../http/limits.ts'
import { DEFAULT_DOMAIN } from '../model/peer-host.ts'
import { Confined } from './confine.ts'
import type { Found } from './confine.ts'
import { listingPage, listingRecord } from './listing.ts'
import { mediaTypeOf } from './media-types.ts'

type File = Extract<Found, { kind: 'file' }>

export class FolderServer {
  readonly #files: Confined
  readonly #access: AccessLog
  readonly #server: Server
  readonly #abouts = new WeakMap<object, HopAbout>() // by connection

  /** @param withheld a folder of which nothing is served: the state of the gateway. */
  constructor(folder: string, withheld: string, access: AccessLog) {
    this.#files = new Confined(folder, withheld)
    this.#access = access
    const server: Server & { httpAllowHalfOpen?: boolean } = createServer({
      headersTimeout: HEAD_MS,
      connectionsCheckingInterval: HEAD_CHECK_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      keepAliveTimeout: KEEP_ALIVE_MS,
      noDelay: true,
    })
    server.httpAllowHalfOpen = true // a client that ends its side after a complete request still wants the answer
    server.maxHeadersCount = MAX_HEADERS
    server.emit('listening') // it never listens; from here on Node checks the heads
    server.on('request', (req, res) => this.#onRequest(req, res))
    server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      else socket.destroy()
    })
    this.#server = server
  }

  serve(stream: Duplex, about: HopAbout): void {
    this.#abouts.set(stream, about)
    stream.on('error', () => {}) // 'close' follows
    this.#server.emit('connection', stream)
  }

  /** Idle connections end now, the others after their request. */
  drain(): void {
    this.#server.close()
    this.#server.closeIdleConnections()
  }

  #onRequest(req: IncomingMessage, res: ServerResponse): void {
    const tally: Tally = { status: 0, bytesIn: 0, bytesOut: 0 }
    const startedAt = performance.now()
    res.once('close', () => {
      const { method = '', url = '', headers } = req
      const access = { method, host: headers.host ?? '', target: url, protocol: 'HTTP/1.1' as const, startedAt }
      const cut = res.writableFinished ? {} : { cut: true }
      this.#access.note(this.#abouts.get(req.socket), access, { ...tally, ...cut, status: res.statusCode })
    })
    req.resume() // no request has a body that matters
    this.#answer(req, res, tally).catch((error: unknown) => answerFailure(req, res, asPilotError(error)))
  }

  async #answer(req: IncomingMessage, res: ServerResponse, tally: Tally): Promise<void> {
    admitHost(req.headers.host, DEFAULT_DOMAIN)
    if (req.method !== 'GET' && req.method !== 'HEAD')
      return plain(req, res, 405, 'Only GET and HEAD.', { allow: 'GET, HEAD' })
    const path = req.url!.replace(/^https?:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '') || '/'
    const found = await this.#files.find(path)
    if (found === undefined) return plain(req, res, 404, 'There is no such file.')
    if (found.kind === 'file') {
      if (!path.endsWith('/')) return await sendFile(req, res, found, lastOf(path), tally)
      await found.handle.close()
      return plain(req, res, 404, 'There is no such folder.')
    }
    if (!path.endsWith('/'))
      return plain(req, res, 308, 'This is a folder.', { location: `./${path.slice(path.lastIndexOf('/') + 1)}/` })
    const index = await this.#files.find(`${path}index.html`)
    if (index?.kind === 'file') return await sendFile(req, res, index, 'index.html', tally)
    await this.#list(req, res, path, found.path)
  }

  async #list(req: IncomingMessage, res: ServerResponse, path: string, folder: string): Promise<void> {
    const { entries, isCut } = await this.#files.list(folder, MAX_ENTRIES)
    const wantsJson = /\bapplication\/json\b/.test(req.headers.accept ?? '')
    const body = wantsJson
      ? `${JSON.stringify(listingRecord(entries, isCut))}\n`
      : listingPage(decodeURIComponent(path), entries, isCut)
    send(req, res, 200, body, {
      'content-type': wantsJson ? 'application/json; charset=utf-8' : 'text/html; charset=utf-8',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
      vary: 'accept',
    })
  }
}

async function sendFile(
  req: IncomingMessage,
  res: ServerResponse,
  { handle, bytes, modifiedMs }: File,
  name: string,
  tally: Tally,
): Promise<void> {
  const etag = `"${bytes.toString(16)}-${Math.round(modifiedMs * 1000).toString(16)}"`
  const modified = new Date(modifiedMs).toUTCString()
  const head = { ...COMMON, etag, 'last-modified': modified, 'accept-ranges': 'bytes' }
  if (isUnchanged(req, etag, modifiedMs)) {
    await handle.close()
    res.writeHead(304, head).end()
    return
  }
  const range = rangeOf(req, bytes, etag, modified)
  if (range === 'unsatisfiable') {
    await handle.close()
    return plain(req, res, 416, 'There are not that many bytes.', { 'content-range': `bytes */${bytes}` })
  }
  const { first, last } = range ?? { first: 0, last: bytes - 1 }
  res.writeHead(range === undefined ? 200 : 206, {
    ...head,
    'content-type': mediaTypeOf(name),
    'content-length': last - first + 1,
    ...(range !== undefined && { 'content-range': `bytes ${first}-${last}/${bytes}` }),
  })
  if (req.method === 'HEAD' || last < first) {
    await handle.close()
    res.end()
    return
  }
  const source = handle.createReadStream({ start: first, end: last })
  source.on('data', (part) => {
    tally.bytesOut += part.length
  })
  await pipeline(source, res).catch(() => res.destroy()) // the client left, or the file became shorter
}

/** RFC 9110 §13.2.2: `If-None-Match` overrides `If-Modified-Since`. */
function isUnchanged({ headers }: IncomingMessage, etag: string, modifiedMs: number): boolean {
  const tags = headers['if-none-match']
  if (tags !== undefined)
    return tags.trim() === '*' || tags.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
  const since = Date.parse(headers['if-modified-since'] ?? '')
  return !Number.isNaN(since) && Math.floor(modifiedMs / 1000) * 1000 <= since
}

/** One range; a request for several gets the whole file, as RFC 9110 §14.2 allows. */
function rangeOf(
  { headers }: IncomingMessage,
  bytes: number,
  etag: string,
  modified: string,
): { readonly first: number; readonly last: number } | 'unsatisfiable' | undefined {
  const [, from, to] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(headers.range ?? '') ?? []
  if (from === undefined || (from === '' && to === '')) return undefined
  const condition = headers['if-range'] as string | undefined
  if (condition !== undefined && condition !== etag && condition !== modified) return undefined
  const first = from === '' ? Math.max(0, bytes - Number(to)) : Number(from)
  const last = from === '' || to === '' ? bytes - 1 : Math.min(Number(to), bytes - 1)
  if (from !== '' && to !== '' && Number(to) < Number(from)) return undefined // malformed
  return first > last || first >= bytes ? 'unsatisfiable' : { first, last }
}

function plain(
  req: IncomingMessage,
  res: ServerResponse,
  status: number,
  body: string,
  more: Readonly<Record<string, string>> = {},
): void {
  send(req, res, status, `${body}\n`, { 'content-type': 'text/plain; charset=utf-8', ...more })
}

function send(
  req: IncomingMessage,
  res: ServerResponse,
  status: number,
  body: string,
  more: Readonly<Record<string, string>>,
): void {
  res.writeHead(status, { ...COMMON, 'content-length': Buffer.byteLength(body), ...more })
  res.end(req.method === 'HEAD' ? undefined : body)
}

function lastOf(path: string): string {
  return basename(decodeURIComponent(path))
}

/** Files change while they are shared: clients keep them, but ask. */
const COMMON = { 'cache-control': 'no-cache', 'x-content-type-options': 'nosniff' }
/** Rows of a listing: more take a browser seconds to lay out. */
const MAX_ENTRIES = 5_000
