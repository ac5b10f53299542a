/**
 * The options that two pilotgates agree on in the payload of SYN and SYN-ACK (extensions.md): "PGO1", then options
 * type(1) length(1) value. Every other peer ignores that payload. An option is in force if both sides sent it.
 */
import { readU16, readU32, writeU16, writeU32 } from '../base/bytes.ts'

export interface SynOptions {
  /** FIN ends the sender's direction only. */
  readonly halfClose: boolean
  /** Our Window field counts units of 2^windowShift bytes, 0..14. */
  readonly windowShift: number | undefined
  /** Largest payload we accept in one packet, bytes, 1..65535. */
  readonly maxSegment: number | undefined
  /** The checksum of our packets may be 0, uncomputed, and so may the peer's: the frame around them is authenticated. */
  readonly unchecked: boolean
}

/** @throws RangeError for a value outside its range. */
export function encodeSynOptions(options: SynOptions): Uint8Array {
  const { halfClose, windowShift, maxSegment, unchecked } = options
  const out = new Uint8Array(MAGIC_BYTES + 2 + 3 + 4 + 2)
  writeU32(out, 0, MAGIC)
  let at = MAGIC_BYTES
  if (halfClose) {
    out[at] = OPTION_HALF_CLOSE
    at += 2
  }
  if (windowShift !== undefined) {
    if (!(windowShift >= 0 && windowShift <= MAX_WINDOW_SHIFT))
      throw new RangeError(`window shift ${windowShift} is not 0..14`)
    out[at] = OPTION_WINDOW_BYTES
    out[at + 1] = 1
    out[at + 2] = windowShift
    at += 3
  }
  if (maxSegment !== undefined) {
    if (!(maxSegment >= 1 && maxSegment <= 0xffff)) throw new RangeError(`segment size ${maxSegment} is not 1..65535`)
    out[at] = OPTION_MAX_SEGMENT
    out[at + 1] = 2
    writeU16(out, at + 2, maxSegment)
    at += 4
  }
  if (unchecked) {
    out[at] = OPTION_UNCHECKED
    at += 2
  }
  return out.subarray(0, at)
}

/**
 * 'absent': not one of our blocks; 'malformed': our magic, but to be treated as absent and counted. The first of a
 * repeated option wins; unknown types are skipped by their length.
 */
export function decodeSynOptions(payload: Uint8Array): SynOptions | 'absent' | 'malformed' {
  if (payload.length < MAGIC_BYTES || readU32(payload, 0) !== MAGIC) return 'absent'
  let halfClose = false
  let windowShift: number | undefined
  let maxSegment: number | undefined
  let unchecked = false
  let at = MAGIC_BYTES
  while (at < payload.length) {
    if (at + 2 > payload.length) return 'malformed'
    const type = payload[at]!
    const length = payload[at + 1]!
    const value = at + 2
    at = value + length
    if (at > payload.length) return 'malformed'
    if (type === OPTION_HALF_CLOSE) {
      if (length !== 0) return 'malformed'
      halfClose = true
    } else if (type === OPTION_WINDOW_BYTES) {
      if (length !== 1 || payload[value]! > MAX_WINDOW_SHIFT) return 'malformed'
      windowShift ??= payload[value]!
    } else if (type === OPTION_MAX_SEGMENT) {
      if (length !== 2 || readU16(payload, value) === 0) return 'malformed'
      maxSegment ??= readU16(payload, value)
    } else if (type === OPTION_UNCHECKED) {
      if (length !== 0) return 'malformed'
      unchecked = true
    }
  }
  return { halfClose, windowShift, maxSegment, unchecked }
}

const MAGIC = 0x5047_4f31 // "PGO1"
const MAGIC_BYTES = 4
const OPTION_HALF_CLOSE = 0x01
const OPTION_WINDOW_BYTES = 0x02
const OPTION_MAX_SEGMENT = 0x03
const OPTION_UNCHECKED = 0x04 // ours (docs/decisions/0018): not in the reference's extensions
const MAX_WINDOW_SHIFT = 14
