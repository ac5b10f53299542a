/**
 * The routes: method and path → one call of `AdminControl` → JSON. No socket here, so tests call it directly. A success
 * is the record itself; a failure is `{"error":{code,message,hint,details}}` with the status of the error table.
 */
import { PilotError, asPilotError } from '../base/errors.ts'
import { type Body, get, numberOf, optionalText, parseBody, post, put, type Route, textOf } from './body.ts'
import { MESSAGE_ROUTES } from './message-routes.ts'
import { GUEST_LABEL_FORM, isGuestLabel } from '../gateway/model/guest-label.ts'
import type { AdminControl, Edit } from '../gateway/control.ts'

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

/** Never rejects: errors become the response. */
export async function answer(control: AdminControl, { method, path, body }: AdminRequest): Promise<AdminResponse> {
  try {
    const name = path.replace(/\?.*$/s, '')
    const routes = ROUTES[name]
    if (routes === undefined || !Object.hasOwn(ROUTES, name))
      return failure(new PilotError('NOT_FOUND', `there is nothing at ${name}`), 404)
    const route = (Array.isArray(routes) ? routes : [routes]).find((candidate) => candidate.method === method)
    if (route === undefined) {
      const allow = (Array.isArray(routes) ? routes : [routes]).map((candidate) => candidate.method).join(', ')
      return { ...failure(new PilotError('USAGE', `${name} accepts ${allow} only`), 405), allow }
    }
    return { status: 200, body: await route.call(control, route.method === 'GET' ? {} : parseBody(body)) }
  } catch (error) {
    return failure(asPilotError(error))
  }
}

export function failure(error: PilotError, status = error.httpStatus): AdminResponse {
  const { code, message, hint, details } = error
  return { status, body: { error: { code, message, hint, details } } }
}

/** The largest request body, bytes; the largest legitimate one is a configuration file with thousands of entries. */
export const MAX_BODY_BYTES = 1_048_576

function versionOf(body: Body): number {
  return numberOf(body, 'version', 1, Number.MAX_SAFE_INTEGER)
}

function editOf(body: Body): Edit {
  const { save } = body
  if (save !== undefined && typeof save !== 'boolean') throw new PilotError('USAGE', '"save": expected true or false')
  return {
    name: optionalText(body, 'name', MAX_NAME_CHARS),
    save,
    ifVersion: body['version'] === undefined ? undefined : versionOf(body),
  }
}

function labelOf(body: Body): string | undefined {
  const label = optionalText(body, 'label', MAX_NAME_CHARS)
  if (label === undefined || isGuestLabel(label)) return label
  throw new PilotError('USAGE', `"label": expected ${GUEST_LABEL_FORM}`)
}

function peerOf(body: Body): string {
  return textOf(body, 'peer', MAX_PEER_CHARS)
}

const MAX_PEER_CHARS = 255
const MAX_NAME_CHARS = 300 // of a mapping: a peer and a port
const MAX_SPEC_CHARS = 8_192 // an exposure for hundreds of peers
const MAX_PATH_CHARS = 4_096
/** A shorter one would expire before it is copied; a longer one is a password rather than an invitation. */
export const MIN_TICKET_MS = 10_000
export const MAX_TICKET_MS = 7 * 86_400_000
/** Shorter terms end before they are useful; longer ones are better left without an end. */
export const MIN_TRUST_MS = 60_000
export const MAX_TRUST_MS = 365 * 86_400_000
const MAX_REASON_CHARS = 1024
const MAX_PING_MS = 60_000
export const MIN_BENCH_BYTES = 1_000
export const MAX_BENCH_BYTES = 100_000_000_000
export const MIN_BENCH_MS = 1_000
/** Anything longer is a load on the peer rather than a measurement. */
export const MAX_BENCH_MS = 300_000

/** Every path, and the gateway call behind it. */
export const ROUTES: Readonly<Record<string, Route | readonly Route[]>> = {
  '/v1/status': get((control) => control.status()),
  '/v1/peers': get((control) => control.peers()),
  '/v1/mappings': get((control) => control.mappings()),
  '/v1/exposures': get((control) => control.exposures()),
  '/v1/connections': get((control) => control.connections()),
  '/v1/recent': get((control) => control.recent()),
  '/v1/doctor': [
    get((control) => control.doctor()),
    post((control, body) => control.explain(textOf(body, 'target', MAX_PEER_CHARS))),
  ],
  '/v1/hosts': get((control) => control.hosts()),
  '/v1/resolve': post((control, body) => control.resolve(textOf(body, 'name', MAX_PEER_CHARS))),
  '/v1/trust': get((control) => control.trusted()),
  '/v1/trust/pending': get((control) => control.pending()),
  '/v1/ping': post((control, body) =>
    control.ping(peerOf(body), numberOf(body, 'seq', 0, 0xffff_ffff), numberOf(body, 'timeoutMs', 1, MAX_PING_MS)),
  ),
  '/v1/bench': post((control, body) =>
    control.bench(peerOf(body), {
      bytes: numberOf(body, 'bytes', MIN_BENCH_BYTES, MAX_BENCH_BYTES),
      forMs: numberOf(body, 'forMs', MIN_BENCH_MS, MAX_BENCH_MS),
    }),
  ),
  '/v1/whois': post((control, body) => control.whois(textOf(body, 'local', MAX_PEER_CHARS))),
  '/v1/trust/request': post((control, body) =>
    control.requestTrust(
      peerOf(body),
      body['reason'] === undefined || body['reason'] === '' ? '' : textOf(body, 'reason', MAX_REASON_CHARS),
    ),
  ),
  '/v1/trust/approve': post((control, body) =>
    control.approveTrust(
      peerOf(body),
      body['forMs'] === undefined ? undefined : numberOf(body, 'forMs', MIN_TRUST_MS, MAX_TRUST_MS),
    ),
  ),
  '/v1/trust/reject': post((control, body) => control.rejectTrust(peerOf(body))),
  '/v1/trust/revoke': post((control, body) => control.revokeTrust(peerOf(body))),
  '/v1/tickets': [
    get((control) => control.tickets()),
    post((control, body) =>
      control.invite(
        optionalText(body, 'service', MAX_NAME_CHARS),
        numberOf(body, 'forMs', MIN_TICKET_MS, MAX_TICKET_MS),
        labelOf(body),
      ),
    ),
  ],
  '/v1/tickets/cancel': post((control, body) => control.cancelTicket(textOf(body, 'ticket', MAX_NAME_CHARS))),
  '/v1/tickets/redeem': post((control, body) => control.redeem(textOf(body, 'ticket', MAX_SPEC_CHARS))),
  '/v1/config': [get((control) => control.config()), put((control, body) => control.replace(versionOf(body), body))],
  '/v1/config/settings': get((control) => control.settings()),
  '/v1/config/reload': post((control) => control.reload()),
  '/v1/config/diff': post((control, body) =>
    control.diff(textOf(body, 'file', MAX_PATH_CHARS), textOf(body, 'text', MAX_BODY_BYTES)),
  ),
  '/v1/map': post((control, body) => control.map(textOf(body, 'spec', MAX_SPEC_CHARS), editOf(body))),
  '/v1/unmap': post((control, body) => control.unmap(textOf(body, 'name', MAX_NAME_CHARS), editOf(body))),
  '/v1/expose': post((control, body) => control.expose(textOf(body, 'spec', MAX_SPEC_CHARS), editOf(body))),
  '/v1/unexpose': post((control, body) => control.unexpose(textOf(body, 'name', MAX_NAME_CHARS), editOf(body))),
  ...MESSAGE_ROUTES,
  '/v1/down': post((control) => control.down()),
  '/v1/drain': post((control, body) => control.drain(optionalText(body, 'exposure', MAX_NAME_CHARS))),
  '/v1/resume': post((control, body) => control.resume(optionalText(body, 'exposure', MAX_NAME_CHARS))),
}
