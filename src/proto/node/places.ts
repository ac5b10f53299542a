/**
 * Where trusted peers were reached last, kept across restarts (wire/places-file.ts), to be tried while no registry
 * answers. Otherwise the registry is asked, and nothing is sent to an address that a peer may have left. Above:
 * dialler.ts.
 */
import { toBase64 } from '../../base/bytes.ts'
import type { NodeId } from '../../base/types.ts'
import { MAX_ENDPOINTS, type Place } from '../../wire/places-file.ts'
import type { TrustBook } from '../trust/trust-book.ts'
import type { Peer } from './peer.ts'

export class Places {
  readonly #remembered: ReadonlyMap<NodeId, Place>

  constructor(places: readonly Place[]) {
    this.#remembered = new Map(places.map((place) => [place.nodeId, place]))
  }

  /** Names the remembered endpoints of a peer, if they belong to its key. */
  recall(peer: Peer): void {
    const place = this.#remembered.get(peer.node)
    if (place === undefined || peer.key === undefined || toBase64(peer.key) !== place.publicKey) return
    if (place.extended) peer.markExtended()
    for (const endpoint of place.endpoints) peer.paths.addCandidate(endpoint, 'direct')
  }

  /** For the file: the current or last known endpoints of each trusted peer. */
  present(trust: TrustBook, peers: ReadonlyMap<NodeId, Peer>): readonly Place[] {
    return trust.trusted.flatMap(({ nodeId, publicKey }) => {
      const peer = peers.get(nodeId)
      const now = peer === undefined ? undefined : placeOf(peer, publicKey)
      const before = this.#remembered.get(nodeId)
      return now ?? (before?.publicKey === publicKey ? before : [])
    })
  }
}

function placeOf(peer: Peer, publicKey: string): Place | undefined {
  const { paths, connected, extended, node } = peer
  if (!connected) return undefined
  const ways = paths.all().filter((path) => path.kind !== 'relay' && path.answered && !path.dead)
  if (ways.length === 0) return undefined
  const endpoints = ways
    .toSorted((a, b) => Number(b === paths.current) - Number(a === paths.current))
    .slice(0, MAX_ENDPOINTS)
    .map(({ endpoint: { address, port } }) => ({ address, port }))
  return { nodeId: node, publicKey, endpoints, extended }
}
