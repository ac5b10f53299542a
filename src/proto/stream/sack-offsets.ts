/** Converts SACK blocks between the wire's 32-bit numbers and stream offsets. */
import { seqAdd, seqDiff } from '../../base/sequence.ts'
import { MAX_SACK_BLOCKS, decodeSack, encodeSack } from '../../wire/sack.ts'

/**
 * @param una, nxt what we have acknowledged and sent; `unaSeq` is `una` on the wire.
 * @returns the blocks in `out` as offset pairs, and their count: 0 if the payload is data, -1 if it has the form of blocks but
 *   is not about bytes of this stream.
 */
export function readSackOffsets(
  payload: Uint8Array,
  una: number,
  nxt: number,
  unaSeq: number,
  out: Float64Array,
): number {
  const count = payload.length > 0 ? decodeSack(payload, 0, payload.length, words) : 0
  for (let i = 0; i < 2 * count; i++) {
    const offset = una + seqDiff(words[i]!, unaSeq)
    if (offset > nxt || offset < 0) return -1 // stream.md §4: only data that we have ever sent; late blocks are still blocks
    out[i] = offset
  }
  return count
}

/** @returns bytes written at packet[at..]. */
export function writeSackOffsets(
  offsets: Float64Array,
  count: number,
  next: number,
  nextSeq: number,
  packet: Uint8Array,
  at: number,
): number {
  for (let i = 0; i < 2 * count; i++) words[i] = seqAdd(nextSeq, offsets[i]! - next)
  return encodeSack(packet, at, words, count)
}

const words = new Uint32Array(2 * MAX_SACK_BLOCKS) // scratch of one call: machines are never re-entered
