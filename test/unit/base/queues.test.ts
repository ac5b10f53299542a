/** Ring, chunk queue and deadline heap against plain arrays, with seeded random commands. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { concatBytes, toHex } from '../../../src/base/bytes.ts'
import { ChunkQueue } from '../../../src/base/chunk-queue.ts'
import { DeadlineHeap, type Timed } from '../../../src/base/deadline-heap.ts'
import { Ring } from '../../../src/base/ring.ts'

for (const seed of [1, 2, 3]) {
  test(`a ring behaves like an array (seed ${seed})`, () => {
    const random = randomSource(seed)
    const ring = new Ring<number>()
    const model: number[] = []
    for (let i = 0; i < 3000; i++) {
      const what = random(8)
      if (what < 4) {
        ring.push(i)
        model.push(i)
      } else if (what < 7) assert.equal(ring.shift(), model.shift())
      else if (model.length > 0) {
        ring.replaceLast(-i)
        model[model.length - 1] = -i
      }
      assert.equal(ring.size, model.length)
      assert.equal(ring.last, model.at(-1))
      const at = random(10) - 1
      assert.equal(ring.at(at), at < 0 ? undefined : model[at])
    }
    ring.clear()
    assert.equal(ring.shift(), undefined)
  })

  test(`a chunk queue returns the bytes put in, and returned bytes never change (seed ${seed})`, () => {
    const random = randomSource(seed)
    const queue = new ChunkQueue()
    const put: Uint8Array[] = []
    const got: { chunk: Uint8Array; hexThen: string }[] = []
    const take = (): void => {
      const chunk = queue.shift()
      if (chunk !== undefined) got.push({ chunk, hexThen: toHex(chunk) })
    }
    for (let i = 0; i < 2000; i++) {
      if (random(3) > 0) {
        const chunk = Uint8Array.from({ length: random(5) === 0 ? 600 : random(40) }, () => random(256))
        put.push(chunk)
        queue.push(chunk)
      } else take()
    }
    while (queue.size > 0) take()
    assert.equal(toHex(concatBytes(...got.map(({ chunk }) => chunk))), toHex(concatBytes(...put)))
    for (const { chunk, hexThen } of got) assert.equal(toHex(chunk), hexThen)
  })

  test(`a deadline heap returns exactly the due items, however deadlines move (seed ${seed})`, () => {
    const random = randomSource(seed)
    const heap = new DeadlineHeap<Item>()
    const items = Array.from({ length: 40 }, (): Item => new Item())
    for (let now = 0; now < 2000; now++) {
      const item = items[random(items.length)]!
      if (random(10) === 0) {
        heap.remove(item)
        item.deadline = Infinity
      } else {
        item.deadline = random(12) === 0 ? Infinity : now + 1 + random(60)
        heap.update(item)
      }
      assert.ok(heap.earliest <= Math.min(...items.map(({ deadline }) => deadline)))
      const due = new Set(items.filter(({ deadline }) => deadline <= now))
      for (let next = heap.popDue(now); next !== undefined; next = heap.popDue(now)) {
        assert.ok(due.delete(next), 'due, and only once')
        next.deadline = Infinity
      }
      assert.equal(due.size, 0, `${due.size} forgotten at ${now}`)
    }
  })
}

class Item implements Timed {
  heapIndex = -1
  heapKey = 0
  deadline = Infinity
  nextTimeout(): number {
    return this.deadline
  }
}

function randomSource(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state >>> 9) % limit
  }
}

test('an item put in front of a ring comes first, even if the ring is full or empty', () => {
  const ring = new Ring<number>()
  ring.unshift(1)
  for (let i = 2; i <= 5; i++) ring.unshift(i)
  ring.push(0)
  assert.deepEqual(
    Array.from({ length: 6 }, () => ring.shift()),
    [5, 4, 3, 2, 1, 0],
  )
  assert.equal(ring.shift(), undefined)
})
