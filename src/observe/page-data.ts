/** The data that the dashboard polls every second: the usual records, with lists cut to what a page can show. Pure. */
import type {
  ConnectionRecord,
  EndedConnectionRecord,
  ExposedRecord,
  MappedRecord,
  PeerRecord,
  RecentRecord,
  RequestRecord,
  StatusRecord,
} from '../gateway/model/records.ts'

export interface PageData {
  readonly status: Pick<
    StatusRecord,
    | 'version'
    | 'state'
    | 'uptimeMs'
    | 'node'
    | 'udp'
    | 'registry'
    | 'beacon'
    | 'daemon'
    | 'memory'
    | 'config'
    | 'problems'
  >
  readonly totals: {
    readonly peers: number
    readonly connected: number
    readonly connections: number
    readonly mappings: number
    readonly exposures: number
  }
  readonly bytesIn: number // stream payload of all peers that are known now, and of connections that ended
  readonly bytesOut: number
  readonly peers: readonly PeerRecord[]
  readonly mappings: readonly (MappedRecord & { readonly connections: number })[]
  readonly exposures: readonly (ExposedRecord & { readonly connections: number })[]
  readonly connections: readonly ConnectionRecord[]
  readonly ended: readonly EndedConnectionRecord[] // the newest first
  readonly requests: readonly RequestRecord[] // likewise
  readonly history: History // up to now
}

/** Bytes a second of the last minutes, the newest last. */
export interface History {
  readonly everyMs: number
  readonly in: readonly number[]
  readonly out: readonly number[]
}

export function pageData(
  status: StatusRecord,
  peers: readonly PeerRecord[],
  connections: readonly ConnectionRecord[],
  recent: RecentRecord,
  history: History,
): PageData {
  const open = new Map<string, number>()
  for (const { direction, service } of connections)
    open.set(`${direction} ${service}`, (open.get(`${direction} ${service}`) ?? 0) + 1)
  const { version, state, uptimeMs, node, udp, registry, beacon, daemon, memory, config, problems } = status
  const newest = <T>(list: readonly T[]): T[] => list.slice(-MAX_RECENT_ROWS).reverse()
  return {
    status: {
      version,
      state,
      uptimeMs,
      node,
      udp,
      registry,
      beacon,
      daemon,
      memory,
      ...(config !== undefined && { config }),
      ...(problems !== undefined && { problems }),
    },
    totals: {
      peers: peers.length,
      connected: peers.filter((peer) => peer.state === 'connected').length,
      connections: connections.length,
      mappings: status.mappings.length,
      exposures: status.exposures.length,
    },
    bytesIn: recent.traffic.bytesIn,
    bytesOut: recent.traffic.bytesOut,
    peers: [...peers]
      .sort((a, b) => RANK[a.state] - RANK[b.state] || b.bytesIn + b.bytesOut - a.bytesIn - a.bytesOut)
      .slice(0, MAX_ROWS),
    mappings: status.mappings
      .slice(0, MAX_ROWS)
      .map((record) => ({ ...record, connections: open.get(`map ${record.name}`) ?? 0 })),
    exposures: status.exposures
      .slice(0, MAX_ROWS)
      .map((record) => ({ ...record, connections: open.get(`expose ${record.name}`) ?? 0 })),
    connections: connections.slice(-MAX_ROWS).reverse(),
    ended: newest(recent.connections),
    requests: newest(recent.requests),
    history,
  }
}

const RANK = { connected: 0, connecting: 1, unreachable: 2, idle: 3 } as const
/** Rows of a table: no one reads more, and laying them out would burden the browser. */
const MAX_ROWS = 100
/** Of what has passed: the list of connections that ended is longer (`list connections --recent`). */
const MAX_RECENT_ROWS = 10
