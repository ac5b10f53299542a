/** Sweeps in slices: everything has its turn, and none takes long. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rounds } from '../../../../src/server/registry/rounds.ts'

test('a large table is walked once in a round, a slice at a time, also while entries come and go', () => {
  const table = new Map(Array.from({ length: 60_000 }, (_, i) => [i, i]))
  const rounds = new Rounds(table, 60_000)
  const seen = new Map<number, number>()
  let longest = 0
  for (let second = 1_000_000; second < 1_000_061; second++) {
    const slice = [...rounds.take(second * 1_000)]
    if (second > 1_000_000) longest = Math.max(longest, slice.length)
    for (const entry of slice) seen.set(entry, (seen.get(entry) ?? 0) + 1)
    table.delete(second % 1_000)
    table.set(100_000 + second, 100_000 + second)
  }
  assert.ok(longest <= 1_010, `${longest} in one slice`)
  for (let i = 1_000; i < 60_000; i++) assert.ok((seen.get(i) ?? 0) >= 1, `${i} had no turn`)
})

test('a small table has its turn each time, whatever its size', () => {
  for (const size of [0, 1, 999, 1_000, 1_001]) {
    const rounds = new Rounds(new Map(Array.from({ length: size }, (_, i) => [i, i])), 60_000)
    const turns = Array.from({ length: 4 }, (_, second) => [...rounds.take(second * 1_000)].length)
    assert.ok(turns.slice(0, 2).reduce((a, b) => a + b, 0) >= size, `${size}: ${turns.join(', ')}`)
    if (size > 0) assert.ok(turns.every((count) => count > 0))
  }
})
