/** The rendezvous in numbers, as JSON and as Prometheus text. Beside: status-page.ts, which shows the JSON. */
import type { BeaconServer } from './beacon-server.ts'
import type { WssServer } from './wss-server.ts'
import type { BeaconCounters } from './beacon/beacon.ts'
import type { RegistryCounters } from './registry/registry.ts'
import { packageVersion } from '../runtime/files/package-file.ts'

export type BeaconNumbers = BeaconCounters & BeaconServer['relayCounters'] & WssServer['counters']

export interface Status {
  healthy(): boolean // false: the store refuses writes
  counters(): { readonly registry: RegistryCounters; readonly beacon: BeaconNumbers }
  connections(): number // to the registry, now
  beaconNodes(): number // node ids the beacon could relay to
  linkedNodes(): number // of these, by WebSocket
  fingerprint(): string // of the TLS certificate in use
}

/** The totals of the reference's `/api/stats`, without its lists of nodes and edges; and what this rendezvous is. */
export function statistics(status: Status, uptimeSec: number): object {
  const { registry, beacon } = status.counters()
  return {
    total_nodes: registry.accounts,
    active_nodes: registry.liveNodes,
    total_trust_links: registry.trustPairs,
    total_requests: registry.requests,
    networks: registry.networks,
    connections: status.connections(),
    refusals: registry.refusals,
    rate_limited: registry.rateLimited,
    beacon_nodes: status.beaconNodes(),
    websocket_nodes: status.linkedNodes(),
    punches: beacon.punches,
    relayed_frames: beacon.relayed,
    relayed_bytes: beacon.relayedBytes,
    uptime_secs: uptimeSec,
    healthy: status.healthy(),
    version: packageVersion(),
    tls_fingerprint: status.fingerprint(),
  }
}

/** Prometheus text, version 0.0.4. */
export function metrics(status: Status, uptimeSec: number): string {
  const { registry, beacon } = status.counters()
  const lines: string[] = []
  const add = (type: 'gauge' | 'counter', name: string, help: string, value: number): void => {
    lines.push(`# HELP pilotgate_${name} ${help}`, `# TYPE pilotgate_${name} ${type}`, `pilotgate_${name} ${value}`)
  }
  add('gauge', 'healthy', 'Whether the store accepts writes.', status.healthy() ? 1 : 0)
  add('gauge', 'uptime_seconds', 'Since the rendezvous started.', uptimeSec)
  add('gauge', 'registry_nodes', 'Nodes heard from within three minutes.', registry.liveNodes)
  add('gauge', 'registry_accounts', 'Node ids ever assigned.', registry.accounts)
  add('gauge', 'registry_trust_pairs', 'Pairs in which at least one side declared trust.', registry.trustPairs)
  add('gauge', 'registry_networks', 'Networks, not counting the backbone.', registry.networks)
  add('gauge', 'registry_connections', 'TCP connections to the registry.', status.connections())
  add('counter', 'registry_requests_total', 'Requests handled.', registry.requests)
  add('counter', 'registry_refusals_total', 'Requests answered with an error.', registry.refusals)
  add('counter', 'registry_rate_limited_total', 'Requests refused by a rate limit.', registry.rateLimited)
  add('counter', 'registry_reaped_total', 'Nodes removed because they were silent.', registry.reaped)
  add('gauge', 'beacon_nodes', 'Node ids the beacon could relay to.', status.beaconNodes())
  add('gauge', 'beacon_websocket_nodes', 'Of these, nodes without UDP that use a WebSocket.', status.linkedNodes())
  for (const [name, value] of Object.entries(beacon)) {
    add(
      'counter',
      `beacon_${name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}_total`,
      BEACON_HELP[name as keyof BeaconNumbers],
      value,
    )
  }
  return `${lines.join('\n')}\n`
}

/** Exported for the table of docs/rendezvous.md. */
export const BEACON_HELP: Readonly<Record<keyof BeaconNumbers, string>> = {
  too_short: 'Datagrams that are shorter than their type needs.',
  bad_address: 'Datagrams with an address that cannot be one.',
  unknown_type: 'Datagrams of an unknown type.',
  notForBeacons: 'Datagrams that only nodes receive.',
  discovers: 'Questions of nodes for their own address.',
  entriesRefused: 'Nodes not remembered because the table is full.',
  entriesUnknown: 'Nodes not remembered because no registry vouches for them.',
  takeovers: 'Nodes that moved to another address.',
  takeoversRefused: 'Claims of a node id from another address that were refused.',
  syncs: 'Lists of node ids from other beacons.',
  syncsIgnored: 'Such lists from addresses that are not our peers.',
  punches: 'Hole punches arranged between two nodes.',
  punchesLimited: 'Hole punches refused by a rate limit.',
  punchesRefused: 'Hole punches of nodes that may not ask for them.',
  punchesUnknown: 'Hole punches to nodes that are not here.',
  relayed: 'Frames relayed to nodes here.',
  relayedBytes: 'Bytes of these frames.',
  forwarded: 'Frames passed on to another beacon.',
  relaysForged: 'Frames whose sender is not the node it claims to be.',
  relaysLinkFull: 'Frames dropped because a node without UDP reads too slowly.',
  relaysUnknown: 'Frames to nodes that are nowhere.',
  relaysOverRate: 'Frames dropped because their sender is over its rate.',
  relaysQueueFull: 'Frames dropped because their sender has too many waiting.',
  relaysNoRoom: 'Frames dropped because the socket took no more.',
  linksRefused: 'WebSockets closed because the client did not prove its node id.',
  linksLimited: 'Connections to the WebSocket port closed because of a limit.',
}
