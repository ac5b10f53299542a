/**
 * What a gateway is told and what it tells: specifications in, records out.
 * Records are public (events, admin socket, --json): fields are added, never renamed or removed.
 */
import type { NodeId } from '../base/types.ts'
import type { OverlayStatus, PathKind, PathStatus, PeerStatus } from '../runtime/overlay.ts'

/** One remote overlay port made reachable on a local address. */
export interface MapSpec {
  readonly name: string // unique; `PEER:PORT` unless the configuration names it
  readonly peer: string // as written: hostname, address or node id
  readonly port: number // overlay port, 1..65535
  readonly protocol: 'tcp'
  readonly localAddress?: string // absent: the peer's own loopback address
  readonly localPort: number // 0 picks a free one
}

export type Target =
  | { readonly kind: 'tcp', readonly host: string, readonly port: number, readonly text: string } // text: tcp://127.0.0.1:3000
  | { readonly kind: 'unix', readonly path: string, readonly text: string } // text: unix:/run/pg.sock

/** How a backend learns who calls: by HTTP headers, or by what the PROXY protocol puts in front of a connection. */
export type ProxyVersion = 'proxy-v1' | 'proxy-v2'
export type IdentityKind = 'headers' | ProxyVersion

/** One local service made reachable on one of our overlay ports. */
export interface ExposeSpec {
  readonly name: string // unique; the port unless the configuration names it
  readonly port: number // overlay port, 1..65535
  readonly protocol: 'tcp'
  readonly target: Target
  readonly allow: readonly string[] // 'trusted' (every trusted peer), or peers as written
  readonly identity?: readonly IdentityKind[] // absent: nothing is told, bytes are carried as they are
}

export interface MappedRecord {
  readonly name: string
  readonly local: string // 127.77.0.2:80
  readonly peer: string
  readonly remote: string // 0:0000.0000.0002:80, or PEER:80 while the peer's address is not known yet
  readonly protocol: 'tcp'
}

export interface ExposedRecord {
  readonly name: string
  readonly port: number
  readonly target: string
  readonly allow: readonly string[]
  readonly protocol: 'tcp'
  readonly identity?: readonly IdentityKind[] // absent: none
}

export interface NodeRecord {
  readonly nodeId: NodeId // 0 while the registry has not answered yet
  readonly address: string
  readonly hostname: string | null
  readonly publicKey: string // base64
}

export type PathRecord = PathStatus
export type PeerRecord = PeerStatus

export interface ConnectionRecord {
  readonly id: number
  readonly direction: 'map' | 'expose'
  readonly service: string // name of the mapping or exposure
  readonly peer: string
  readonly nodeId: NodeId | null
  readonly local: string
  readonly remote: string
  readonly bytesIn: number // overlay → local
  readonly bytesOut: number // local → overlay
  readonly openedMs: number // age
  readonly state: 'connecting' | 'open'
}

/** Whose connection a local one is. */
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

export interface TrustRecord {
  readonly nodeId: NodeId
  readonly address: string
  readonly hostname: string | null
  readonly publicKey: string | null // base64
  readonly since: string | null // RFC 3339
}

export interface PendingTrustRecord extends TrustRecord {
  readonly justification: string
}

export interface TrustRequestRecord {
  readonly peer: string
  readonly state: 'requested' | 'approved' // approved: both sides agree already
}

export interface PingRecord {
  readonly peer: string
  readonly nodeId: NodeId
  readonly seq: number
  readonly rttMs: number
  readonly path: PathKind | null // null: through a daemon, which does not tell
  readonly endpoint: string | null
}

export interface StatusRecord {
  readonly version: string
  readonly pid: number
  readonly state: 'starting' | 'ready' | 'draining'
  readonly uptimeMs: number
  readonly node: NodeRecord
  readonly udp: string | null // null under --daemon, as the next two: these are the daemon's
  readonly registry: OverlayStatus['registry']
  readonly beacon: OverlayStatus['beacon']
  readonly daemon: OverlayStatus['daemon'] // null but under --daemon
  readonly admin: string
  readonly http: string | null // ip:port of the HTTP front
  readonly peers: number
  readonly connections: number
  readonly mappings: readonly MappedRecord[]
  readonly exposes: readonly ExposedRecord[]
  readonly memory: { readonly rssBytes: number, readonly heapBytes: number }
  readonly counters: Readonly<Record<string, number>>
}

export interface ReadyEvent {
  readonly event: 'ready'
  readonly node: NodeRecord
  readonly udp: string | null // null under --daemon
  readonly admin: string
  readonly http: string | null // ip:port of the HTTP front
  readonly mappings: readonly MappedRecord[]
  readonly exposes: readonly ExposedRecord[]
  readonly elapsedMs: number
}

/** What a running gateway prints under --json, one object a line, `v: 1` in front. */
export type GatewayEvent =
  | ({ readonly event: 'mapped' } & MappedRecord)
  | ({ readonly event: 'exposed' } & ExposedRecord)
  | ReadyEvent
  | { readonly event: 'trust', readonly peer: string, readonly nodeId: NodeId, readonly state: 'pending' | 'approved' | 'rejected' | 'revoked' }
  | ({ readonly event: 'path', readonly peer: string, readonly nodeId: NodeId } & PathRecord)
  /** A peer sent a message or a file over data exchange (port 1001); it is kept at `path`. */
  | { readonly event: 'message', readonly peer: string, readonly nodeId: NodeId, readonly type: string, readonly bytes: number, readonly path: string }

/** What the admin socket may ask of a running gateway. Every method may reject with a PilotError. */
export interface GatewayControl {
  status (): StatusRecord
  peers (): readonly PeerRecord[]
  mappings (): readonly MappedRecord[]
  exposes (): readonly ExposedRecord[]
  connections (): readonly ConnectionRecord[]
  /** @param local ip:port of a connection between us and a local program. Rejects with NOT_FOUND when it is none of ours. */
  whois (local: string): Promise<WhoisRecord>
  /** One echo; resolves when the answer is here. */
  ping (peer: string, seq: number, timeoutMs: number): Promise<PingRecord>
  trusted (): Promise<readonly TrustRecord[]>
  pending (): Promise<readonly PendingTrustRecord[]>
  requestTrust (peer: string, reason: string): Promise<TrustRequestRecord>
  approveTrust (peer: string): Promise<TrustRecord>
  rejectTrust (peer: string): Promise<TrustRecord>
  revokeTrust (peer: string): Promise<TrustRecord>
}

export interface GatewayOptions {
  readonly registry: string // host:port, or tls://host:port
  readonly registryFingerprint?: string // of its TLS certificate, the only one then accepted
  readonly beacon: string // host:port
  readonly listen: string // ip:port of the UDP socket
  readonly endpoint?: string // fixed public endpoint; absent: discovered
  readonly hostname?: string
  readonly public: boolean
  readonly stateDir: string
  readonly identityFile: string // absolute, or resolved by config
  readonly trust: readonly string[]
  readonly pinned: Readonly<Record<string, { readonly address: string, readonly key: string }>>
  readonly maps: readonly MapSpec[]
  readonly exposes: readonly ExposeSpec[]
  readonly adminSocket: string
  readonly allowLan: boolean
  readonly http?: { readonly address: string, readonly port: number } // absent: no HTTP front
  /** Use this daemon instead of a node of our own; of the above only trust, maps, exposes and the paths then count. */
  readonly daemon?: { readonly socket: string, readonly registry?: string | undefined } // registry: whom to ask for names
}
