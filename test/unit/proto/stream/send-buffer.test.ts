/** The send buffer against its simplest model: one long array. Random operations, seeded. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SendBuffer } from '../../../../src/proto/stream/send-buffer.ts'
import { Random } from '../../../sim/simulator/random.ts'

for (let seed = 1; seed <= 20; seed++) {
  test(`any range still held is copied as it was written, whatever was written and released between (seed ${seed})`, () => {
    const random = new Random(seed)
    const buffer = new SendBuffer({ usedBytes: 0 })
    let written = new Uint8Array(0)
    let released = 0
    let next = 0
    for (let step = 0; step < 2_000; step++) {
      const what = random.below(10)
      if (what < 5) {
        const chunk = random.bytes(1 + random.below(random.chance(0.2) ? 5_000 : 40))
        written = Buffer.concat([written, chunk])
        buffer.append(chunk)
      } else if (what < 8) {
        const start = random.chance(0.7) ? next : released + random.below(next - released + 1)
        const length = Math.min(random.below(3_000), written.length - start)
        const out = new Uint8Array(length + 3)
        buffer.copy(start, length, out, 3)
        assert.deepEqual(out.subarray(3), new Uint8Array(written.subarray(start, start + length)))
        next = Math.max(next, start + length)
      } else {
        released += random.below(next - released + 1)
        buffer.release(released)
      }
      assert.equal(buffer.end, written.length)
      assert.ok(buffer.bytes >= written.length - released)
    }
  })
}

test("requesting bytes that are not held is the caller's bug, and throws", () => {
  const buffer = new SendBuffer({ usedBytes: 0 })
  buffer.append(new Uint8Array(10))
  assert.throws(() => buffer.copy(5, 10, new Uint8Array(10), 0), RangeError)
})
