/**
 * Live, read-only views of the core's peers, paths and streams. Changes go through commands of OverlayCore. The classes
 * behind the views (peer.ts, ../path/path.ts, ../stream/stream.ts) are private to the core.
 */
import type { ErrorCode } from '../../base/errors.ts'
import type { Endpoint, Instant, NodeId } from '../../base/types.ts'
import type { NatFiltering, NatMapping } from '../../wire/path-hello.ts'
import type { LookupReply } from '../../wire/registry-messages.ts'
import type { PendingEntry, TrustedEntry } from '../../wire/trust-file.ts'
import type { PathKind } from '../path/path.ts'
import type { Transport } from '../rendezvous/beacon-way.ts'
import type { StreamApp, StreamView } from '../stream/stream-view.ts'
import type { OutgoingRequest } from '../trust/requests.ts'

export interface PathView {
  readonly kind: PathKind
  readonly endpoint: Endpoint
  readonly rttMs: number | undefined
  readonly mtu: number // largest UDP payload proven on it, bytes
  readonly answered: boolean
  readonly dead: boolean
  readonly probes: number
  readonly probesOut: number
  readonly probesLost: number
  readonly packetsOut: number
  readonly packetsResent: number
  readonly bytesIn: number // datagrams, headers included
  readonly bytesOut: number
}

export interface PeerView {
  readonly node: NodeId
  /** The registry's name for it: unverified, for people. */
  readonly claim: string | undefined
  /** Ed25519, by pin, trust record or registry. */
  readonly key: Uint8Array | undefined
  readonly state: 'idle' | 'connecting' | 'connected' | 'unreachable'
  readonly connected: boolean
  readonly heardAt: Instant // -Infinity: never
  readonly bytesIn: number // stream payload
  readonly bytesOut: number
  readonly paths: { readonly current: PathView | undefined; all(): readonly PathView[] }
  readonly streams: ReadonlyMap<number, StreamView>
}

/** The app that waits for a dial. It gets the news of its stream, or one of these. */
export interface DialApp extends StreamApp {
  /** A dial without a port: the tunnel is up. */
  onConnected(peer: PeerView): void
  /** There will be no stream. `text` lacks the name of the peer. */
  onFailed(code: ErrorCode, text: string): void
}

/** The app that asked for an echo. It is not called without an answer. */
export interface PingApp {
  onPong(peer: PeerView, path: PathView, rttMs: number): void
}

export interface NameAnswer {
  readonly node: NodeId | undefined
  readonly code: ErrorCode | undefined // why there is no node
  readonly text: string
}

/** A name that the registry gives to a key other than the one it means here. */
export interface ContestedName {
  readonly hostname: string
  readonly fingerprint: string // of the key that the name means
  readonly node: NodeId // whose it is according to the registry
  readonly otherFingerprint: string // of that node's key
}

/** The app that asked which node has a hostname. */
export interface NameApp {
  onName(answer: NameAnswer): void
}

/** The app that asked what the registry knows about a node. */
export interface AboutApp {
  /** @param about undefined if the registry does not know the node, or does not answer (`isReachable` false). */
  onAbout(about: LookupReply | undefined, isReachable: boolean): void
}

/** The app that asked the registry something in its own words. */
export interface RegistryApp {
  onReply(reply: object): void
  /** @param text of the registry; undefined: there was no answer. */
  onRefused(text: string | undefined): void
}

/** Who may talk to us, by node id. */
export interface TrustView {
  readonly trusted: readonly TrustedEntry[]
  readonly pending: readonly PendingEntry[]
  /** Our unanswered requests. */
  readonly outgoing: readonly OutgoingRequest[]
  isTrusted(node: NodeId): boolean
  isRevoked(request: OutgoingRequest): boolean
  /** Trusted or pinned. */
  keyOf(node: NodeId): Uint8Array | undefined
  entryOf(node: NodeId): TrustedEntry | undefined
  /** The name that its key is bound to. */
  hostnameOf(node: NodeId): string | undefined
  /** The registry's name for it, if it is trusted or has requested trust. Unverified. */
  claimOf(node: NodeId): string | undefined
  means(hostname: string, node: NodeId): boolean
  nodeNamed(hostname: string): NodeId | undefined
  /** Names that mean no one, because several trusted keys have them; the keys are base64. */
  readonly ambiguousNames: ReadonlyMap<string, readonly string[]>
}

export interface BeaconView {
  readonly observed: Endpoint | undefined // where it sees us
  readonly silent: boolean
  readonly answeredAt: Instant // -Infinity: never
  readonly unanswered: number // questions since its last answer
  isAnswering(now: Instant): boolean
}

/** How the beacon is reached. */
export interface WayView {
  readonly transport: Transport
  readonly current: 'udp' | 'tcp'
  readonly wantsLink: boolean // a TCP connection to the rendezvous
  readonly isUp: boolean
  readonly carriesTcp: boolean
  readonly fault: string | undefined // why there is none
}

export interface NatView {
  readonly mapping: NatMapping
  readonly filtering: NatFiltering
}
