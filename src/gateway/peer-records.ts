/** Peers and their paths as records: for people, --json and the admin socket. */
import { formatAddress } from '../base/address.ts'
import type { Instant } from '../base/types.ts'
import { formatEndpoint } from '../base/types.ts'
import type { Peer } from '../proto/node/peer.ts'
import type { Path } from '../proto/path/path.ts'
import type { KnownPathRecord, PathRecord, PeerRecord } from './types.ts'

export function peerRecord (peer: Peer, now: Instant, trusted: boolean, reason: string | undefined): PeerRecord {
  const { current } = peer.paths
  const paths = peer.paths.all().toSorted((a, b) => Number(b === current) - Number(a === current))
  return {
    nodeId: peer.node,
    address: formatAddress({ network: 0, node: peer.node }),
    hostname: peer.hostname ?? null,
    trusted,
    state: peer.state,
    path: peer.connected && current !== undefined ? pathRecord(current) : null,
    streams: peer.streams.size,
    bytesIn: peer.bytesIn,
    bytesOut: peer.bytesOut,
    lastHeardMs: peer.heardAt === -Infinity ? null : Math.round(now - peer.heardAt),
    reason: reason ?? null,
    paths: peer.connected ? paths.map((path) => knownPathRecord(path, path === current)) : [],
  }
}

export function pathRecord (path: Path): PathRecord {
  return {
    kind: path.kind,
    endpoint: formatEndpoint(path.endpoint),
    rttMs: path.rttMs === undefined ? null : Math.round(path.rttMs * 100) / 100,
    mtu: path.mtu,
  }
}

function knownPathRecord (path: Path, isCurrent: boolean): KnownPathRecord {
  const state = isCurrent ? 'used' : path.dead ? 'silent' : path.answered ? 'works' : path.probes > 0 ? 'silent' : 'untried'
  return { ...pathRecord(path), state, bytesIn: path.bytesIn, bytesOut: path.bytesOut, lossPercent: lossPercent(path) }
}

/** Of traffic what had to be sent again; of a path without traffic what probes found. */
function lossPercent (path: Path): number | null {
  const [lost, sent] = path.packetsOut > 0 ? [path.packetsResent, path.packetsOut] : [path.probesLost, path.probesOut]
  return sent === 0 ? null : Math.round(10_000 * Math.min(1, lost / sent)) / 100
}
