/**
 * The state of a gateway in the text format of Prometheus (0.0.4). Pure. Names are `pilotgate_…`, units are in the
 * name. Cardinality is bounded: at most MAX_SERIES peers and services have their own labels, by name; the rest is
 * summed under "other".
 */
import type { ConnectionRecord, PeerRecord, StatusRecord } from '../gateway/model/records.ts'

export function metricsText(
  status: StatusRecord,
  peers: readonly PeerRecord[],
  connections: readonly ConnectionRecord[],
  loopDelaySeconds: number,
): string {
  const out = new MetricsWriter()
  ofProcess(out, status, loopDelaySeconds)
  ofGateway(out, status)
  ofServices(out, status, connections)
  ofPeers(out, peers)
  out.family('pilotgate_events_total', 'counter', 'Internal events by kind, for troubleshooting.')
  for (const [kind, count] of Object.entries(status.counters)
    .filter(([name]) => !OWN_FAMILY.has(name))
    .slice(0, MAX_EVENTS))
    out.sample({ kind }, count)
  return out.text
}

function ofProcess(out: MetricsWriter, { uptimeMs, memory }: StatusRecord, loopDelaySeconds: number): void {
  const { user, system } = process.cpuUsage()
  out.single('process_cpu_seconds_total', 'counter', 'CPU time of the process, in seconds.', (user + system) / 1e6)
  out.single('process_resident_memory_bytes', 'gauge', 'Resident memory, in bytes.', memory.rssBytes)
  out.single(
    'process_start_time_seconds',
    'gauge',
    'Start of the gateway, in seconds since 1970.',
    Math.round((Date.now() - uptimeMs) / 1000),
  )
  out.single('nodejs_heap_size_used_bytes', 'gauge', 'Heap of JavaScript in use, in bytes.', memory.heapBytes)
  out.single(
    'nodejs_eventloop_lag_p99_seconds',
    'gauge',
    '99th percentile of the event loop delay since the start, in seconds.',
    loopDelaySeconds,
  )
}

function ofGateway(out: MetricsWriter, status: StatusRecord): void {
  const { counters } = status
  out.family('pilotgate_info', 'gauge', 'Always 1; version and node.')
  out.sample({ version: status.version, node_id: String(status.node.nodeId), hostname: status.node.hostname ?? '' }, 1)
  out.family('pilotgate_state', 'gauge', '1 for the current state of the gateway.')
  for (const state of ['starting', 'ready', 'draining']) out.sample({ state }, status.state === state ? 1 : 0)
  if (status.registry !== null)
    out.single(
      'pilotgate_registered',
      'gauge',
      '1 while registered with the registry.',
      status.registry.state === 'registered' ? 1 : 0,
    )
  if (status.daemon !== null)
    out.single(
      'pilotgate_daemon_connected',
      'gauge',
      '1 while the daemon answers.',
      status.daemon.state === 'connected' ? 1 : 0,
    )
  if (status.config !== undefined) {
    out.single('pilotgate_config_version', 'gauge', 'Configurations applied since the start.', status.config.version)
    out.single(
      'pilotgate_config_error',
      'gauge',
      '1 while the current configuration file is not in force.',
      status.config.error === null ? 0 : 1,
    )
  }
  out.family('pilotgate_connections_total', 'counter', 'Connections carried, by direction.')
  out.sample({ direction: 'map' }, counters['connections_mapped'] ?? 0)
  out.sample({ direction: 'expose' }, counters['connections_exposed'] ?? 0)
  out.single(
    'pilotgate_connections_failed_total',
    'counter',
    'Connections reset because the other end could not be reached.',
    counters['connections_failed'] ?? 0,
  )
  out.single(
    'pilotgate_connections_denied_total',
    'counter',
    'Connections refused because the peer is not allowed there.',
    counters['connections_denied'] ?? 0,
  )
  out.single(
    'pilotgate_faults_total',
    'counter',
    'Exceptions contained inside pilotgate; each is a bug worth reporting.',
    counters['faults'] ?? 0,
  )
}

function ofServices(out: MetricsWriter, status: StatusRecord, connections: readonly ConnectionRecord[]): void {
  const services = [
    ...status.mappings.map(({ name, draining }) => ({ direction: 'map', name, draining })),
    ...status.exposures.map(({ name, draining }) => ({ direction: 'expose', name, draining })),
  ]
  const open = new Map<string, number>()
  for (const { direction, service } of connections)
    open.set(`${direction} ${service}`, (open.get(`${direction} ${service}`) ?? 0) + 1)
  const shown = services.slice(0, MAX_SERIES)
  out.family('pilotgate_service_up', 'gauge', '1 while the mapping or exposure accepts new connections.')
  for (const { direction, name, draining } of shown) out.sample({ direction, service: name }, draining === true ? 0 : 1)
  out.family(
    'pilotgate_open_connections',
    'gauge',
    'Open connections of each mapping and exposure; "other" counts removed services and those beyond the limit.',
  )
  let rest = connections.length
  for (const { direction, name } of shown) {
    const count = open.get(`${direction} ${name}`) ?? 0
    rest -= count
    out.sample({ direction, service: name }, count)
  }
  out.sample({ direction: 'any', service: 'other' }, rest)
  out.single(
    'pilotgate_relay_by_tcp',
    'gauge',
    '1 while the relay is reached by TCP, because UDP is dropped.',
    status.beacon?.transport === 'tcp' ? 1 : 0,
  )
  out.family(
    'pilotgate_mapping_peer_up',
    'gauge',
    'For mappings to several peers: 1 while the peer accepts connections and its probe succeeds.',
  )
  const behind = status.mappings.flatMap(({ name, peers = [] }) =>
    peers.map(({ peer, state }) => ({ service: name, peer, state })),
  )
  for (const { service, peer, state } of behind.slice(0, MAX_SERIES))
    out.sample({ service, peer }, state === 'up' ? 1 : 0)
}

function ofPeers(out: MetricsWriter, peers: readonly PeerRecord[]): void {
  // The busiest come first; the end of a long list is idle.
  const sorted = [...peers].sort((a, b) => b.bytesIn + b.bytesOut - a.bytesIn - a.bytesOut)
  const shown = sorted
    .slice(0, MAX_SERIES)
    .map((peer) => ({ peer, label: { peer: peer.hostname ?? peer.address, node: String(peer.nodeId) } }))
  const rest = sorted.slice(MAX_SERIES)
  const sum = (of: (peer: PeerRecord) => number): number => rest.reduce((total, peer) => total + of(peer), 0)
  const perPeer = (name: string, type: 'gauge' | 'counter', help: string, of: (peer: PeerRecord) => number): void => {
    out.family(name, type, help)
    for (const { peer, label } of shown) out.sample(label, of(peer))
    if (rest.length > 0) out.sample({ peer: 'other', node: '' }, sum(of))
  }
  out.single('pilotgate_peers', 'gauge', 'Peers that this node currently knows.', peers.length)
  perPeer('pilotgate_peer_connected', 'gauge', '1 while the tunnel to the peer is up.', (peer) =>
    peer.state === 'connected' ? 1 : 0,
  )
  perPeer('pilotgate_peer_streams', 'gauge', 'Open streams of the peer.', (peer) => peer.streams)
  perPeer(
    'pilotgate_peer_received_bytes_total',
    'counter',
    'Payload received from the peer, in bytes.',
    (peer) => peer.bytesIn,
  )
  perPeer('pilotgate_peer_sent_bytes_total', 'counter', 'Payload sent to the peer, in bytes.', (peer) => peer.bytesOut)
  out.family('pilotgate_path_peers', 'gauge', 'Connected peers by kind of path.')
  for (const kind of PATHS) out.sample({ path: kind }, peers.filter(({ path }) => path?.kind === kind).length)
  out.family('pilotgate_peer_path_rtt_seconds', 'gauge', 'Round-trip time of the path in use, in seconds.')
  for (const { peer, label } of shown) {
    if (peer.path !== null && peer.path.rttMs !== null)
      out.sample({ ...label, path: peer.path.kind }, peer.path.rttMs / 1000)
  }
}

class MetricsWriter {
  #name = ''
  readonly #lines: string[] = []

  get text(): string {
    return `${this.#lines.join('\n')}\n`
  }

  /** The metric that `sample` adds to from now on. */
  family(name: string, type: 'gauge' | 'counter', help: string): void {
    this.#name = name
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
  }

  sample(labels: Readonly<Record<string, string>>, value: number): void {
    const inside = Object.entries(labels)
      .map(([key, text]) => `${key}="${escape(text)}"`)
      .join(',')
    this.#lines.push(`${this.#name}${inside === '' ? '' : `{${inside}}`} ${value}`)
  }

  single(name: string, type: 'gauge' | 'counter', help: string, value: number): void {
    this.family(name, type, help)
    this.sample({}, value)
  }
}

function escape(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

const PATHS = ['lan', 'direct', 'punched', 'relay'] as const
/** Peers, and services, with their own series: four and two each. */
const MAX_SERIES = 500
/** Kinds of events are our own fixed names: there are fewer than this. */
const MAX_EVENTS = 200
/** Counters already reported above. */
const OWN_FAMILY: ReadonlySet<string> = new Set([
  'connections_mapped',
  'connections_exposed',
  'connections_failed',
  'connections_denied',
  'faults',
])
