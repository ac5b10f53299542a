/** The work a peer's packet can cause does not grow with what it sent before. Measured in operations, not time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  EARLY_SEGMENT_BYTES,
  MAX_GAPS,
  MIN_SEGMENT_BYTES,
  RECEIVE_INITIAL_BYTES,
} from '../../../../src/proto/stream/constants.ts'
import { EarlySegments } from '../../../../src/proto/stream/early.ts'
import { Opening } from '../../../../src/proto/stream/opening.ts'
import { Receiver } from '../../../../src/proto/stream/receive.ts'
import { Scoreboard } from '../../../../src/proto/stream/scoreboard.ts'
import { encodeSynOptions } from '../../../../src/wire/syn-options.ts'
import { Random } from '../../../sim/simulator/random.ts'

/** Look-ups per packet: a binary search of MAX_GAPS, plus one for each reported block. */
const LOOKS_PER_PACKET = 2 * Math.log2(MAX_GAPS)

const ORDERS: Readonly<Record<string, (i: number) => number>> = {
  'every other byte, upwards': (i) => 2 * i + 1,
  'every other byte, downwards': (i) => 40_000 - 2 * i,
  'single bytes, downwards': (i) => 40_000 - i,
  'blocks that grow together from below': (i) => (i % 2 === 0 ? 20_000 - 2 * (i / 2) : 20_001 - 2 * ((i + 1) / 2)),
  'all over the window': (i) => 1 + ((i * 7_919) % 39_999),
}

for (const [name, offsetOf] of Object.entries(ORDERS)) {
  test(`early segments cost the same however many there are: ${name}`, () => {
    const early = new EarlySegments()
    const out = new Float64Array(8)
    for (let i = 0; i < 16_384; i++) {
      const before = early.looks
      early.insert(offsetOf(i), new Uint8Array(1))
      const count = early.blocks(out, 4, true)
      for (let block = 1; block < count; block++)
        assert.ok(out[2 * block]! > out[2 * block - 1]!, 'apart and ascending')
      assert.ok(early.looks - before <= LOOKS_PER_PACKET, `${early.looks - before} looks for packet ${i}`)
    }
  })
}

test('the block that changed last is reported first, and at most MAX_GAPS are kept', () => {
  const early = new EarlySegments()
  const out = new Float64Array(8)
  for (let i = 0; i < MAX_GAPS; i++) assert.equal(early.insert(10 * i + 5, new Uint8Array(1)), 'early')
  assert.equal(early.insert(10 * MAX_GAPS + 5, new Uint8Array(1)), 'refused')
  assert.equal(early.insert(16, new Uint8Array(1)), 'early', 'data that opens no new gap is still accepted')
  assert.equal(early.blocks(out, 4, true), 4)
  assert.deepEqual([...out.subarray(0, 2)], [15, 17])
  assert.equal(early.insert(7, new Uint8Array(8)), 'early')
  assert.equal(early.blocks(out, 1, true), 1)
  assert.deepEqual([...out.subarray(0, 2)], [7, 17])
})

test('blocks match a plain set of offsets for any data in any order', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = new Random(seed)
    const early = new EarlySegments()
    const held = new Set<number>()
    let next = 0
    for (let step = 0; step < 300; step++) {
      const start = next + 1 + random.below(200)
      const bytes = Uint8Array.from({ length: 1 + random.below(20) }, (_, i) => (start + i) & 0xff)
      const holds = bytes.some((_, i) => !held.has(start + i))
      const [firstFree, isFree] = [bytes.findIndex((_, i) => !held.has(start + i)), !held.has(start)]
      if (early.insert(start, bytes) === 'early') {
        assert.ok(holds)
        const from = isFree ? 0 : firstFree
        for (let i = from; i < bytes.length && !held.has(start + i); i++) held.add(start + i)
      }
      assert.equal(early.bytes, held.size)
      if (random.chance(0.1)) next += 1 + random.below(30)
      for (let piece = early.take(next); piece !== undefined; piece = early.take(next)) {
        for (const [i, byte] of piece.entries()) assert.equal(byte, (next + i) & 0xff)
        next += piece.length
      }
      for (const offset of held) if (offset < next) held.delete(offset)
      const all = new Float64Array(2 * MAX_GAPS)
      const count = early.blocks(all, MAX_GAPS, false)
      const told = new Set<number>()
      for (let i = 0; i < count; i++) for (let at = all[2 * i]!; at < all[2 * i + 1]!; at++) told.add(at)
      assert.deepEqual(told, held)
    }
  }
})

test('single bytes out of order count in the budget at their real cost, and a stream holds no more than it was granted', () => {
  const budget = { usedBytes: 0 }
  const receiver = new Receiver(budget, { isToday: false })
  receiver.takeInitialWindow()
  receiver.configure(false)
  receiver.takeWindow()
  let taken = 0
  for (let offset = 1; offset < 100_000; offset += 1)
    if (receiver.handleSegment(offset, new Uint8Array(1), false) === 'early') taken += 1
  assert.equal(taken, RECEIVE_INITIAL_BYTES / EARLY_SEGMENT_BYTES)
  assert.equal(budget.usedBytes, taken * (1 + EARLY_SEGMENT_BYTES))
  receiver.handleSegment(0, new Uint8Array(1), false)
  assert.equal(budget.usedBytes, taken + 1, 'in order they are bytes like others')
  receiver.clear()
  assert.equal(budget.usedBytes, 0)
})

test('acknowledgements of different parts of the same run walk it once', () => {
  const board = new Scoreboard()
  const segments = 10_000
  for (let i = 0; i < segments; i++) board.push(10 * i, 10 * (i + 1), false, 0)
  for (let i = 1; i < segments; i++) board.markSacked(board.at(i))
  for (let i = 1; i < segments; i++) assert.equal(board.behindSacked(i), segments)
  assert.ok(board.looks <= 3 * segments, `${board.looks} looks for ${segments} acknowledgements`)
})

test("a peer that asks for one-byte segments gets no less than TCP's minimum", () => {
  const opening = new Opening(1, true, 61_440)
  opening.agree(encodeSynOptions({ halfClose: true, windowShift: 8, maxSegment: 1, unchecked: true }))
  assert.equal(opening.maxSegment, MIN_SEGMENT_BYTES)
})
