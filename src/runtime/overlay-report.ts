/** What the core knows and tells, in the words of overlay.ts. Above: overlay-node.ts. */
import { formatAddress } from '../base/address.ts'
import { formatEndpoint } from '../base/types.ts'
import type { Instant } from '../base/types.ts'
import type { NodeEvent } from '../proto/node/events.ts'
import type { Peer } from '../proto/node/peer.ts'
import type { Path } from '../proto/path/path.ts'
import type { OverlayEvent, PathStatus, PeerStatus } from './overlay.ts'

export function peerLabel (peer: Peer): string {
  return peer.hostname ?? formatAddress({ network: 0, node: peer.node })
}

export function peerStatus (peer: Peer, trusted: boolean, now: Instant): PeerStatus {
  return {
    nodeId: peer.node,
    address: formatAddress({ network: 0, node: peer.node }),
    hostname: peer.hostname ?? null,
    trusted,
    state: peer.state,
    path: peerPath(peer),
    streams: peer.streams.size,
    bytesIn: peer.bytesIn,
    bytesOut: peer.bytesOut,
    lastHeardMs: peer.heardAt === -Infinity ? null : Math.round(now - peer.heardAt),
  }
}

/** Null: none is in use. */
export function peerPath (peer: Peer): PathStatus | null {
  return peer.connected && peer.paths.current !== undefined ? pathStatus(peer.paths.current) : null
}

/** @returns undefined for what is the node's own business. */
export function overlayEvent (event: NodeEvent): OverlayEvent | undefined {
  switch (event.kind) {
    case 'registered': return { kind: 'registered', nodeId: event.nodeId, address: formatAddress(event.address) }
    case 'endpoint': return { kind: 'endpoint', endpoint: formatEndpoint(event.endpoint) }
    case 'turned_away': return { kind: 'turned_away', node: event.node, port: event.port, why: event.why, from: event.from === undefined ? undefined : formatEndpoint(event.from) }
    case 'auth_refused': return { kind: 'auth_refused', node: event.node, why: event.why, from: formatEndpoint(event.from) }
    case 'peer': return { kind: 'peer', node: event.peer.node, peerName: peerLabel(event.peer), state: event.state }
    case 'path':
      if (event.path !== event.peer.paths.current) return undefined
      return { kind: 'path', node: event.peer.node, peerName: peerLabel(event.peer), path: pathStatus(event.path) }
    case 'registry_refused': case 'hostname_refused': case 'wish_refused': case 'trust': return event
    default: return undefined
  }
}

function pathStatus (path: Path): PathStatus {
  return {
    kind: path.kind,
    endpoint: formatEndpoint(path.endpoint),
    rttMs: path.rttMs === undefined ? null : Math.round(path.rttMs * 100) / 100,
    mtu: path.mtu,
  }
}
