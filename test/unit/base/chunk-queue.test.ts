/** Byte arrays in order: the output equals the input, separate or merged. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ChunkQueue } from '../../../src/base/chunk-queue.ts'
import { Random } from '../../sim/simulator/random.ts'

function filled(...sizes: number[]): ChunkQueue {
  const queue = new ChunkQueue()
  for (const [index, size] of sizes.entries()) queue.push(new Uint8Array(size).fill(index + 1))
  return queue
}

function lengths(queue: ChunkQueue, small: number, most: number): number[] {
  const taken: number[] = []
  for (let chunk = queue.shiftTogether(small, most); chunk !== undefined; chunk = queue.shiftTogether(small, most))
    taken.push(chunk.length)
  return taken
}

test('small chunks are merged up to the limit, large ones taken as they are', () => {
  assert.deepEqual(lengths(filled(1_000, 1_000, 1_000, 1_000), 2_000, 2_500), [2_000, 2_000])
  assert.deepEqual(lengths(filled(1_000, 3_000, 1_000, 1_000), 2_000, 9_000), [1_000, 3_000, 2_000])
  assert.deepEqual(lengths(filled(3_000), 2_000, 9_000), [3_000])
  assert.deepEqual(lengths(filled(), 2_000, 9_000), [])
})

test('a lone chunk is handed out itself, not copied', () => {
  const queue = new ChunkQueue()
  const chunk = new Uint8Array(1_000)
  queue.push(chunk)
  assert.equal(queue.shiftTogether(2_000, 9_000), chunk)
})

test('however chunks are pushed and taken, the bytes are the same and in order', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Random(seed)
    const queue = new ChunkQueue()
    const sent: Uint8Array[] = []
    const got: Uint8Array[] = []
    for (let step = 0; step < 300; step++) {
      if (random.chance(0.6)) {
        const chunk = random.bytes(1 + random.below(random.chance(0.2) ? 20_000 : 1_500))
        sent.push(chunk.slice())
        queue.push(chunk)
      } else {
        const chunk = random.chance(0.3) ? queue.shift() : queue.shiftTogether(4_000, 10_000)
        if (chunk !== undefined) got.push(chunk.slice())
      }
    }
    for (
      let chunk = queue.shiftTogether(4_000, 10_000);
      chunk !== undefined;
      chunk = queue.shiftTogether(4_000, 10_000)
    )
      got.push(chunk)
    assert.ok(Buffer.concat(got).equals(Buffer.concat(sent)), `seed ${seed}`)
  }
})
