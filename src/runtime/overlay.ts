/**
 * What the layers above need of the overlay, whoever carries it: our own node (node/node.ts), or a daemon that runs
 * on this machine already (daemon/daemon-node.ts). Nobody above asks which of the two it is. What one of them does
 * not know is null; where a stream of one of them is less than TCP, it says so itself (`halfCloses`).
 * test/e2e/overlay-compliance.ts is what both must pass.
 */
import type { Duplex } from 'node:stream'
import type { PilotError } from '../base/errors.ts'
import type { NodeId } from '../base/types.ts'
import type { TrustJudge } from '../proto/trust/trust-book.ts'
import type { PendingEntry, TrustedEntry } from '../wire/trust-file.ts'
import type { GivingUp } from './giving-up.ts'

export interface Overlay {
  readonly nodeId: NodeId // 0 while the registry has not answered yet
  readonly address: string // 0:0000.0000.0001
  readonly hostname: string | undefined
  readonly publicKey: string // base64
  readonly status: OverlayStatus
  readonly peers: readonly PeerStatus[]
  readonly guests: GuestDesk | null // null: a daemon's, which decides about trust itself
  readonly health: OverlayHealth | null // null: a daemon's, which does not report it

  /**
   * Opens a stream to `PEER:PORT`, the peer being a hostname, an address or a node id. An abort gives up while it is
   * not open yet; afterwards the stream is the caller's.
   * @throws PilotError: USAGE, NOT_FOUND, NOT_TRUSTED, KEY_CHANGED, PEER_UNREACHABLE, CONNECTION_REFUSED, REGISTRY_UNREACHABLE,
   *   DAEMON_UNREACHABLE, TOO_MANY.
   */
  dial(target: string, signal?: GivingUp): Promise<OverlayStream>
  /** @throws PilotError PORT_IN_USE when the port has a listener already, DAEMON_UNREACHABLE. */
  listen(port: number, onIncoming: (incoming: Incoming) => void): Promise<Listener>
  /**
   * Takes datagrams to an overlay port, and sends some. They may be lost, duplicated and reordered, as UDP's.
   * @param port undefined: any that is free, of the ephemeral range.
   * @throws PilotError PORT_IN_USE; TOO_MANY when none is free.
   */
  datagrams(
    port: number | undefined,
    onDatagram: (bytes: Uint8Array, from: NodeId, sourcePort: number) => void,
  ): Promise<OverlayDatagrams>

  /** The node id behind what a person wrote. @throws PilotError USAGE, NOT_FOUND, KEY_CHANGED, REGISTRY_UNREACHABLE. */
  resolve(peer: string): Promise<NodeId>
  /** What the registry knows about a node, asked each time; null: unknown (a daemon). @throws PilotError NOT_FOUND, REGISTRY_UNREACHABLE. */
  about(node: NodeId): Promise<AboutNode | null>
  /** Connections to this peer are likely: who and where it is is found out now, where that is ours to do. Best effort, for so many peers; sends the peer nothing. */
  prepare(peer: string): void
  /** Brings up the tunnel to a peer, as far as that is ours to do. @throws PilotError: what `dial` throws, but for the port. */
  connect(peer: string): Promise<NodeId>
  /** The path in use to a node; undefined: none. null: unknown. */
  pathTo(
    node: NodeId,
  ): { readonly kind: PathKind; readonly endpoint: string; readonly reason: string } | undefined | null
  /** The name that the key of this node is bound to (decision 30), if there is one: never asks anybody. */
  hostnameOf(node: NodeId): string | undefined
  /** What the registry calls a node, for people to see beside its fingerprint: nobody has verified it. */
  claimOf(node: NodeId): string | undefined
  /** Whether this name means that node: the node's key is the one that the name is bound to. A node of our own asks nobody for it. */
  means(hostname: string, node: NodeId): Promise<boolean>
  /** The Ed25519 key (base64) that a node has proven or is pinned to; undefined where that is unknown. Never asks anything. */
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
   * Asks for trust until it is given, and approves the peer's own request when it comes.
   * @param standing the configuration asks, and will again after a restart: an unreachable registry is not an error. Otherwise
   * the request is on disk when the promise resolves.
   * @throws PilotError USAGE, REGISTRY_UNREACHABLE, STATE_UNWRITABLE.
   */
  requestTrust(peer: string, reason: string, standing?: boolean): Promise<void>
  /** Asks no more, and no longer approves by itself. @returns false when this peer had not been asked. @throws PilotError STATE_UNWRITABLE. */
  dropWish(peer: string): Promise<boolean>
  /**
   * Each is in force at once and on disk when its promise resolves. @returns false when there was nothing to approve,
   * reject, revoke. @throws PilotError STATE_UNWRITABLE: in force, but a restart would undo it.
   */
  approveTrust(node: NodeId): Promise<boolean>
  rejectTrust(node: NodeId): Promise<boolean>
  revokeTrust(node: NodeId): Promise<boolean>

  /**
   * Resolves when the node is a member of the overlay, under the name it asked for unless the registry refuses that (`health`);
   * or, with false, when `patienceMs` is over.
   */
  whenRegistered(patienceMs: number): Promise<boolean>
  /** Some stream still holds bytes, or its end, that have not left for good: worth a moment before `stop`. */
  readonly hasUndelivered: boolean
  /** Streams still open are reset; what is left to save is saved. */
  stop(): Promise<void>
}

/** Trust by ticket: guests are recognised without a person, and an accepted invitation names the one key that it is for. */
export interface GuestDesk {
  /** Asked about every request for trust, before a person is. One at a time; undefined takes it away. */
  judge(judge: TrustJudge | undefined): void
  /** A guest is about to ask: requests are looked for more often, for so many ms. 0 ends that. */
  expect(forMs: number): void
  /** As `requestTrust`, to be answered only by the owner of this Ed25519 key. */
  ask(node: NodeId, key: Uint8Array, reason: string): void
  /** The owner of this Ed25519 key is trusted for a ticket only. @param isOurs the ticket was made here: no name means its guest. */
  mark(key: Uint8Array, isOurs: boolean): void
}

/** A Duplex that libraries take for a socket: `destroy()` before both ends are done is a reset. */
export interface OverlayStream extends Duplex {
  readonly peer: NodeId
  readonly peerName: string
  readonly localPort: number
  readonly remotePort: number
  readonly remoteAddress: string
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly connecting: boolean
  /** Each direction can end by itself. Where it cannot, our end is held back until the other direction ends. */
  readonly halfCloses: boolean
  /** Set where every chunk written is handed over for good (a splice): then nothing is copied. */
  handsOver: boolean
  /** From now on the stream waits rather than go by the relay. No effect where the path is unknown. */
  refuseRelay(): void
  /** As on a net.Socket: RST to the peer where there is such a thing, whatever was still in transit. */
  resetAndDestroy(): this
  destroySoon(): void
  /** An idle timer: 'timeout' after so many ms without a byte either way; 0 switches it off. */
  setTimeout(ms: number, listener?: () => void): this
  setNoDelay(): this
  setKeepAlive(): this
  ref(): this
  unref(): this
}

/** A connection that a peer asks for: take it or refuse it; a refusal looks like a port without a listener, as far as possible. */
export interface Incoming {
  readonly peer: NodeId
  readonly peerName: string
  readonly port: number
  /** The peer gave up meanwhile. */
  readonly gone: boolean
  accept(): OverlayStream
  refuse(): void
}

export interface Listener {
  close(): void
}

export interface OverlayDatagrams {
  /** The peer sees this port as the source, so that its answers come here. A daemon sends from ports of its own choosing. */
  readonly keepsSourcePort: boolean
  /** Brings up the tunnel if need be. @throws PilotError: what `dial` throws, and DATAGRAM_TOO_LARGE. */
  send(peer: string, port: number, bytes: Uint8Array): Promise<void>
  /**
   * The same to a node that is known, without a promise for each datagram: with its tunnel up it leaves in this turn.
   * @param onDropped gets what `send` throws.
   */
  sendTo(node: NodeId, port: number, bytes: Uint8Array, onDropped: (error: PilotError) => void): void
  close(): void
}

export interface AboutNode {
  readonly publicKey: string // base64
  readonly networks: readonly number[] // 0, the backbone, is everybody's
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
  readonly rttMs: number | null
  readonly mtu: number // largest UDP payload proven on this path, bytes
}

export interface PeerStatus {
  readonly nodeId: NodeId
  readonly address: string
  readonly hostname: string | null // that its key is bound to
  readonly unverifiedName: string | null // what the registry calls it, where it has no hostname here
  readonly fingerprint: string | null // of its Ed25519 key
  readonly trusted: boolean
  readonly state: 'idle' | 'connecting' | 'connected' | 'unreachable'
  readonly path: PathStatus | null // null: none, or unknown
  readonly streams: number
  readonly bytesIn: number // stream payload
  readonly bytesOut: number
  readonly lastHeardMs: number | null // ms since the last authenticated frame
  readonly reason: string | null // why the path is what it is
  readonly paths: readonly KnownPathStatus[] // every known path, the one in use first
}

/** One path to a peer, in use or not. */
export interface KnownPathStatus extends PathStatus {
  readonly state: 'used' | 'works' | 'silent' | 'untried' // silent: worked or was tried, and does not answer
  readonly bytesIn: number // datagrams, headers included
  readonly bytesOut: number
  readonly lossPercent: number | null // packets sent again, of those sent; before any: probes without an answer
}

/** What is in front of us (RFC 4787); see docs/nat.md. */
export interface NatStatus {
  readonly mapping: 'unknown' | 'none' | 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'
  readonly filtering: 'unknown' | 'port-independent' | 'address-and-port-dependent'
}

/** What a diagnosis of our own node is made of, beside its status. */
export interface OverlayHealth {
  readonly hostnameRefused: string | undefined
  readonly nameConflicts: readonly NameConflict[]
  readonly beacon: { readonly isAnswering: boolean; readonly unanswered: number } // questions since its last answer
  readonly mtu: number // UDP payload towards the beacon in one piece, bytes
  readonly receiveBufferBytes: number
  readonly sendErrors: number // datagrams that the system refused
}

/** A name that does not lead where the registry says, or nowhere. */
export interface NameConflict {
  readonly hostname: string
  readonly fingerprints: readonly string[] // of the trusted keys that have the name: one, or several, and then it means nobody
  /** The node to which the registry gives the name, if that has another key. */
  readonly other?: { readonly nodeId: NodeId; readonly fingerprint: string }
}

/** How this node stands in the world. Of our own node: all but `daemon`. Of a daemon that we drive: only `daemon`. */
export interface OverlayStatus {
  readonly udp: string | null // our UDP socket
  readonly registry: {
    readonly endpoint: string
    readonly state: 'connecting' | 'registered' | 'unreachable'
    readonly since: string
  } | null
  readonly beacon: { readonly endpoint: string; readonly observed: string | null } | null
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
  /** A key exchange with another identity than the node's, or a forged one. */
  | { readonly kind: 'auth_refused'; readonly node: NodeId; readonly why: string; readonly from: string }
  /** The registry does not deliver our request for trust to this peer, for a reason not reported before. */
  | { readonly kind: 'wish_refused'; readonly peer: string; readonly text: string }
  /** A peer sent a message or a file; it is kept at `path`. */
  | {
      readonly kind: 'message'
      readonly node: NodeId
      readonly peerName: string
      readonly type: string
      readonly bytes: number
      readonly path: string
    }
  | {
      readonly kind: 'trust'
      readonly node: NodeId
      readonly hostname: string | undefined // that its key is bound to, or else what the registry calls it
      readonly isVerified: boolean // the former
      readonly fingerprint: string | undefined
      readonly state: 'pending' | 'approved' | 'rejected' | 'revoked' | 'key_changed'
    }
  /** The first name of a peer that had been trusted by its address: it means its key from now on. */
  | { readonly kind: 'name_bound'; readonly node: NodeId; readonly hostname: string; readonly fingerprint: string }
  /** The registry gives a bound name to a node with another key. */
  | {
      readonly kind: 'name_contested'
      readonly hostname: string
      readonly fingerprint: string
      readonly node: NodeId
      readonly otherFingerprint: string
    }
  /** A request for trust that waited for a person is forgotten. */
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
  /** The path in use: another one, or other numbers of the same. */
  | { readonly kind: 'path'; readonly node: NodeId; readonly peerName: string; readonly path: PathStatus }
  /** What stands between us and the world is known, or known better. */
  | ({ readonly kind: 'nat' } & NatStatus)
  /** The daemon went away, with every stream; or it is back, and the exposed ports with it. */
  | { readonly kind: 'daemon'; readonly state: 'lost' | 'back'; readonly text: string }
