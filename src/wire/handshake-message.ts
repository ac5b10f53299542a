/**
 * Trust handshake messages, one JSON object on a stream to port 444 (trust.md §3). The receiver reads only the first
 * segment, so a message must fit into the smallest segment in use.
 */
import { fromUtf8, utf8 } from '../base/bytes.ts'
import type { NodeId } from '../base/types.ts'
import { countField, formatGoJson, parseJsonObject, textField } from './go-json.ts'

export type HandshakeType = 'handshake_request' | 'handshake_accept' | 'handshake_reject' | 'handshake_revoke'

export interface HandshakeMessage {
  readonly type: HandshakeType
  readonly nodeId: NodeId // the sender, as it claims
  readonly publicKey: string // base64; '' when absent
  readonly justification: string // of a request
  readonly signature: string // base64, over handshakeChallenge(sender, receiver); '' when absent
  readonly reason: string // of a rejection or revocation
  readonly timestamp: number // unix seconds
}

export type HandshakeFault = 'too_long' | 'not_json' | 'unknown_type' | 'bad_field'

/**
 * Our messages are shorter than this, so they fit into one segment on every path (1,152 bytes, minus a stream's
 * overhead).
 */
export const MAX_HANDSHAKE_BYTES = 1100

/**
 * Of a justification or a reason, in UTF-8: even if every byte needs six in JSON ("<" is \u003c) the message stays
 * below MAX_HANDSHAKE_BYTES.
 */
export const MAX_JUSTIFICATION_BYTES = 128

/** Largest message we read: the reference sends at most one segment of 4,096 bytes. */
export const MAX_RECEIVED_HANDSHAKE_BYTES = 8192

/** Byte for byte what the reference sends: all seven fields, in this order. */
export function formatHandshakeMessage(message: HandshakeMessage): Uint8Array {
  return utf8(
    formatGoJson({
      type: message.type,
      node_id: message.nodeId,
      public_key: message.publicKey,
      justification: message.justification,
      signature: message.signature,
      reason: message.reason,
      timestamp: message.timestamp,
    }),
  )
}

/**
 * Never throws. Unknown fields are ignored, absent texts are ''. Nothing is verified: not the signature, the age, or
 * that `nodeId` is the sender.
 */
export function parseHandshakeMessage(bytes: Uint8Array): HandshakeMessage | HandshakeFault {
  if (bytes.length > MAX_RECEIVED_HANDSHAKE_BYTES) return 'too_long'
  const record = parseJsonObject(fromUtf8(bytes))
  if (record === undefined) return 'not_json'
  const type = record['type']
  if (!isHandshakeType(type)) return 'unknown_type'
  const nodeId = countField(record, 'node_id', 0xffff_ffff)
  const publicKey = textField(record, 'public_key')
  const justification = textField(record, 'justification')
  const signature = textField(record, 'signature')
  const reason = textField(record, 'reason')
  const timestamp = countField(record, 'timestamp', Number.MAX_SAFE_INTEGER)
  if (nodeId === undefined || publicKey === undefined || justification === undefined) return 'bad_field'
  if (signature === undefined || reason === undefined || timestamp === undefined) return 'bad_field'
  return { type, nodeId, publicKey, justification, signature, reason, timestamp }
}

/** The text that the sender of any of the four messages signs. */
export function handshakeChallenge(from: NodeId, to: NodeId): string {
  return `handshake:${from}:${to}`
}

function isHandshakeType(value: unknown): value is HandshakeType {
  return (
    value === 'handshake_request' ||
    value === 'handshake_accept' ||
    value === 'handshake_reject' ||
    value === 'handshake_revoke'
  )
}
