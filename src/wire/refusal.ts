/**
 * Why a SYN is refused, in the payload of the RST (extensions.md §1): "PGO1", then type 5, length 1, the reason. Sent only
 * to a pilotgate that has access to the port; every other refusal has no payload.
 */
import { readU32, writeU32 } from '../base/bytes.ts'

/** target_unreachable: the port is exposed, but its service does not accept connections. */
export type RefusalReason = 'target_unreachable'

export function encodeRefusal(reason: RefusalReason): Uint8Array {
  const out = new Uint8Array(REFUSAL_BYTES)
  writeU32(out, 0, MAGIC)
  out.set([TYPE_REFUSAL, 1, REASONS.indexOf(reason)], MAGIC_BYTES)
  return out
}

/** Undefined: no reason, or one that we do not know. */
export function decodeRefusal(payload: Uint8Array): RefusalReason | undefined {
  if (payload.length < REFUSAL_BYTES || readU32(payload, 0) !== MAGIC) return undefined
  const isReason = payload[MAGIC_BYTES] === TYPE_REFUSAL && payload[MAGIC_BYTES + 1] === 1
  return isReason ? REASONS[payload[REFUSAL_BYTES - 1]!] : undefined
}

/** By number; 0 is none. */
const REASONS: readonly (RefusalReason | undefined)[] = [undefined, 'target_unreachable']
const MAGIC = 0x5047_4f31 // "PGO1"
const MAGIC_BYTES = 4
const TYPE_REFUSAL = 0x05
const REFUSAL_BYTES = MAGIC_BYTES + 3
