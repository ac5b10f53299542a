/** Which peer and port a Host header means. Browsers and curl take every name below .localhost for this machine. */
import { parsePeerName } from '../../base/address.ts'
import { PilotError } from '../../base/errors.ts'

/** A mapping, as far as its name can be asked for. */
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
 * `NAME.pilot.localhost` and `NAME.pilot`, with or without a port, which is ours. A mapping of that name comes before the peer.
 * @throws PilotError NOT_FOUND: also for every other name, so that a page which has its own name lead here gets nothing.
 */
export function destinationOf(authority: string | undefined, mappings: readonly NamedMapping[]): Destination {
  const host = (authority ?? '').replace(/:\d*$/, '').replace(/\.$/, '').toLowerCase()
  const name = /^(.+)\.pilot(?:\.localhost)?$/.exec(host)?.[1]
  if (name === undefined)
    throw new PilotError(
      'NOT_FOUND',
      `"${host}" is no name of a peer here; they end in .pilot.localhost or .pilot, as agent-b.pilot.localhost`,
      { host },
    )
  const mapping = mappings.find((candidate) => candidate.name.toLowerCase() === name)
  if (mapping !== undefined)
    return { service: mapping.name, mapping: mapping.name, peer: mapping.peer, port: mapping.port }
  if (parsePeerName(name) === undefined)
    throw new PilotError('NOT_FOUND', `"${name}" is neither a mapping nor a peer's hostname or node id`, { host })
  return { service: `${name}:${HTTP_PORT}`, peer: name, port: HTTP_PORT }
}

/** What a URL without a port means; the port in the Host header is that of the front. */
const HTTP_PORT = 80
