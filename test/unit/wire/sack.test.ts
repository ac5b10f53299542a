/** sack.json: encoding, the reference's loose reading, and where ours is stricter. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { toHex } from '../../../src/base/bytes.ts'
import {
  decodeSack,
  decodeSackLoose,
  encodeSack,
  looksLikeSack,
  MAX_SACK_BLOCKS,
  MAX_SACK_BYTES,
} from '../../../src/wire/sack.ts'
import { hex, loadVectors } from '../../vectors/load.ts'

const vectors = loadVectors<SackVectors>('sack')

test('blocks are encoded as recorded, the first four of more, and nothing for none', () => {
  for (const vector of vectors.encode) {
    const out = new Uint8Array(3 + MAX_SACK_BYTES)
    const written = encodeSack(out, 3, flat(vector.blocks), vector.blocks.length)
    assert.equal(toHex(out.subarray(3, 3 + written)), vector.encoded ?? '', vector.name)
    const blocks = new Uint32Array(2 * MAX_SACK_BLOCKS)
    const count = decodeSackLoose(out, 3, written, blocks)
    assert.deepEqual([...blocks.subarray(0, 2 * count)], flat(vector.decodes_to ?? []), vector.name)
  }
})

test('the loose parser accepts exactly what the reference accepts', () => {
  for (const vector of vectors.decode) {
    const bytes = hex(vector.input)
    assert.equal(looksLikeSack(bytes, 0, bytes.length), vector.is_sack, vector.name)
    const blocks = new Uint32Array(2 * MAX_SACK_BLOCKS)
    const count = decodeSackLoose(bytes, 0, bytes.length, blocks)
    assert.deepEqual([...blocks.subarray(0, 2 * count)], flat(vector.blocks ?? []), vector.name)
  }
})

test('the strict parser accepts of those only exact lengths with ordered edges', () => {
  for (const vector of vectors.decode) {
    const bytes = hex(vector.input)
    const blocks = vector.blocks ?? []
    const exact = bytes.length === 5 + 8 * blocks.length && blocks.every(({ left, right }) => ((left - right) | 0) < 0)
    const expected = vector.is_sack && exact ? blocks.length : 0
    assert.equal(decodeSack(bytes, 0, bytes.length, new Uint32Array(8)), expected, vector.name)
  }
})

test('the strict parser accepts a block that wraps and refuses an empty one', () => {
  assert.equal(strict('5341434b01ffffff0000000100'), 1)
  assert.equal(strict('5341434b01ffffffffffffffff'), 0)
  assert.equal(strict('5341434b01000000c800000064'), 0)
})

test('user data that looks like SACK is detected by a sender, but not without its first byte', () => {
  for (const { name, payload, delivered_to_application: delivered } of vectors.ambiguity.cases) {
    const bytes = hex(payload)
    assert.equal(looksLikeSack(bytes, 0, bytes.length), !delivered, name)
    assert.equal(looksLikeSack(bytes, 0, 1), false, name)
    assert.equal(looksLikeSack(bytes, 1, bytes.length - 1), false, name)
  }
})

test('the given length counts, not the rest of the buffer', () => {
  const bytes = hex('ffff5341434b010000000100000002ffff')
  assert.equal(decodeSack(bytes, 2, 13, new Uint32Array(8)), 1)
  assert.equal(decodeSack(bytes, 2, 12, new Uint32Array(8)), 0)
  assert.equal(decodeSack(bytes, 2, 14, new Uint32Array(8)), 0)
  assert.equal(looksLikeSack(bytes, 2, 4), false)
})

interface Block {
  left: number
  right: number
}
interface SackVectors {
  encode: { name: string; blocks: Block[]; encoded: string | null; decodes_to?: Block[] }[]
  decode: { name: string; input: string; is_sack: boolean; blocks?: Block[] }[]
  ambiguity: { cases: { name: string; payload: string; delivered_to_application: boolean }[] }
}

function flat(blocks: readonly Block[]): number[] {
  return blocks.flatMap(({ left, right }) => [left, right])
}

function strict(text: string): number {
  const bytes = hex(text)
  return decodeSack(bytes, 0, bytes.length, new Uint32Array(8))
}
