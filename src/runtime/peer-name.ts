/** Parses peers as people write them, for both kinds of overlay. */
import type { PeerName } from '../base/address.ts'
import { parsePeerName } from '../base/address.ts'
import { PilotError } from '../base/errors.ts'

/** `PEER:PORT`, with the port after the last colon. @throws PilotError USAGE. */
export function parseTarget(target: string): { peer: string; port: number } {
  const colon = target.lastIndexOf(':')
  const port = Number(target.slice(colon + 1))
  if (colon < 1 || !/^\d{1,5}$/.test(target.slice(colon + 1)) || port < 1 || port > 65_535) {
    throw new PilotError('USAGE', `${target}: expected PEER:PORT, with a port of 1 to 65535`)
  }
  return { peer: target.slice(0, colon), port }
}

/** @throws PilotError USAGE. */
export function nameOf(peer: string): PeerName {
  const name = parsePeerName(peer)
  if (name === undefined) throw new PilotError('USAGE', `${peer}: not a hostname, an address or a node id`)
  return name
}
