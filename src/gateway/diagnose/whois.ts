/** The owner of a local connection, for a backend that sees only `127.0.0.1:PORT`, or a person who sees it in `ss`. */
import { PilotError } from '../../base/errors.ts'
import { formatEndpoint } from '../../base/types.ts'
import { knownPeer } from '../model/known-peer.ts'
import type { PeerSource } from '../model/known-peer.ts'
import { parseListen } from '../model/listen.ts'
import type { WhoisEntry, WhoisRecord } from '../model/records.ts'

/**
 * @param find by the ip:port at its local end.
 * @throws PilotError USAGE if `local` is not ip:port, NOT_FOUND if it is not one of our open connections.
 */
export function whois(find: (end: string) => WhoisEntry | undefined, source: PeerSource, local: string): WhoisRecord {
  const end = parseListen(local.replace(/^\[?::ffff:([\d.]+)\]?:(?=\d+$)/i, '$1:')) // IPv4 as a dual-stack listener shows it
  if (end === undefined || end.port === 0)
    throw new PilotError('USAGE', `${local}: expected IP:PORT, such as 127.0.0.1:40001`, { local })
  const connection = find(formatEndpoint(end))
  if (connection === undefined)
    throw new PilotError(
      'NOT_FOUND',
      `no open connection of this gateway has the local end ${local}`,
      { local },
      undefined,
      '`pilotgate list connections` shows the open ones. Ask while it is open, and for the address that your program sees as its client.',
    )
  const { direction, service, peer, nodeId, openedMs } = connection
  const known = nodeId === null ? undefined : knownPeer(source, nodeId)
  return {
    local,
    direction,
    service,
    peer,
    nodeId,
    address: known?.address ?? null,
    hostname: known?.hostname ?? null,
    publicKey: known?.key ?? null,
    path: known?.path ?? null,
    openedMs,
  }
}
