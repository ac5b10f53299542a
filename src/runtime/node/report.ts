/** The core's state and events in the terms of overlay.ts. Above: node/node.ts. */
import { formatAddress } from '../../base/address.ts'
import { formatEndpoint, type NodeId } from '../../base/types.ts'
import { fingerprintOf, fingerprintOfText } from '../../crypto/fingerprint.ts'
import type { Instant } from '../../base/types.ts'
import type { NodeEvent } from '../../proto/node/events.ts'
import type { ContestedName, PathView, PeerView, TrustView } from '../../proto/node/views.ts'
import type { KnownPathStatus, NameConflict, OverlayEvent, PathStatus, PeerStatus } from '../overlay.ts'

type Way = 'udp' | 'tcp'

/** The name bound to its key, if any; never the registry's name for it. */
export function peerLabel(peer: PeerView, trust: TrustView): string {
  return trust.hostnameOf(peer.node) ?? formatAddress({ network: 0, node: peer.node })
}

/** @param way how the relay is reached. */
export function peerStatus(
  peer: PeerView,
  trust: TrustView,
  now: Instant,
  reason: string | null,
  way: Way,
): PeerStatus {
  const hostname = trust.hostnameOf(peer.node) ?? null
  const { current } = peer.paths
  const paths = peer.paths.all().toSorted((a, b) => Number(b === current) - Number(a === current))
  return {
    nodeId: peer.node,
    address: formatAddress({ network: 0, node: peer.node }),
    hostname,
    unverifiedName: hostname === null ? (trust.claimOf(peer.node) ?? peer.claim ?? null) : null,
    fingerprint: peer.key === undefined ? null : fingerprintOf(peer.key),
    trusted: trust.isTrusted(peer.node),
    state: peer.state,
    path: peer.connected && current !== undefined ? pathStatus(current, way) : null,
    streams: openStreams(peer),
    bytesIn: peer.bytesIn,
    bytesOut: peer.bytesOut,
    lastHeardMs: peer.heardAt === -Infinity ? null : Math.round(now - peer.heardAt),
    reason,
    paths: peer.connected ? paths.map((path) => knownPathStatus(path, path === current, way)) : [],
  }
}

/** Without ended ones that only answer stragglers. */
function openStreams(peer: PeerView): number {
  let open = 0
  for (const { end } of peer.streams.values()) if (end === undefined) open += 1
  return open
}

function knownPathStatus(path: PathView, isCurrent: boolean, way: Way): KnownPathStatus {
  const state = isCurrent
    ? 'used'
    : path.dead
      ? 'silent'
      : path.answered
        ? 'works'
        : path.probes > 0
          ? 'silent'
          : 'untried'
  return {
    ...pathStatus(path, way),
    state,
    bytesIn: path.bytesIn,
    bytesOut: path.bytesOut,
    lossPercent: lossPercent(path),
  }
}

/** Retransmitted share of the traffic; without traffic, the loss of probes. */
function lossPercent(path: PathView): number | null {
  const [lost, sent] = path.packetsOut > 0 ? [path.packetsResent, path.packetsOut] : [path.probesLost, path.probesOut]
  return sent === 0 ? null : Math.round(10_000 * Math.min(1, lost / sent)) / 100
}

/** @returns undefined for events internal to the node. */
export function overlayEvent(
  event: NodeEvent,
  trust: TrustView,
  { way, reasonOf }: { readonly way: Way; readonly reasonOf: (node: NodeId) => string | undefined },
): OverlayEvent | undefined {
  switch (event.kind) {
    case 'registered':
      return { kind: 'registered', nodeId: event.nodeId, address: formatAddress(event.address) }
    case 'endpoint':
      return { kind: 'endpoint', endpoint: formatEndpoint(event.endpoint) }
    case 'turned_away':
      return {
        kind: 'turned_away',
        node: event.node,
        port: event.port,
        why: event.why,
        from: event.from === undefined ? undefined : formatEndpoint(event.from),
      }
    case 'auth_refused':
      return { kind: 'auth_refused', node: event.node, why: event.why, from: formatEndpoint(event.from) }
    case 'peer':
      return { kind: 'peer', node: event.peer.node, peerName: peerLabel(event.peer, trust), state: event.state }
    case 'path':
      if (event.path !== event.peer.paths.current) return undefined
      return {
        kind: 'path',
        node: event.peer.node,
        peerName: peerLabel(event.peer, trust),
        path: pathStatus(event.path, way),
        reason: reasonOf(event.peer.node),
      }
    case 'way':
      return { kind: 'transport', transport: event.current }
    case 'nat':
      return { kind: 'nat', mapping: event.mapping, filtering: event.filtering }
    case 'registry_refused':
    case 'hostname_refused':
    case 'wish_refused':
    case 'name_bound':
    case 'name_contested':
    case 'request_dropped':
    case 'trust':
      return event
    default:
      return undefined
  }
}

function pathStatus(path: PathView, way: Way): PathStatus {
  return {
    kind: path.kind,
    endpoint: formatEndpoint(path.endpoint),
    transport: path.kind === 'relay' ? way : 'udp',
    rttMs: path.rttMs === undefined ? null : Math.round(path.rttMs * 100) / 100,
    mtu: path.mtu,
  }
}

/** Names that do not mean what a user might expect. */
export function nameConflicts(contested: readonly ContestedName[], trust: TrustView): readonly NameConflict[] {
  return [
    ...contested.map(({ hostname, fingerprint, node, otherFingerprint }) => ({
      hostname,
      fingerprints: [fingerprint],
      other: { nodeId: node, fingerprint: otherFingerprint },
    })),
    ...[...trust.ambiguousNames].map(([hostname, keys]) => ({
      hostname,
      fingerprints: keys.map((key) => fingerprintOfText(key) ?? key),
    })),
  ]
}
