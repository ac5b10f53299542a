/**
 * The records of a gateway. They are public (events, admin socket, --json), so fields may be added, but never renamed
 * or removed.
 */
import type { ErrorCode } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { NatStatus, OverlayStatus, PathKind, PathStatus, PeerStatus } from '../../runtime/overlay.ts'
import type { IdentityKind, Limits } from './expose-spec.ts'

export interface MappedRecord {
  readonly name: string
  readonly local: string // 127.77.0.2:80
  readonly peer: string
  readonly remote: string // 0:0000.0000.0002:80, or PEER:80 while the peer's address is not known yet
  readonly protocol: 'tcp' | 'udp'
  readonly peers?: readonly GroupPeerRecord[] // of a mapping to several
  readonly draining?: true // takes no new connections
}

/** One of several peers behind a mapping. */
export interface GroupPeerRecord {
  readonly peer: string // of a node that has a tag: its hostname, otherwise its address
  readonly nodeId: NodeId | null // null until it has accepted a connection
  readonly state: 'up' | 'ejected' // ejected: it refused connections recently, and is tried only if no other accepts
  readonly connections: number // open
  readonly failures: number // in a row
  readonly retryMs: number | null // time until it is tried again
}

export interface ExposedRecord {
  readonly name: string
  readonly port: number
  readonly target: string
  readonly allow: readonly string[]
  readonly protocol: 'tcp' | 'udp'
  readonly identity?: readonly IdentityKind[] // absent: none
  readonly host?: 'rewrite' // absent: the caller's
  readonly limits?: Limits // absent: none
  readonly endsAt?: string // RFC 3339; absent: it has no end
  readonly once?: true // ends after one connection
  readonly tickets?: number // open: not used, not expired; absent: 0
  readonly draining?: true // takes no new connections
}

export interface NodeRecord {
  readonly nodeId: NodeId // 0 while the registry has not answered yet
  readonly address: string
  readonly hostname: string | null
  readonly publicKey: string // base64
}

export type PathRecord = PathStatus

export type PeerRecord = PeerStatus

export type NatRecord = NatStatus

export interface DoctorCheck {
  readonly name: string // registry, udp, nat, mtu, …
  readonly state: 'ok' | 'warn' | 'fail'
  readonly code?: ErrorCode // of a failed check that has one
  readonly text: string
  readonly hint?: string
}

export interface DoctorRecord {
  readonly healthy: boolean // no check failed
  readonly udp: 'passes' | 'blocked' | 'unknown'
  readonly publicEndpoint: string | null
  readonly nat: NatRecord
  readonly checks: readonly DoctorCheck[]
}

export interface ExplainStep {
  readonly step: 'name' | 'address' | 'trust' | 'path' | 'port'
  readonly state: 'ok' | 'fail' | 'skipped'
  readonly text: string
  readonly hint?: string
}

export interface ExplainRecord {
  readonly target: string
  readonly peer: string
  readonly port: number | null
  readonly reachable: boolean
  readonly code: ErrorCode | null // of the step that failed
  readonly steps: readonly ExplainStep[]
  readonly others?: readonly ExplainRecord[] // of a mapping to several peers: the other ones
}

export interface ConnectionRecord {
  readonly id: number
  readonly direction: 'map' | 'expose'
  readonly service: string // name of the mapping or exposure
  readonly protocol: 'tcp' | 'udp' // udp: a session, which ends after a period of silence
  readonly peer: string
  readonly nodeId: NodeId | null
  readonly label?: string // of the ticket that admitted the peer
  readonly local: string // what the local program calls its client (expose), or its own end (map); the target while it is dialled
  readonly remote: string
  readonly bytesIn: number // overlay → local
  readonly bytesOut: number // local → overlay
  readonly openedMs: number // age
  readonly state: 'connecting' | 'open'
}

/** How a connection ended: both directions in order; reset by one side; ended by us; or never established (code). */
export type EndCause = 'ended' | 'peer_reset' | 'local_reset' | 'stopped' | 'failed'

/** A connection that has ended. */
export interface EndedConnectionRecord extends Omit<ConnectionRecord, 'openedMs' | 'state'> {
  readonly endedAt: string // RFC 3339
  readonly durationMs: number
  readonly cause: EndCause
  readonly code: ErrorCode | null // of cause failed
}

/** An HTTP request that went through the front, or through a service that is read as HTTP. */
export interface RequestRecord {
  readonly at: string // RFC 3339, when it ended
  readonly http?: 'front' | 'expose' | 'map' // absent, as the next two: it led nowhere
  readonly service?: string
  readonly peer?: string
  readonly nodeId?: NodeId
  readonly label?: string // of the ticket that admitted the peer
  readonly method: string
  readonly host: string
  readonly path: string // without its query
  readonly protocol: string
  readonly status: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly ms: number
  readonly code?: string // of our own answer
  readonly cut?: true // not delivered completely
}

/** The last connections that ended and the last requests, the newest last. */
export interface RecentRecord {
  readonly connections: readonly EndedConnectionRecord[]
  readonly requests: readonly RequestRecord[]
  readonly traffic: TrafficRecord
}

/** What passed through: payload of all connections since the start. */
export interface TrafficRecord {
  readonly bytesIn: number
  readonly bytesOut: number
  readonly connections: number // open now
}

/** The owner of a local connection. */
export interface WhoisRecord {
  readonly local: string // as asked: the ip:port that the local program sees or has
  readonly direction: 'map' | 'expose' // map: the local program called the peer; expose: the peer called it
  readonly service: string
  readonly peer: string
  readonly nodeId: NodeId | null // null: still being dialled
  readonly address: string | null
  readonly hostname: string | null
  readonly publicKey: string | null // base64
  readonly path: PathKind | null
  readonly openedMs: number // age
}

/** The state of a connection. */
export type WhoisEntry = Pick<WhoisRecord, 'direction' | 'service' | 'peer' | 'nodeId' | 'openedMs'>

export interface ResolveRecord {
  readonly name: string // as asked
  readonly peer: string // as mappings write it
  readonly nodeId: NodeId | null // null: for a mapped peer that cannot be looked up now
  readonly address: string | null
  readonly hostname: string | null
  readonly dnsName: string | null // agent-b.pilot
  readonly local: string // its loopback address
  readonly ports: readonly { readonly port: number; readonly protocol: 'tcp' | 'udp'; readonly local: string }[]
}

/** A line of a hosts file. */
export interface HostRecord {
  readonly address: string
  readonly names: readonly string[]
}

export interface TrustRecord {
  readonly nodeId: NodeId
  readonly address: string
  readonly hostname: string | null // unless nameVerified, only the registry's name for it
  readonly nameVerified: boolean // the name is bound to this key here
  readonly publicKey: string | null // base64
  readonly fingerprint: string | null // of the key, for people to compare
  readonly since: string | null // RFC 3339
  readonly until?: string // RFC 3339, when trust expires; absent: it has no end
  readonly label?: string // of the ticket that it came with
}

export interface PendingTrustRecord extends TrustRecord {
  readonly justification: string
}

export interface TrustRequestRecord {
  readonly peer: string
  readonly state: 'requested' | 'approved' // approved: both sides already agree
}

export interface PingRecord {
  readonly peer: string
  readonly nodeId: NodeId
  readonly seq: number
  readonly rttMs: number
  readonly path: PathKind | null // null: through a daemon, which does not report it
  readonly endpoint: string | null
  readonly reason?: string // the reason for this path
}

export interface BenchOptions {
  readonly bytes: number // to go there and back, at most
  readonly forMs: number // the transfer ends by then
}

/** The performance of the path to a peer's echo service. */
export interface BenchRecord {
  readonly peer: string
  readonly nodeId: NodeId
  /** To open a connection; the first one includes name resolution and key exchange if needed. */
  readonly setUp: { readonly firstMs: number; readonly medianMs: number; readonly count: number }
  readonly roundTrip: {
    readonly bytes: number
    readonly medianMs: number
    readonly p99Ms: number
    readonly count: number
  }
  readonly throughput: {
    readonly bytes: number
    readonly elapsedMs: number
    readonly bitsPerSecond: number
    readonly complete: boolean
  } // bytes that came back; each went in both directions. complete: all that were requested
  readonly path: PathRecord | null // null: through a daemon, which does not report it
}

/** A ticket that has not been used. */
export interface OpenTicketRecord {
  readonly id: string // for `invite cancel`; reveals nothing of the ticket
  readonly service: string // name of the exposure that it opens
  readonly port: number
  readonly protocol: 'tcp' | 'udp'
  readonly label?: string // what a person here calls the one who gets it
  readonly expires: string // RFC 3339
}

/** A new ticket. The text is a secret until it has been used. */
export interface TicketRecord extends OpenTicketRecord {
  readonly ticket: string // pgt1_…
  readonly registry: string // whose address it carries
  readonly loopback: boolean // its rendezvous is on loopback: valid only on this machine
}

/** A used ticket of another node: trust is mutual, and the service is open to us. */
export interface TicketUseRecord {
  readonly peer: string // 0:0000.0000.0002
  readonly nodeId: NodeId
  readonly publicKey: string // base64; the one that the ticket names
  readonly service: string
  readonly port: number
  readonly protocol: 'tcp' | 'udp'
}

/** One value of the effective configuration. */
export interface SettingRecord {
  readonly key: string // as in the file; an option that is not in the file by its flag
  readonly value: unknown // null: not set
  readonly origin: SettingOrigin
}

export type SettingOrigin =
  | { readonly kind: 'flag'; readonly name: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'file'; readonly file: string; readonly line: number } // from 1
  | { readonly kind: 'command' } // to the running gateway: map, expose, PUT /v1/config
  | { readonly kind: 'default' }

export interface DrainRecord {
  readonly state: 'draining' | 'ready' // of the gateway, or of the one exposure
  readonly exposure: string | null // null: everything
  readonly connections: number // still open
}

export interface StatusRecord {
  readonly version: string
  readonly pid: number
  readonly state: 'starting' | 'ready' | 'draining'
  readonly uptimeMs: number
  readonly node: NodeRecord
  readonly udp: string | null // null under --daemon, as the next two: these are the daemon's
  readonly port?: OverlayStatus['port'] // absent under --daemon
  readonly registry: OverlayStatus['registry']
  readonly beacon: OverlayStatus['beacon']
  readonly daemon: OverlayStatus['daemon'] // null except under --daemon
  readonly admin: string
  readonly proxy?: string // where it listens; absent: off
  readonly dns?: string
  readonly nat: NatRecord | null
  readonly observe?: string | null // where metrics, health and the dashboard are
  readonly config?: { readonly version: number; readonly file: string | null; readonly error: string | null } // error: why the changed file is not in force
  readonly http: string | null // ip:port of the HTTP front
  readonly peers: number
  readonly connections: number
  readonly mappings: readonly MappedRecord[]
  readonly exposures: readonly ExposedRecord[]
  readonly problems?: readonly DoctorCheck[] // what `doctor` reports as failed
  readonly trustRequests?: readonly string[] // peers asked for trust that have not answered yet
  readonly memory: { readonly rssBytes: number; readonly heapBytes: number }
  readonly counters: Readonly<Record<string, number>>
}
