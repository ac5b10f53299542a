/**
 * The layers' view of the overlay, provided by our own node (node/node.ts) or by a daemon that already runs on this
 * machine (daemon/daemon-node.ts). No layer above asks which. Unknown values are null; a stream with less than TCP
 * semantics says so (`halfCloses`). Both must pass test/e2e/overlay-compliance.ts.
 */
import type { Duplex } from 'node:stream'
import type { ErrorCode, PilotError } from '../base/errors.ts'
import type { NodeId } from '../base/types.ts'
import type { KeyOfPeer, TrustJudge } from '../proto/trust/requests.ts'
import type { RefusalReason } from '../wire/refusal.ts'
import type { PendingEntry, TrustedEntry } from '../wire/trust-file.ts'
import type { GivingUp } from './giving-up.ts'

export interface Overlay {
  readonly nodeId: NodeId // 0 until the registry has answered
  readonly address: string // 0:0000.0000.0001
  readonly hostname: string | undefined
  readonly publicKey: string // base64
  readonly status: OverlayStatus
  readonly peers: readonly PeerStatus[]
  readonly guests: GuestDesk | null // null for a daemon, which decides about trust itself
  readonly health: OverlayHealth | null // null for a daemon, which does not report it

  /**
   * Opens a stream to `PEER:PORT`, the peer being a hostname, an address or a node id. An abort cancels it while it is
   * not open yet; afterwards the stream is the caller's.
   * @throws PilotError: USAGE, NOT_FOUND, NOT_TRUSTED, KEY_CHANGED, PEER_UNREACHABLE, CONNECTION_REFUSED,
   *   REGISTRY_UNREACHABLE, DAEMON_UNREACHABLE, TOO_MANY.
   */
  dial(target: string, signal?: GivingUp): Promise<OverlayStream>
  /** @throws PilotError PORT_IN_USE if the port already has a listener, DAEMON_UNREACHABLE. */
  listen(port: number, onIncoming: (incoming: Incoming) => void): Promise<Listener>
  /**
   * Takes datagrams to an overlay port, and sends some. They may be lost, duplicated and reordered, as with UDP.
   * @param port undefined: any that is free, of the ephemeral range.
   * @throws PilotError PORT_IN_USE; TOO_MANY if none is free.
   */
  datagrams(
    port: number | undefined,
    onDatagram: (bytes: Uint8Array, from: NodeId, sourcePort: number) => void,
  ): Promise<OverlayDatagrams>

  /**
   * The node id for a peer as a person wrote it. @throws PilotError USAGE, NOT_FOUND, KEY_CHANGED,
   * REGISTRY_UNREACHABLE.
   */
  resolve(peer: string): Promise<NodeId>
  /**
   * What the registry knows about a node, queried each time; null: unknown (a daemon). @throws PilotError NOT_FOUND,
   * REGISTRY_UNREACHABLE.
   */
  about(node: NodeId): Promise<AboutNode | null>
  /**
   * Connections to this peer are likely: looks it up now, if that is up to us. Best effort, for a limited number of
   * peers; sends nothing to the peer.
   */
  prepare(peer: string): void
  /** Brings up the tunnel to a peer, if that is up to us. @throws PilotError: like `dial`, except for the port. */
  connect(peer: string): Promise<NodeId>
  /** The path in use to a node; undefined: none. null: unknown. */
  pathTo(
    node: NodeId,
  ): { readonly kind: PathKind; readonly endpoint: string; readonly reason: string } | undefined | null
  /** The name that the key of this node is bound to (decision 30), if any, from memory. */
  hostnameOf(node: NodeId): string | undefined
  /** The registry's name for a node, shown to people with its fingerprint: unverified. */
  claimOf(node: NodeId): string | undefined
  /**
   * Whether this name means that node: the node's key is the one that the name is bound to. Our own node answers from
   * memory.
   */
  means(hostname: string, node: NodeId): Promise<boolean>
  /** The Ed25519 key (base64) that a node has proven or is pinned to; undefined if unknown. Answered from memory. */
  keyOf(node: NodeId): string | undefined
  /** One echo. @throws PilotError: what `dial` throws. */
  ping(peer: string, timeoutMs: number): Promise<Pong>

  isTrusted(node: NodeId): Promise<boolean>
  /** How a node is trusted; undefined: it is not. */
  trustOf(node: NodeId): Promise<TrustedEntry | undefined>
  trusted(): Promise<readonly TrustedEntry[]>
  pendingTrust(): Promise<readonly PendingEntry[]>
  /** Peers, as written, that were asked for trust and have not answered. */
  readonly wishes: readonly string[]
  /**
   * Requests trust until it is given, and approves the peer's own request when it comes.
   * @param standing the configuration requests it, and will again after a restart: an unreachable registry is not an
   *   error. Otherwise the request is on disk when the promise resolves.
   * @throws PilotError USAGE, REGISTRY_UNREACHABLE, STATE_UNWRITABLE.
   */
  requestTrust(peer: string, reason: string, standing?: boolean): Promise<void>
  /**
   * Withdraws the request, and no longer approves automatically. @returns false if this peer had not been asked.
   * @throws PilotError STATE_UNWRITABLE.
   */
  dropWish(peer: string): Promise<boolean>
  /**
   * Ends trust in a peer whose present node id is not known, since the registry has assigned new ones: by its hostname here,
   * the id that it had, or its key. @returns false if there is none. @throws PilotError STATE_UNWRITABLE.
   */
  revokeDisplaced(who: string | KeyOfPeer): Promise<boolean>
  /**
   * Each is in force immediately and on disk when its promise resolves. @returns false if there was nothing to approve,
   * reject or revoke. @throws PilotError STATE_UNWRITABLE: in force, but a restart would undo it.
   */
  approveTrust(node: NodeId): Promise<boolean>
  rejectTrust(node: NodeId): Promise<boolean>
  revokeTrust(node: NodeId): Promise<boolean>

  /**
   * Resolves when the node is a member of the overlay, under the requested name unless the registry refuses that
   * (`health`); or, with false, when `patienceMs` expires.
   */
  whenRegistered(patienceMs: number): Promise<boolean>
  /** Some stream still has unacknowledged bytes or an unacknowledged end: worth a moment before `stop`. */
  readonly hasUndelivered: boolean
  /** Resets open streams and saves unsaved state. */
  stop(): Promise<void>
}

/** Trust by ticket: guests are recognised without a person, and an accepted invitation names its one valid key. */
export interface GuestDesk {
  /** Asked about every trust request before a person is. Only one at a time; undefined removes it. */
  judge(judge: TrustJudge | undefined): void
  /** A guest is about to ask: requests are polled more often, for this many ms. 0 ends that. */
  expect(forMs: number): void
  /** Like `requestTrust`, but only the owner of this Ed25519 key can answer. */
  ask(node: NodeId, key: Uint8Array, reason: string): void
  /**
   * The owner of this Ed25519 key is trusted only for a ticket. @param isOurs the ticket was made here: no name matches
   * its guest.
   */
  mark(key: Uint8Array, isOurs: boolean): void
}

/** A Duplex that libraries take for a socket: `destroy()` before both directions have ended is a reset. */
export interface OverlayStream extends Duplex {
  readonly peer: NodeId
  readonly peerName: string
  readonly localPort: number
  readonly remotePort: number
  readonly remoteAddress: string
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly connecting: boolean
  /** Each direction can end on its own. If not, our end is held back until the other direction ends. */
  readonly halfCloses: boolean
  /** Set if ownership of every written chunk is passed on (a splice): then nothing is copied. */
  handsOver: boolean
  /** From now on the stream waits rather than use the relay. No effect if the path is unknown. */
  refuseRelay(): void
  /** Like net.Socket: RST to the peer if possible, whatever is still in transit. */
  resetAndDestroy(): this
  destroySoon(): void
  /** An idle timer: 'timeout' after this many ms without a byte in either direction; 0 turns it off. */
  setTimeout(ms: number, listener?: () => void): this
  setNoDelay(): this
  setKeepAlive(): this
  ref(): this
  unref(): this
}

/**
 * A connection request of a peer: accept or refuse it. A refusal looks like a port without a listener, as far as
 * possible.
 */
export interface Incoming {
  readonly peer: NodeId
  readonly peerName: string
  readonly port: number
  /** To port 1001, from a node whose own we have just dialled. Not known of a daemon's streams. */
  readonly isReply?: boolean
  /** The peer has given up. */
  readonly gone: boolean
  accept(): OverlayStream
  /** @param reason that a peer with access may learn; absent: nothing. */
  refuse(reason?: RefusalReason): void
}

export interface Listener {
  close(): void
}

export interface OverlayDatagrams {
  /** The peer sees this port as the source, so that its answers come here. A daemon chooses its own source ports. */
  readonly keepsSourcePort: boolean
  /** Brings up the tunnel if necessary. @throws PilotError: like `dial`, and DATAGRAM_TOO_LARGE. */
  send(peer: string, port: number, bytes: Uint8Array): Promise<void>
  /**
   * The same to a known node, without a promise per datagram: with its tunnel up it is sent in this turn.
   * @param onDropped receives what `send` would throw.
   */
  sendTo(node: NodeId, port: number, bytes: Uint8Array, onDropped: (error: PilotError) => void): void
  close(): void
}

export interface AboutNode {
  readonly publicKey: string // base64
  readonly networks: readonly number[] // 0, the backbone, includes everyone
  readonly tags: readonly string[]
}

export interface Pong {
  readonly node: NodeId
  readonly rttMs: number
  readonly path: PathKind | null // null: unknown
  readonly endpoint: string | null
}

export type PathKind = 'direct' | 'lan' | 'punched' | 'relay'

export interface PathStatus {
  readonly kind: PathKind
  readonly endpoint: string
  readonly transport: 'udp' | 'tcp' // tcp: the relay is reached without UDP
  readonly rttMs: number | null
  readonly mtu: number // largest UDP payload proven on this path, bytes
}

export interface PeerStatus {
  readonly nodeId: NodeId
  readonly address: string
  readonly hostname: string | null // bound to its key
  readonly unverifiedName: string | null // the registry's name for it, if it has no hostname here
  readonly fingerprint: string | null // of its Ed25519 key
  readonly trusted: boolean
  readonly state: 'idle' | 'connecting' | 'connected' | 'unreachable'
  readonly path: PathStatus | null // null: none, or unknown
  readonly streams: number
  readonly bytesIn: number // stream payload
  readonly bytesOut: number
  readonly lastHeardMs: number | null // ms since the last authenticated frame
  readonly reason: string | null // the reason for this path
  readonly paths: readonly KnownPathStatus[] // every known path, the one in use first
}

/** One path to a peer, in use or not. */
export interface KnownPathStatus extends PathStatus {
  readonly state: 'used' | 'works' | 'silent' | 'untried' // silent: worked or was tried, but does not answer
  readonly bytesIn: number // datagrams, headers included
  readonly bytesOut: number
  readonly lossPercent: number | null // share of packets retransmitted; before any: share of unanswered probes
}

/** The NAT in front of us (RFC 4787); see docs/nat.md. */
export interface NatStatus {
  readonly mapping: 'unknown' | 'none' | 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'
  readonly filtering: 'unknown' | 'port-independent' | 'address-and-port-dependent'
}

/** Input for a diagnosis of our own node, in addition to its status. */
export interface OverlayHealth {
  readonly hostnameRefused: string | undefined
  readonly nameConflicts: readonly NameConflict[]
  readonly beacon: { readonly isAnswering: boolean; readonly unanswered: number } // questions since its last answer
  readonly mtu: number // UDP payload towards the beacon without fragmentation, bytes
  readonly receiveBufferBytes: number
  readonly sendErrors: number // datagrams that the system refused
  readonly noNative?: string | undefined // why the native port is not used
}

/** A name that does not lead where the registry says, or leads nowhere. */
export interface NameConflict {
  readonly hostname: string
  readonly fingerprints: readonly string[] // of the trusted keys with the name; if several, it means no one
  /** The node to which the registry gives the name, if it has a different key. */
  readonly other?: { readonly nodeId: NodeId; readonly fingerprint: string }
}

/** The beacon, and how it is reached. */
export interface BeaconStatus {
  readonly endpoint: string // as configured
  readonly observed: string | null // where it sees us; null: unknown, or without UDP
  readonly transport: 'udp' | 'tcp'
  readonly address: string | null // the one in use; null: none yet
  readonly proxy: string | null // host:port of the HTTP proxy on the way
  readonly reason: string // for this transport
  readonly dropped: number // datagrams for which the TCP connection had no room
}

/** Status of this node. For our own node: everything except `daemon`. For a daemon that we drive: only `daemon`. */
export interface OverlayStatus {
  readonly udp: string | null // our UDP socket
  /** What seals, sends and receives our datagrams: native code, or Node.js. Absent with a daemon. */
  readonly port?: 'native' | 'node'
  readonly registry: {
    readonly endpoint: string // as configured
    readonly address?: string | null // of several, the one in use; null: not connected
    readonly state: 'connecting' | 'registered' | 'unreachable'
    readonly since: string
    /** Why it cannot be reached. */
    readonly code?: ErrorCode
    readonly reason?: string
  } | null
  readonly beacon: BeaconStatus | null
  readonly nat: NatStatus | null
  readonly daemon: { readonly socket: string; readonly state: 'connected' | 'lost'; readonly since: string } | null
  readonly counters: Readonly<Record<string, number>>
}

export type OverlayEvent =
  | { readonly kind: 'registered'; readonly nodeId: NodeId; readonly address: string }
  | { readonly kind: 'registry_refused'; readonly request: string; readonly text: string }
  | { readonly kind: 'hostname_refused'; readonly hostname: string; readonly text: string }
  /** The beacon sees us there now. */
  | { readonly kind: 'endpoint'; readonly endpoint: string }
  /** A connection attempt that was turned away; `stranger`: without any answer. */
  | {
      readonly kind: 'turned_away'
      readonly node: NodeId
      readonly port: number | undefined
      readonly why: 'stranger' | 'no_listener' | 'limit'
      readonly from: string | undefined
    }
  /** A key exchange with an identity other than the node's, or a forged one. */
  | { readonly kind: 'auth_refused'; readonly node: NodeId; readonly why: string; readonly from: string }
  /** The registry does not deliver our request for trust to this peer, for a reason not reported before. */
  | { readonly kind: 'wish_refused'; readonly peer: string; readonly text: string }
  | {
      readonly kind: 'trust'
      readonly node: NodeId
      readonly hostname: string | undefined // bound to its key, or else what the registry calls it
      readonly isVerified: boolean // the former
      readonly fingerprint: string | undefined
      readonly state: 'pending' | 'approved' | 'rejected' | 'revoked' | 'key_changed'
    }
  /** The first name of a peer trusted by address: it means its key from now on. */
  | { readonly kind: 'name_bound'; readonly node: NodeId; readonly hostname: string; readonly fingerprint: string }
  /** The registry gives a bound name to a node with another key. */
  | {
      readonly kind: 'name_contested'
      readonly hostname: string
      readonly fingerprint: string
      readonly node: NodeId
      readonly otherFingerprint: string
    }
  /** A trust request that awaited a decision was discarded. */
  | {
      readonly kind: 'request_dropped'
      readonly node: NodeId
      readonly hostname: string | undefined
      readonly why: 'full' | 'expired'
    }
  | {
      readonly kind: 'peer'
      readonly node: NodeId
      readonly peerName: string
      readonly state: 'connected' | 'unreachable' | 'restarted'
    }
  /** The path in use has changed, or its measurements have. */
  | {
      readonly kind: 'path'
      readonly node: NodeId
      readonly peerName: string
      readonly path: PathStatus
      readonly reason: string | undefined
    }
  /** Datagrams to and from the beacon go another way from now on. */
  | { readonly kind: 'transport'; readonly transport: 'udp' | 'tcp' }
  /** The NAT in front of us is known, or known better. */
  | ({ readonly kind: 'nat' } & NatStatus)
  /** The daemon went away, with every stream; or it is back, with the exposed ports. */
  | { readonly kind: 'daemon'; readonly state: 'lost' | 'back'; readonly text: string }
