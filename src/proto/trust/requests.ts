/** Requests for trust, ours and those of other nodes, and the decisions about them. */
import type { NodeId } from '../../base/types.ts'

/**
 * The result of another node's request. These are approved: `moved` (a trusted key under a new id), `expected`
 * (according to the caller) and `wished` (we have requested it too).
 */
export type RequestFate =
  | 'pending'
  | 'still_pending'
  | 'moved'
  | 'expected'
  | 'wished'
  | 'already_trusted'
  | 'key_changed'
  | 'full'

/** A request for trust of ours: to a node id, or by a hostname whose node we do not know yet. */
export interface OutgoingRequest {
  readonly peer: string // as the person wrote it
  readonly node: NodeId | undefined
  readonly hostname: string | undefined
  readonly reason: string
  readonly key?: Uint8Array | undefined // the only Ed25519 key that satisfies it; absent: the first that answers
  readonly kept?: boolean // survives a restart: it came from a command, so no configuration repeats it
}

/**
 * A verdict on a request before a person sees it: grant, refuse, or (undefined) neither. `trusted`: the requester
 * already is.
 */
export type TrustJudge = (asker: {
  readonly node: NodeId
  readonly key: Uint8Array
  readonly justification: string
  readonly trusted: boolean
}) => 'accept' | 'refuse' | undefined

/** A request from another node. */
export interface IncomingRequest {
  readonly node: NodeId
  readonly hostname: string | undefined // according to the registry now
  readonly key: Uint8Array // Ed25519, according to the registry
  readonly justification: string
  readonly time: string // RFC 3339
  readonly isExpected: boolean // approve without a person: it shares a network with us, or has a ticket
}

/**
 * The origin of trust. `choice`: a person decided about this peer; only then may its key get a name. `moved`: it was
 * decided before, in whatever way.
 */
export type ApprovedBy = 'choice' | 'ticket' | 'moved' | { readonly network: number }

export interface Approval {
  readonly node: NodeId
  readonly key: Uint8Array
  readonly by: ApprovedBy
  readonly hostname: string | undefined // that was requested, or shown to the person who decided
  readonly mutual: boolean // we had requested it too
  readonly time: string // RFC 3339
}

/** A peer by its Ed25519 key, base64. */
export interface KeyOfPeer {
  readonly kind: 'key'
  readonly publicKey: string
}
