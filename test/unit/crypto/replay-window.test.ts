/** replay.json, a simple model as oracle for other sizes, and the windows per prefix. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { PrefixWindows, ReplayWindow } from '../../../src/crypto/replay-window.ts'
import { counterHalves, loadVectors } from '../../vectors/load.ts'

for (const sequence of loadVectors<{ sequences: Sequence[] }>('replay').sequences) {
  test(`decides as the reference: ${sequence.name}`, () => {
    const window = new ReplayWindow(256)
    sequence.steps.forEach(({ counter, accept, highest_after: highest }, i) => {
      const { high, low } = counterHalves(counter)
      assert.equal(window.accept(high, low), accept, `step ${i}: ${counter}`)
      assert.deepEqual(
        [window.highestHigh, window.highestLow],
        Object.values(counterHalves(highest)),
        `step ${i}: ${counter}`,
      )
    })
  })
}

// The reference checks its window before the tag, so a forged frame moves it. We check afterwards, and deliver what it
// loses.
const LOST_BY_THE_REFERENCE: Readonly<Record<string, readonly string[]>> = {
  'forged frame with a huge counter': ['3', '4'],
}

for (const sequence of loadVectors<{ sequences_with_authentication: AuthenticatedSequence[] }>('replay')
  .sequences_with_authentication) {
  test(`checked only for authentic frames, delivers what the reference delivers and what it loses: ${sequence.name}`, () => {
    const window = new ReplayWindow(256)
    for (const { counter, tag_valid: tagValid, delivered } of sequence.steps) {
      const { high, low } = counterHalves(counter)
      const lost = LOST_BY_THE_REFERENCE[sequence.name]?.includes(counter) === true
      assert.equal(tagValid && window.accept(high, low), delivered || lost, counter)
    }
  })
}

for (const slots of [32, 96, 256, 1024, 1056]) {
  test(`a window of ${slots} agrees with a set of all counters seen, also across 2^32`, () => {
    let seed = slots
    const random = (limit: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
      return (seed >>> 8) % limit
    }
    const window = new ReplayWindow(slots)
    const seen = new Set<bigint>()
    let highest = 2n ** 32n - 3000n
    for (let i = 0; i < 20_000; i++) {
      const jump = random(50) === 0 ? random(3 * slots) : random(4)
      const counter = random(3) === 0 ? highest + BigInt(jump) : highest - BigInt(random(slots + slots / 4))
      const expected = seen.size === 0 || counter > highest || (highest - counter < BigInt(slots) && !seen.has(counter))
      const { high, low } = counterHalves(counter.toString())
      assert.equal(window.has(high, low), seen.has(counter) && highest - counter < BigInt(slots), `has ${counter}`)
      assert.equal(window.accept(high, low), expected, `${counter} after ${highest}`)
      if (!expected) continue
      seen.add(counter)
      if (seen.size === 1 || counter > highest) highest = counter
    }
    assert.ok(highest > 2n ** 32n, 'the wrap of the low half was crossed')
  })
}

test("a width that is not a multiple of 32, or absurdly large, is the caller's bug", () => {
  for (const slots of [0, 16, 33, -32, 65_568, Number.NaN]) assert.throws(() => new ReplayWindow(slots), RangeError)
})

test('each prefix has its own window, and an old one resumes where it was', () => {
  const windows = new PrefixWindows(256, 4)
  for (const prefix of [0, 0xffff_ffff, 7]) {
    assert.equal(windows.accept(prefix, 0, 1), 'accept')
    assert.equal(windows.accept(prefix, 0, 1), 'replay')
    assert.equal(windows.accept(prefix, 0, 2), 'accept')
  }
  assert.equal(windows.accept(0, 0, 2), 'replay')
  assert.equal(windows.accept(0, 0, 3), 'accept')
  assert.equal(windows.size, 3)
})

test('one prefix too many stays refused, and the others still work', () => {
  const windows = new PrefixWindows(32, 2)
  assert.equal(windows.accept(1, 0, 1), 'accept')
  assert.equal(windows.accept(2, 0, 1), 'accept')
  assert.equal(windows.accept(3, 0, 1), 'too_many_prefixes')
  assert.equal(windows.accept(3, 0, 1), 'too_many_prefixes')
  assert.equal(windows.accept(2, 0, 1), 'replay')
  assert.equal(windows.accept(1, 0, 2), 'accept')
  assert.equal(windows.size, 2)
})

test('counter 0 is accepted once, first or late', () => {
  const windows = new PrefixWindows(256, 2)
  assert.equal(windows.accept(1, 0, 0), 'accept')
  assert.equal(windows.accept(1, 0, 0), 'replay')
  assert.equal(windows.accept(1, 0, 5), 'accept')
  assert.equal(windows.accept(1, 0, 0), 'replay')
  assert.equal(windows.accept(2, 0, 9), 'accept')
  assert.equal(windows.accept(2, 0, 0), 'accept')
  assert.equal(windows.accept(2, 0, 0), 'replay')
})

interface Sequence {
  name: string
  steps: { counter: string; accept: boolean; highest_after: string }[]
}
interface AuthenticatedSequence {
  name: string
  steps: { counter: string; tag_valid: boolean; delivered: boolean }[]
}
