/**
 * What may be asked: method and path → one call of `GatewayControl` → JSON. No socket here, so tests call it directly.
 * A success is the record itself; a failure is `{"error":{code,message,hint,details}}` with the status of the error table.
 */
import type { GatewayControl } from '../gateway/types.ts'
import { PilotError, asPilotError } from '../base/errors.ts'

export interface AdminRequest {
  readonly method: string
  readonly path: string
  readonly body: string
}

export interface AdminResponse {
  readonly status: number
  readonly body: unknown
  readonly allow?: string // for 405
}

/** Never rejects: what goes wrong is the response. */
export async function answer (control: GatewayControl, { method, path, body }: AdminRequest): Promise<AdminResponse> {
  try {
    const name = path.replace(/\?.*$/s, '')
    const route = ROUTES[name]
    if (route === undefined || !Object.hasOwn(ROUTES, name)) return failure(new PilotError('NOT_FOUND', `there is nothing at ${name}`), 404)
    if (route.method !== method) return { ...failure(new PilotError('USAGE', `${name} takes ${route.method}`), 405), allow: route.method }
    return { status: 200, body: await route.call(control, route.method === 'POST' ? parseBody(body) : {}) }
  } catch (error) {
    return failure(asPilotError(error))
  }
}

export function failure (error: PilotError, status = error.httpStatus): AdminResponse {
  const { code, message, hint, details } = error
  return { status, body: { error: { code, message, hint, details } } }
}

/** The largest request body, bytes; the largest meant to be sent is a trust request with a long reason. */
export const MAX_BODY_BYTES = 16_384

type Body = Readonly<Record<string, unknown>>

interface Route {
  readonly method: 'GET' | 'POST'
  readonly call: (control: GatewayControl, body: Body) => unknown
}

function get (call: (control: GatewayControl) => unknown): Route {
  return { method: 'GET', call }
}

function post (call: (control: GatewayControl, body: Body) => unknown): Route {
  return { method: 'POST', call }
}

function parseBody (text: string): Body {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new PilotError('USAGE', 'the request body is not JSON')
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new PilotError('USAGE', 'the request body is not a JSON object')
  return value as Body
}

function textOf (body: Body, key: string, most: number): string {
  const value = body[key]
  if (typeof value === 'string' && value.length >= 1 && value.length <= most) return value
  const found = value === undefined || value === '' ? 'is missing' : typeof value === 'string' ? `has ${value.length} characters` : 'is no text'
  throw new PilotError('USAGE', `"${key}" ${found}; expected a text of 1 to ${most} characters`)
}

function optionalText (body: Body, key: string, most: number): string | undefined {
  return body[key] === undefined ? undefined : textOf(body, key, most)
}

function numberOf (body: Body, key: string, least: number, most: number): number {
  const value = body[key]
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value
  throw new PilotError('USAGE', `"${key}": expected a whole number from ${least} to ${most}`)
}

function peerOf (body: Body): string {
  return textOf(body, 'peer', MAX_PEER_CHARS)
}

const MAX_PEER_CHARS = 255
const MAX_NAME_CHARS = 300 // of a mapping: a peer and a port
const MAX_REASON_CHARS = 1024
const MAX_PING_MS = 60_000

const ROUTES: Readonly<Record<string, Route>> = {
  '/v1/status': get((control) => control.status()),
  '/v1/peers': get((control) => control.peers()),
  '/v1/mappings': get((control) => control.mappings()),
  '/v1/exposes': get((control) => control.exposes()),
  '/v1/connections': get((control) => control.connections()),
  '/v1/doctor': get((control) => control.doctor()),
  '/v1/hosts': get((control) => control.hosts()),
  '/v1/resolve': post((control, body) => control.resolve(textOf(body, 'name', MAX_PEER_CHARS))),
  '/v1/explain': post((control, body) => control.explain(textOf(body, 'target', MAX_PEER_CHARS))),
  '/v1/trust': get((control) => control.trusted()),
  '/v1/trust/pending': get((control) => control.pending()),
  '/v1/ping': post((control, body) => control.ping(peerOf(body), numberOf(body, 'seq', 0, 0xffff_ffff), numberOf(body, 'timeoutMs', 1, MAX_PING_MS))),
  '/v1/trust/request': post((control, body) => control.requestTrust(peerOf(body), body['reason'] === undefined || body['reason'] === '' ? '' : textOf(body, 'reason', MAX_REASON_CHARS))),
  '/v1/trust/approve': post((control, body) => control.approveTrust(peerOf(body))),
  '/v1/trust/reject': post((control, body) => control.rejectTrust(peerOf(body))),
  '/v1/trust/revoke': post((control, body) => control.revokeTrust(peerOf(body))),
  '/v1/drain': post((control, body) => control.drain(optionalText(body, 'expose', MAX_NAME_CHARS))),
  '/v1/resume': post((control, body) => control.resume(optionalText(body, 'expose', MAX_NAME_CHARS))),
}
