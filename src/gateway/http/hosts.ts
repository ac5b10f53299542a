/** Which peer and port a Host header means. Browsers and curl resolve every name below .localhost to this machine. */
import { parsePeerName } from '../../base/address.ts'
import { PilotError } from '../../base/errors.ts'
import { HTTP_PORT, nameBelow } from '../model/peer-host.ts'

/** A mapping that can be requested by name. */
export interface NamedMapping {
  readonly name: string
  readonly peer: string
  readonly port: number
}

export interface Destination {
  readonly service: string // name of the mapping, or PEER:PORT
  readonly mapping?: string
  readonly peer: string
  readonly port: number // overlay port
}

/**
 * `NAME.DOMAIN.localhost` and `NAME.DOMAIN`, with or without our port. A mapping of that name takes precedence over the
 * peer.
 * @param peerOutside the peer that any other host name means, such as `alice` where we are the client's proxy.
 * @throws PilotError NOT_FOUND: also for every other name, so that a page whose own name resolves to us gets nothing.
 */
export function destinationOf(
  authority: string | undefined,
  mappings: readonly NamedMapping[],
  domain: string,
  peerOutside: (host: string) => string | undefined = () => undefined,
): Destination {
  const host = (authority ?? '').replace(/:\d*$/, '').replace(/\.$/, '').toLowerCase()
  const name = nameBelow(host, domain)
  const outside = name === undefined ? peerOutside(host) : undefined
  if (outside !== undefined) return { service: `${outside}:${HTTP_PORT}`, peer: outside, port: HTTP_PORT }
  if (name === undefined || name === '')
    throw new PilotError(
      'NOT_FOUND',
      `"${host}" is not the name of a peer here; those end in .${domain}.localhost or .${domain}, as agent-b.${domain}.localhost`,
      { host },
    )
  const mapping = mappings.find((candidate) => candidate.name.toLowerCase() === name)
  if (mapping !== undefined)
    return { service: mapping.name, mapping: mapping.name, peer: mapping.peer, port: mapping.port }
  if (parsePeerName(name) === undefined)
    throw new PilotError('NOT_FOUND', `"${name}" is neither a mapping nor a peer's hostname or node id`, { host })
  return { service: `${name}:${HTTP_PORT}`, peer: name, port: HTTP_PORT }
}
