/**
 * What a gateway is told and what it tells: specifications in, records out.
 * Records are public (events, admin socket, --json): fields are added, never renamed or removed.
 */
import type { ErrorCode } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { NatStatus, OverlayStatus, PathKind, PathStatus, PeerStatus } from '../../runtime/overlay.ts'

/** any: what works. prefer-direct: waits a moment for a direct way before it takes the relay. direct: never the relay. */
export type PathPolicy = 'any' | 'prefer-direct' | 'direct'

/** One remote overlay port made reachable on a local address. */
export interface MapSpec {
  readonly name: string // unique; `PEER:PORT` or `PEER:PORT/udp` unless the configuration names it
  readonly peer: string // as written: hostname, address or node id, or tag:NAME; or several of them, with "|" between
  readonly port: number // overlay port, 1..65535
  readonly protocol: 'tcp' | 'udp'
  readonly localAddress?: string // absent: the peer's own loopback address
  readonly localPort: number // 0 picks a free one
  readonly path?: PathPolicy // absent: any
  readonly clients?: readonly string[] // addresses and CIDR blocks that may connect; absent: whoever reaches the local address
  readonly balance?: Balance // between several peers; absent: round-robin
  readonly probe?: number // seconds between connections made only to see whether a peer takes them; absent: none
  readonly check?: Check // what a probe asks there; absent: nothing but to be let in
}

/** What a probe asks of the service behind a peer's port. */
export type Check =
  | { readonly kind: 'http'; readonly path: string }
  | { readonly kind: 'grpc'; readonly service: string } // '': the server as a whole

export type Balance = 'round-robin' | 'least-connections'

/** One of several peers behind a mapping. */
export interface GroupPeerRecord {
  readonly peer: string // of a node that has a tag: its hostname, or else its address
  readonly nodeId: NodeId | null // null until it has taken a connection
  readonly state: 'up' | 'ejected' // ejected: it took no connection lately, and is asked only when no other does
  readonly connections: number // open
  readonly failures: number // in a row
  readonly retryMs: number | null // it is tried again in so long
}

export type Target =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly text: string } // text: tcp://127.0.0.1:3000
  | { readonly kind: 'udp'; readonly host: string; readonly port: number; readonly text: string } // text: udp://127.0.0.1:5353
  | { readonly kind: 'unix'; readonly path: string; readonly text: string } // text: unix:/run/pg.sock

/** How a backend learns who calls: by HTTP headers, or by what the PROXY protocol puts in front of a connection. */
export type ProxyVersion = 'proxy-v1' | 'proxy-v2'
export type IdentityKind = 'headers' | ProxyVersion

/** One local service made reachable on one of our overlay ports. */
export interface ExposeSpec {
  readonly name: string // unique; the port, or `PORT/udp`, unless the configuration names it
  readonly port: number // overlay port, 1..65535
  readonly protocol: 'tcp' | 'udp'
  readonly target: Target
  readonly allow: readonly string[] // 'trusted' (every trusted peer), peers as written, or key:, net:, tag:
  readonly path?: PathPolicy // absent: any
  readonly identity?: readonly IdentityKind[] // absent: nothing is told, bytes are carried as they are
  readonly limits?: Limits
  readonly forMs?: number // it ends so long after it began
  readonly once?: true // it ends after one connection
}

/** Absent: none. What is beyond is refused as if nothing were offered; bytes are slowed down, or of UDP dropped. */
export interface Limits {
  readonly connections?: number // open at a time
  readonly connectionsPerPeer?: number
  readonly newPerSecond?: number
  readonly newPerSecondPerPeer?: number
  readonly bytesPerSecond?: number // both directions together
  readonly bytesPerSecondPerPeer?: number
}

export interface MappedRecord {
  readonly name: string
  readonly local: string // 127.77.0.2:80
  readonly peer: string
  readonly remote: string // 0:0000.0000.0002:80, or PEER:80 while the peer's address is not known yet
  readonly protocol: 'tcp' | 'udp'
  readonly peers?: readonly GroupPeerRecord[] // of a mapping to several
  readonly draining?: true // takes no new connections
}

export interface ExposedRecord {
  readonly name: string
  readonly port: number
  readonly target: string
  readonly allow: readonly string[]
  readonly protocol: 'tcp' | 'udp'
  readonly identity?: readonly IdentityKind[] // absent: none
  readonly draining?: true // takes no new connections
}

/** The part of the options that changes while the gateway runs. */
export type Desired = Pick<GatewayOptions, 'maps' | 'exposes' | 'trust' | 'http' | 'proxy' | 'dns'>

/** Names of what came, went, and was replaced by another of the same name; `trust`: peers asked for trust; `sections`: of the configuration. */
export interface Changes {
  readonly mapped: readonly string[]
  readonly unmapped: readonly string[]
  readonly remapped: readonly string[]
  readonly exposed: readonly string[]
  readonly unexposed: readonly string[]
  readonly reexposed: readonly string[]
  readonly trust: readonly string[]
  readonly sections: readonly string[] // http, proxy, dns, observe: what listens there came, went or is another
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
  readonly protocol: 'tcp' | 'udp' // udp: a session, which ends when it has been silent for a while
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

/** What is known of a connection itself. */
export type WhoisEntry = Pick<WhoisRecord, 'direction' | 'service' | 'peer' | 'nodeId' | 'openedMs'>

export interface ResolveRecord {
  readonly name: string // as asked
  readonly peer: string // as mappings write it
  readonly nodeId: NodeId | null // null: of a mapped peer that cannot be asked about now
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
  readonly reason?: string // why the path is what it is
}

export interface BenchOptions {
  readonly bytes: number // to go there and back, at most
  readonly forMs: number // the transfer ends then, at the latest
}

/** What the way to a peer's echo service can do. */
export interface BenchRecord {
  readonly peer: string
  readonly nodeId: NodeId
  readonly setUp: { readonly firstMs: number; readonly medianMs: number; readonly count: number } // to open a connection; first: resolving and key exchange as well, where they were due
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
  } // bytes that came back; each went both ways. complete: all that was asked for
  readonly path: PathRecord | null // null: through a daemon, which does not tell
}

/** A ticket that was made just now. The text is a secret until somebody has used it. */
export interface TicketRecord {
  readonly ticket: string // pgt1_…
  readonly service: string // name of the exposure that it opens
  readonly port: number
  readonly protocol: 'tcp' | 'udp'
  readonly expires: string // RFC 3339
  readonly registry: string // whose address it carries
  readonly loopback: boolean // it does: good on this machine only
}

/** A ticket of somebody else that was used: trust is mutual, the service is open to us. */
export interface TicketUseRecord {
  readonly peer: string // 0:0000.0000.0002
  readonly nodeId: NodeId
  readonly publicKey: string // base64; the one that the ticket names
  readonly service: string
  readonly port: number
  readonly protocol: 'tcp' | 'udp'
}

export interface DrainRecord {
  readonly state: 'draining' | 'ready' // of the gateway, or of the one exposure
  readonly expose: string | null // null: everything
  readonly connections: number // still open
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
  readonly proxy?: string // where it listens; absent: not asked for
  readonly dns?: string
  readonly nat: NatRecord | null
  readonly observe?: string | null // where metrics, health and the dashboard are
  readonly config?: { readonly version: number; readonly file: string | null; readonly error: string | null } // error: why the changed file is not in force
  readonly http: string | null // ip:port of the HTTP front
  readonly peers: number
  readonly connections: number
  readonly mappings: readonly MappedRecord[]
  readonly exposes: readonly ExposedRecord[]
  readonly wishes?: readonly string[] // peers that were asked for trust and have not answered
  readonly memory: { readonly rssBytes: number; readonly heapBytes: number }
  readonly counters: Readonly<Record<string, number>>
}

export interface ReadyEvent {
  readonly event: 'ready'
  readonly node: NodeRecord
  readonly udp: string | null // null under --daemon
  readonly admin: string
  readonly observe?: string // where metrics, health and the dashboard are
  readonly http: string | null // ip:port of the HTTP front
  readonly proxy?: string
  readonly dns?: string
  readonly mappings: readonly MappedRecord[]
  readonly exposes: readonly ExposedRecord[]
  readonly elapsedMs: number
}

/** What a running gateway prints under --json, one object a line, `v: 1` in front. */
export type GatewayEvent =
  | ({ readonly event: 'mapped' } & MappedRecord)
  | ({ readonly event: 'exposed' } & ExposedRecord)
  /** It listens no more, or is about to be replaced by another of that name; its open connections go on. */
  | ({ readonly event: 'unmapped' } & MappedRecord)
  | ({ readonly event: 'unexposed'; readonly reason?: 'for' | 'once' } & ExposedRecord) // reason: its time, or its one connection, is over
  /** Another configuration is in force. */
  | ({ readonly event: 'reloaded'; readonly version: number } & Changes)
  | ReadyEvent
  | {
      readonly event: 'trust'
      readonly peer: string
      readonly nodeId: NodeId
      readonly state: 'pending' | 'approved' | 'rejected' | 'revoked'
    }
  | ({ readonly event: 'path'; readonly peer: string; readonly nodeId: NodeId } & PathRecord)
  /** A ticket of ours has been used. */
  | {
      readonly event: 'ticket'
      readonly state: 'used'
      readonly service: string
      readonly peer: string
      readonly nodeId: NodeId
    }
  /** A peer sent a message or a file over data exchange (port 1001); it is kept at `path`. */
  | {
      readonly event: 'message'
      readonly peer: string
      readonly nodeId: NodeId
      readonly type: string
      readonly bytes: number
      readonly path: string
    }

/** What the admin socket may ask of a running gateway. Every method may reject with a PilotError. */
export interface GatewayControl {
  status(): StatusRecord
  peers(): readonly PeerRecord[]
  mappings(): readonly MappedRecord[]
  exposes(): readonly ExposedRecord[]
  connections(): readonly ConnectionRecord[]
  /** @param local ip:port of a connection between us and a local program. Rejects with NOT_FOUND when it is none of ours. */
  whois(local: string): Promise<WhoisRecord>
  /** One echo; resolves when the answer is here. */
  ping(peer: string, seq: number, timeoutMs: number): Promise<PingRecord>
  /** Measures the way to the peer's echo service; takes a little longer than `forMs` and a quarter of it, or as long as a dial. @throws PilotError: as `ping`, FAILED, PEER_RESET. */
  bench(peer: string, options: BenchOptions): Promise<BenchRecord>
  doctor(): DoctorRecord
  /** `PEER[:PORT]`, or the name or local address of a mapping. */
  explain(target: string): Promise<ExplainRecord>
  /** What a name means here. @throws PilotError NOT_FOUND, REGISTRY_UNREACHABLE, DAEMON_UNREACHABLE. */
  resolve(name: string): Promise<ResolveRecord>
  /** The mapped peers, for a hosts file. */
  hosts(): readonly HostRecord[]
  trusted(): Promise<readonly TrustRecord[]>
  pending(): Promise<readonly PendingTrustRecord[]>
  requestTrust(peer: string, reason: string): Promise<TrustRequestRecord>
  approveTrust(peer: string): Promise<TrustRecord>
  rejectTrust(peer: string): Promise<TrustRecord>
  revokeTrust(peer: string): Promise<TrustRecord>
  /**
   * A ticket for one exposure, the only one if none is named. @param forMs it is good for so long.
   * @throws PilotError NOT_FOUND, USAGE with several exposures or under --daemon, REGISTRY_UNREACHABLE, TOO_MANY.
   */
  invite(service: string | undefined, forMs: number): Promise<TicketRecord>
  /**
   * Uses a ticket of somebody else. Resolves when trust is mutual.
   * @throws PilotError TICKET_INVALID, TICKET_EXPIRED, TICKET_USED, USAGE, CONFLICT, REGISTRY_UNREACHABLE, TIMED_OUT.
   */
  redeem(ticket: string): Promise<TicketUseRecord>
  /** Takes no new connections, at all or at one exposure; the open ones go on. @throws PilotError NOT_FOUND. */
  drain(expose?: string): Promise<DrainRecord>
  /** Takes them again. @throws PilotError NOT_FOUND, SHUTTING_DOWN, or what cannot be bound any more. */
  resume(expose?: string): Promise<DrainRecord>
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
  readonly pinned: Readonly<Record<string, { readonly address: string; readonly key: string }>>
  readonly networks?: readonly { readonly network: number; readonly token: string | undefined }[] // to be joined
  readonly tags?: readonly string[] // that the registry shows others; absent: left as they are there
  readonly maps: readonly MapSpec[]
  readonly exposes: readonly ExposeSpec[]
  readonly adminSocket: string
  readonly allowLan: boolean
  readonly observe?: string // ip:port of metrics, health and the dashboard
  readonly http?: { readonly address: string; readonly port: number } // absent: no HTTP front
  /** SOCKS5 and HTTP CONNECT to any trusted peer. */
  readonly proxy?: { readonly listen: string }
  /** ports: mapped for a peer when its name is asked for. */
  readonly dns?: { readonly listen: string; readonly domain: string; readonly ports: readonly number[] }
  /** Use this daemon instead of a node of our own; of the above only trust, maps, exposes and the paths then count. */
  readonly daemon?: { readonly socket: string; readonly registry?: string | undefined } // registry: whom to ask for names
}
