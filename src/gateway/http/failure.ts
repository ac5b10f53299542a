/** Answers in our own name: what failed, with code and hint, in a form that the client understands. */
import { STATUS_CODES } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { asPilotError, PilotError } from '../../base/errors.ts'
import type { ErrorCode } from '../../base/errors.ts'
import { escapeHtml, webHeaders, webPage } from '../../runtime/web-page.ts'
import { respond2, writeHead1 } from './guarded.ts'
import { listOf } from './headers.ts'
import type { Hop } from './hop.ts'
import { OwnPage } from './own-page.ts'

/** A connection failure in terms that a person understands. */
export function failureOf(error: unknown, { about }: Pick<Hop, 'about'>): PilotError {
  if (error instanceof PilotError) return error
  const { code = '', message } = error as NodeJS.ErrnoException
  const where = about.service
  if (UNREACHABLE.has(code))
    return new PilotError('TARGET_UNREACHABLE', `${where}: the local service does not answer (${code})`, {}, error)
  if (code.startsWith('HPE_'))
    return new PilotError('BAD_RESPONSE', `${where}: the answer is not HTTP/1 (${message})`, {}, error)
  if (code.startsWith('ERR_HTTP2_'))
    return new PilotError('BAD_RESPONSE', `${where}: the service does not speak HTTP/2 (${message})`, {}, error)
  if (code.startsWith('ERR_'))
    return new PilotError('BAD_RESPONSE', `${where}: the answer cannot be forwarded (${message})`, {}, error)
  if (ENDED.has(code))
    return new PilotError('PEER_RESET', `${where}: the connection ended before the answer`, {}, error)
  return asPilotError(error)
}

/**
 * A page for browsers, JSON if the client asks for it, otherwise text. A response that has begun can only be cut.
 * @param error or the front's own page, which is answered the same way.
 */
export function answerFailure(req: IncomingMessage, res: ServerResponse, error: PilotError | OwnPage): void {
  if (res.headersSent) {
    res.destroy()
    return
  }
  const { status, type, text, more } = bodyOf(error, listOf(req.rawHeaders, 'accept').join())
  // The rest of a request body would be read as the next request, so the client must reconnect.
  const rest = req.complete ? {} : { Connection: 'close' }
  writeHead1(res, status, STATUS_CODES[status], {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(text),
    ...more,
    ...rest,
  })
  res.end(req.method === 'HEAD' ? '' : text)
}

/** The same on an HTTP/2 stream; a gRPC client gets a gRPC status, which it would otherwise have to guess. */
export function answerFailure2(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  error: PilotError | OwnPage,
): void {
  if (stream.destroyed || stream.closed) return
  if (stream.headersSent) {
    stream.close(CANCEL)
    return
  }
  if (error instanceof PilotError && headers['content-type']?.startsWith('application/grpc') === true) {
    respond2(
      stream,
      {
        ':status': 200,
        'content-type': 'application/grpc',
        'grpc-status': String(GRPC_STATUS[error.code] ?? UNAVAILABLE),
        'grpc-message': grpcMessage(`${error.message} (${error.code})`),
        'pilot-error': error.code,
      },
      { endStream: true },
    )
    return
  }
  const { status, type, text, more } = bodyOf(error, headers.accept)
  const answer: OutgoingHttpHeaders = {
    ':status': status,
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    ...Object.fromEntries(Object.entries(more).map(([name, value]) => [name.toLowerCase(), value])),
  }
  if (respond2(stream, answer) !== undefined) {
    stream.close(CANCEL)
    return
  }
  stream.end(headers[':method'] === 'HEAD' ? '' : text)
}

/**
 * Percent-encoded UTF-8, except for printable ASCII without "%" (gRPC over HTTP/2, "Responses"): clients in JavaScript
 * undo no other escapes. Half of a surrogate pair cannot be encoded, and throws.
 */
export function grpcMessage(text: string): string {
  return text.replace(/[\uD800-\uDFFF]/gu, '\uFFFD').replace(/[^\x20-\x24\x26-\x7e]+/gu, encodeURIComponent)
}

interface Body {
  readonly status: number
  readonly type: string
  readonly text: string
  readonly more: Readonly<Record<string, string>>
}

function bodyOf(answer: PilotError | OwnPage, accept = ''): Body {
  const isPage = answer instanceof OwnPage
  const status = isPage ? 200 : answer.httpStatus
  const more = { 'Cache-Control': 'no-store', ...(!isPage && { 'Pilot-Error': answer.code }) }
  const json = /\bjson\b/i.test(accept) || (isPage && !/\bhtml\b/i.test(accept))
  if (json) {
    const { code, message, hint } = answer as PilotError
    const data = isPage ? answer.json : { error: { code, message, hint } }
    return { status, type: 'application/json', text: `${JSON.stringify(data)}\n`, more }
  }
  if (isPage || /\bhtml\b/i.test(accept)) {
    const text = isPage ? answer.html : failurePage(answer)
    return { status, type: 'text/html; charset=utf-8', text, more: { ...webHeaders(false), ...more } }
  }
  const { code, message, hint } = answer
  return { status, type: 'text/plain; charset=utf-8', text: `${status} ${code}\n${message}\n${hint}\n`, more }
}

function failurePage({ code, message, hint, httpStatus }: PilotError): string {
  const status = `${httpStatus} ${STATUS_CODES[httpStatus] ?? ''}`
  return webPage({
    title: status,
    pill: { text: code, kind: 'bad' },
    main: `<div class="card"><p><b>${sentence(message)}</b></p><p>${withCode(sentence(hint))}</p></div>`,
    footer: '<span>This is pilotgate, not the service behind it.</span>',
  })
}

/** Escaped, with a capital letter and a full stop. */
function sentence(text: string): string {
  const capital = /^[a-z]+[ ,]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text
  return escapeHtml(/[.!?]$/.test(capital) ? capital : `${capital}.`)
}

/** Commands in hints are between backticks. */
function withCode(html: string): string {
  return html.replace(/`([^`]*)`/g, '<code>$1</code>')
}

const UNREACHABLE: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOENT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EACCES',
  'ENOTFOUND',
  'EAI_AGAIN',
])
const ENDED: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED'])
const CANCEL = 8 // RFC 9113 §7
const UNAVAILABLE = 14 // grpc.io: worth another try
const GRPC_STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  NOT_TRUSTED: 7,
  KEY_CHANGED: 7,
  DENIED: 7,
  NOT_FOUND: 5,
  USAGE: 3,
  TOO_MANY: 8,
  FAILED: 13,
  BAD_RESPONSE: 13,
}
