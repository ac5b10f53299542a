/**
 * Which web pages may use the front. A browser lets any page send requests to 127.0.0.1 and open WebSockets there, with
 * our trust behind them, so requests that change something or open a two-way channel are accepted only from pages of
 * the same origin, or from configured origins. Only browsers send an Origin. Above: front.ts.
 */
import { PilotError } from '../../base/errors.ts'

/** A browser's information about the origin of a request. */
export interface PageRequest {
  readonly method: string
  readonly upgrades: boolean // WebSocket or another upgrade
  readonly origin: string | undefined // Origin header
  readonly site: string | undefined // Sec-Fetch-Site header
}

/** @param authority Host header or `:authority`. @throws PilotError DENIED. */
export function admitOrigin(
  { method, upgrades, origin, site }: PageRequest,
  authority: string | undefined,
  allowed: readonly string[],
): void {
  if (!upgrades && SAFE.has(method)) return
  if (origin === undefined && (site === undefined || site === 'same-origin' || site === 'none')) return
  if (origin !== undefined && (isSame(origin, authority) || allowed.includes(origin.toLowerCase()))) return
  throw new PilotError(
    'DENIED',
    `a page of ${origin ?? `another site (${site})`} may not ${upgrades ? 'open a connection' : `send ${method}`} here`,
    { origin: origin ?? null },
    undefined,
    'Add the origin to http.origins in the configuration if that page is yours.',
  )
}

/** Either scheme: there may be a TLS proxy in front of us. */
function isSame(origin: string, authority: string | undefined): boolean {
  return authority !== undefined && origin.toLowerCase().replace(/^https?:\/\//, '') === authority.toLowerCase()
}

/** RFC 9110 §9.2.1. A page can send these anywhere, but cannot read answers unless the service allows it. */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])
