/**
 * `host=rewrite`: the server sees its own address as `Host`, and as `Origin` of its own pages; its redirects to itself
 * lead back to the address that the client used. Such servers check `Host` against DNS rebinding, so that check is made
 * here instead: only addresses, and names that the public DNS cannot hold, are accepted. Above: headers.ts, exposed.ts,
 * mapped.ts.
 */
import { isIP } from 'node:net'
import { PilotError } from '../../base/errors.ts'
import { parsePeerName } from '../../base/address.ts'
import { nameBelow } from '../model/peer-host.ts'

/** @param authority Host header or `:authority`. @throws PilotError DENIED. */
export function admitHost(authority: string | undefined, domain: string): void {
  const host = (authority ?? '')
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase()
  const isLocal = host === '' || host === 'localhost' || host.endsWith('.localhost') || isIP(host) !== 0
  if (isLocal || nameBelow(host, domain) !== undefined || parsePeerName(host) !== undefined) return
  throw new PilotError(
    'DENIED',
    `"${host}" is a name of the public DNS, and host=rewrite accepts none`,
    { host },
    undefined,
    'Use localhost, the IP address, or a name below .localhost.',
  )
}

/** The `Origin` of the server's own pages follows its `Host`; every other stays, for the server to judge. */
export function originFor(origin: string, authority: string, presents: string): string {
  return isUnder(origin, authority) ? `http://${presents}` : origin
}

/** A redirect of the server to itself, with the address that the client used. */
export function locationFor(location: string, authority: string, presents: string): string {
  const own = `http://${presents}`
  if (!location.startsWith(own)) return location
  const rest = location.slice(own.length)
  return rest === '' || /^[/?#]/.test(rest) ? `http://${authority}${rest}` : location
}

function isUnder(origin: string, authority: string): boolean {
  return origin.toLowerCase().replace(/^https?:\/\//, '') === authority.toLowerCase()
}
