/** Answers in our own name: what failed, with code and hint, in a form that the client understands. */
import { STATUS_CODES } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { asPilotError, PilotError } from '../../base/errors.ts'
import type { ErrorCode } from '../../base/errors.ts'
import { respond2, writeHead1 } from './guarded.ts'
import { listOf } from './headers.ts'
import type { Hop } from './hop.ts'

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

/** JSON if the client asks for it, otherwise text. A response that has begun can only be cut. */
export function answerFailure(req: IncomingMessage, res: ServerResponse, error: PilotError): void {
  if (res.headersSent) {
    res.destroy()
    return
  }
  const { type, text } = bodyOf(error, listOf(req.rawHeaders, 'accept').join())
  // The rest of a request body would be read as the next request, so the client must reconnect.
  const rest = req.complete ? {} : { Connection: 'close' }
  writeHead1(res, error.httpStatus, STATUS_CODES[error.httpStatus], {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    'Pilot-Error': error.code,
    ...rest,
  })
  res.end(req.method === 'HEAD' ? '' : text)
}

/** The same on an HTTP/2 stream; a gRPC client gets a gRPC status, which it would otherwise have to guess. */
export function answerFailure2(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, error: PilotError): void {
  if (stream.destroyed || stream.closed) return
  if (stream.headersSent) {
    stream.close(CANCEL)
    return
  }
  if (headers['content-type']?.startsWith('application/grpc') === true) {
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
  const { type, text } = bodyOf(error, headers.accept)
  const answer: OutgoingHttpHeaders = {
    ':status': error.httpStatus,
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'pilot-error': error.code,
  }
  if (respond2(stream, answer) !== undefined) {
    stream.close(CANCEL)
    return
  }
  stream.end(headers[':method'] === 'HEAD' ? '' : text)
}

/** Percent-encoded UTF-8. Half of a surrogate pair cannot be encoded, and throws. */
function grpcMessage(text: string): string {
  return encodeURIComponent(text.replace(/[\uD800-\uDFFF]/gu, '\uFFFD'))
}

function bodyOf(
  { code, message, hint, httpStatus }: PilotError,
  accept: string | undefined,
): { type: string; text: string } {
  if (/\bjson\b/i.test(accept ?? ''))
    return { type: 'application/json', text: `${JSON.stringify({ error: { code, message, hint } })}\n` }
  return { type: 'text/plain; charset=utf-8', text: `${httpStatus} ${code}\n${message}\n${hint}\n` }
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
