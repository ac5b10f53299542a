/**
 * Selective acknowledgement, the payload of an ACK packet (stream.md §4): "SACK" n(1) then n x left(4) right(4),
 * `right` being the sequence number after the last byte. Only its form distinguishes it from user data. Blocks are flat
 * number arrays: left, right, left, right, …
 */
import { readU32, writeU32 } from '../base/bytes.ts'
import { seqLess } from '../base/sequence.ts'

export const MAX_SACK_BLOCKS = 4

/** Largest SACK payload, bytes. */
export const MAX_SACK_BYTES = 37

/**
 * @param count Blocks (pairs) in `blocks`; of more than four the first four are written.
 * @returns Bytes written at out[at ..): 5 + 8 per block, or 0 if there is no block.
 */
export function encodeSack(out: Uint8Array, at: number, blocks: ArrayLike<number>, count: number): number {
  if (count <= 0) return 0
  const written = count < MAX_SACK_BLOCKS ? count : MAX_SACK_BLOCKS
  writeU32(out, at, MAGIC_SACK)
  out[at + 4] = written
  for (let i = 0; i < 2 * written; i++) writeU32(out, at + HEADER_BYTES + 4 * i, blocks[i]!)
  return HEADER_BYTES + BLOCK_BYTES * written
}

/**
 * The reference's test: it swallows every payload for which this is true, whatever it is. A sender must not let a data
 * segment begin like this; splitting it after its first byte is enough.
 */
export function looksLikeSack(bytes: Uint8Array, at: number, length: number): boolean {
  if (length < HEADER_BYTES || readU32(bytes, at) !== MAGIC_SACK) return false
  const count = bytes[at + 4]!
  return count >= 1 && count <= MAX_SACK_BLOCKS && length >= HEADER_BYTES + BLOCK_BYTES * count
}

/**
 * As the reference reads it: extra bytes ignored, edges not compared. Ours is `decodeSack`.
 * @param blocks Receives the edges; at least 2 * MAX_SACK_BLOCKS long.
 * @returns Blocks read, 0 if this is data.
 */
export function decodeSackLoose(bytes: Uint8Array, at: number, length: number, blocks: Uint32Array): number {
  if (!looksLikeSack(bytes, at, length)) return 0
  const count = bytes[at + 4]!
  for (let i = 0; i < 2 * count; i++) blocks[i] = readU32(bytes, at + HEADER_BYTES + 4 * i)
  return count
}

/**
 * Our rule: exactly 5 + 8n bytes, and left before right in serial arithmetic in each block. The caller still has to
 * check that every block lies within what it has sent; data that passes both tests cannot be distinguished from SACK.
 * @param blocks Receives the edges; at least 2 * MAX_SACK_BLOCKS long. Garbage if the result is 0.
 * @returns Blocks read, 0 if this is data.
 */
export function decodeSack(bytes: Uint8Array, at: number, length: number, blocks: Uint32Array): number {
  const count = decodeSackLoose(bytes, at, length, blocks)
  if (length !== HEADER_BYTES + BLOCK_BYTES * count) return 0
  for (let i = 0; i < count; i++) if (!seqLess(blocks[2 * i]!, blocks[2 * i + 1]!)) return 0
  return count
}

const MAGIC_SACK = 0x5341_434b // "SACK"
const HEADER_BYTES = 5
const BLOCK_BYTES = 8
