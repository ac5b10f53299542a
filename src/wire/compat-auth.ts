/**
 * How a node proves its id on a WebSocket to the rendezvous (today.md U10), three texts:
 *
 *   server → {"type":"auth_challenge","nonce":"<64 hex>","ts":<unix s>}
 *   client → {"type":"auth_reply","node_id":N,"public_key":"<base64>","sig":"<base64>"}
 *   server → {"type":"auth_ok"}                          ours: also "server":"pilotgate"
 *
 * `sig` is the Ed25519 signature of `compat_auth:<node id>:<ts>:<nonce>` by the key that is registered for the id.
 * Afterwards each binary message is one datagram to or from the beacon.
 */
import { fromBase64, toBase64 } from '../base/bytes.ts'
import type { NodeId } from '../base/types.ts'
import { parseJsonObject } from './go-json.ts'

export interface AuthChallenge {
  readonly nonce: string // 64 lower-case hex digits
  readonly ts: number // unix seconds, of the server
}

export interface AuthReply {
  readonly nodeId: NodeId
  readonly publicKey: Uint8Array // 32 bytes
  readonly signature: Uint8Array // 64 bytes
}

export function encodeAuthChallenge({ nonce, ts }: AuthChallenge): string {
  return JSON.stringify({ type: 'auth_challenge', nonce, ts })
}

export function encodeAuthReply({ nodeId, publicKey, signature }: AuthReply): string {
  return JSON.stringify({
    type: 'auth_reply',
    node_id: nodeId,
    public_key: toBase64(publicKey),
    sig: toBase64(signature),
  })
}

/** Ours adds its name, which others ignore. */
export const AUTH_OK = JSON.stringify({ type: 'auth_ok', server: 'pilotgate' })

/** The text that the node signs. */
export function compatAuthText(nodeId: NodeId, { nonce, ts }: AuthChallenge): string {
  return `compat_auth:${nodeId}:${ts}:${nonce}`
}

/** Never throws. @returns undefined for anything else. */
export function parseAuthChallenge(text: string): AuthChallenge | undefined {
  const { type, nonce, ts } = fields(text)
  if (type !== 'auth_challenge' || typeof nonce !== 'string' || !/^[0-9a-f]{64}$/.test(nonce)) return undefined
  return isWhole(ts, Number.MAX_SAFE_INTEGER) ? { nonce, ts } : undefined
}

/** Never throws. @returns undefined for anything else. */
export function parseAuthReply(text: string): AuthReply | undefined {
  const { type, node_id: nodeId, public_key: key, sig } = fields(text)
  if (type !== 'auth_reply' || !isWhole(nodeId, 0xffff_ffff) || nodeId === 0) return undefined
  const publicKey = typeof key === 'string' ? fromBase64(key) : undefined
  const signature = typeof sig === 'string' ? fromBase64(sig) : undefined
  if (publicKey?.length !== 32 || signature?.length !== 64) return undefined
  return { nodeId, publicKey, signature }
}

/** Never throws. */
export function isAuthOk(text: string): boolean {
  return fields(text)['type'] === 'auth_ok'
}

/** The text of an `auth_ok`: is it from a rendezvous of ours? */
export function isOwnServer(text: string): boolean {
  return fields(text)['server'] === 'pilotgate'
}

function fields(text: string): Readonly<Record<string, unknown>> {
  return (text.length > MAX_AUTH_CHARS ? undefined : parseJsonObject(text)) ?? {}
}

function isWhole(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max
}

/** Where the WebSocket is served, and what it is asked for. */
export const COMPAT_PATH = '/v1/compat'
export const COMPAT_PROTOCOL = 'pilot.v1'
/** The largest message either way, bytes: as large as a datagram. */
export const MAX_COMPAT_BYTES = 65_536
/** Three times the longest of these texts. */
const MAX_AUTH_CHARS = 1_024
