/** The input of a handler, and how a request proves its sender (registry.md §2). */
import type { Endpoint, NodeId } from '../../base/types.ts'
import type { AuditLog } from './audit-log.ts'
import type { BeaconList } from './beacon-list.ts'
import type { Account, Directory, LiveNode, RepeatedProofs } from './directory.ts'
import type { Fields } from './fields.ts'
import type { InviteBox } from './invite-box.ts'
import type { Mailboxes } from './mailboxes.ts'
import type { NetworkTable } from './network-table.ts'
import type { RegistryOptions } from './options.ts'
import type { RateLimiter } from './rate-limiter.ts'
import type { ClientSession } from './session.ts'
import type { TrustTable } from './trust-table.ts'
import { fromBase64, utf8 } from '../../base/bytes.ts'
import { verifySignature } from '../../crypto/identity.ts'
import { sameSecret } from './secrets.ts'

/** @returns The reply, or the text of a refusal; registry.ts decides how much of the text the client may see. */
export type Handler = (call: Call) => object | string

export interface Call {
  readonly now: number // unix ms
  readonly source: Endpoint // of the TCP connection
  readonly request: Fields
  /** Of the connection; undefined if there is none, as in tests. */
  readonly session: ClientSession | undefined
  /** The key whose session covers this request, base64; undefined: it is signed in the older form, or not at all. */
  readonly signer: string | undefined
  readonly directory: Directory
  readonly trust: TrustTable
  readonly networks: NetworkTable
  readonly mailboxes: Mailboxes
  readonly invites: InviteBox
  readonly beacons: BeaconList
  readonly audit: AuditLog
  readonly limiter: RateLimiter
  readonly options: RegistryOptions
}

type Challenge = (nodeId: NodeId) => string

/** The live node in `field`, if it signed the request; otherwise the refusal. */
export function authenticate(call: Call, field: string, challenge: Challenge): LiveNode | string {
  const nodeId = call.request.number(field)
  const node = call.directory.live(nodeId)
  if (node === undefined) return notFound(nodeId)
  return signatureProblem(call, node.account.publicKey, challenge(nodeId)) ?? node
}

/**
 * The same for a request that a node repeats with the same challenge all its life. Ed25519 is deterministic, so the
 * signature repeats too, and comparing it with the last good one saves a third of a millisecond. A replay by another
 * node is as valid as it always was.
 */
export function authenticateRepeated(call: Call, challenge: Challenge): LiveNode | string {
  const node = call.directory.live(call.request.number('node_id'))
  if (node !== undefined && isRepeated(call.directory, call.request) && !mustUseSession(call, node.account)) return node
  const proven = authenticate(call, 'node_id', challenge)
  const proof = PROOFS.get(call.request.text('type'))
  const isConstant = call.signer === undefined && call.request.number('ts') === 0
  if (typeof proven !== 'string' && isConstant && proof !== undefined) proven[proof] = call.request.text('signature')
  return proven
}

/** Does the request carry the last good signature of its kind? One that names the time never does. */
export function isRepeated(directory: Directory, request: Fields): boolean {
  const proof = PROOFS.get(request.text('type'))
  const signature = request.number('ts') === 0 ? request.text('signature') : ''
  return proof !== undefined && signature !== '' && directory.live(request.number('node_id'))?.[proof] === signature
}

/** The same, or the admin token instead of the signature. */
export function authenticateOrAdmin(call: Call, field: string, challenge: Challenge): LiveNode | string {
  if (!isAdmin(call)) return authenticate(call, field, challenge)
  const nodeId = call.request.number(field)
  return call.directory.live(nodeId) ?? notFound(nodeId)
}

/** Undefined if `signature` is the key's over `challenge`. The text for a wrong one is masked for clients. */
export function signatureProblem(call: Call, publicKey: string, challenge: string): string | undefined {
  if (call.signer !== undefined) return call.signer === publicKey ? undefined : 'signature verification failed'
  const text = call.request.text('signature')
  if (text === '') return SIGNATURE_REQUIRED
  const account = call.directory.accountByKey(publicKey)
  if (account !== undefined && mustUseSession(call, account)) return 'invalid signature: this key signs sessions'
  const signature = fromBase64(text)
  if (signature === undefined) return `invalid signature encoding: ${base64Problem(text)}`
  const key = fromBase64(publicKey)
  if (key !== undefined && verifySignature(key, utf8(challenge), signature, account?.signedOnce)) return undefined
  return 'signature verification failed'
}

/** A key that opened a session once gives no other signatures: what looks like one is a replay. */
function mustUseSession(call: Call, account: Account): boolean {
  return account.usesSessions && !call.options.compat.has('old-signatures')
}

/** Does the request name its sender? `signatureProblem` checks whether that is true. */
export function isSigned(call: Call): boolean {
  return call.signer !== undefined || call.request.text('signature') !== ''
}

/** Does the request carry the server's admin token? Never true if none is configured. */
export function isAdmin(call: Call): boolean {
  const { adminToken } = call.options
  return adminToken !== undefined && sameSecret(call.request.text('admin_token'), adminToken)
}

/** The refusal for admin-only requests, in the reference's words, or undefined for the admin. */
export function adminProblem(call: Call): string | undefined {
  if (call.options.adminToken === undefined) return 'no administration without a configured token'
  return isAdmin(call) ? undefined : 'invalid admin token'
}

/** The reference's text. Bad padding is reported at the end, where it is. */
export function base64Problem(text: string): string {
  const at = text.search(/[^A-Za-z0-9+/]/)
  return `illegal base64 data at input byte ${at < 0 ? text.length : at}`
}

export function notFound(nodeId: NodeId): string {
  return `node ${nodeId}: node not found`
}

export const SIGNATURE_REQUIRED = 'signature required for authenticated node'
/** Requests that a node repeats, and where their last good signature is. */
const PROOFS: ReadonlyMap<string, keyof RepeatedProofs> = new Map([
  ['heartbeat', 'heartbeatProof'],
  ['poll_handshakes', 'pollProof'],
])
