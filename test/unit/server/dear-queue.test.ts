/** Signature checks in turns, so that cheap requests are not behind them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { DearQueue } from '../../../src/server/dear-queue.ts'

test('dear work is done in order, a bounded part of each turn, and refused when it has waited too long', async () => {
  let now = 0
  const queue = new DearQueue(() => now)
  const done: number[] = []
  const late: number[] = []
  for (let i = 0; i < 40_000; i++)
    queue.add((isLate) => {
      ;(isLate ? late : done).push(i)
      if (!isLate) now += 0.25
    })
  assert.equal(done.length, 4, 'at once, as long as the turn has time')
  for (let turn = 1; turn <= 5; turn++) {
    await nextTurn()
    assert.ok(done.length <= 4 + 4 * (turn + 1), `${done.length} after ${turn} turns`)
  }
  while (done.length + late.length < 40_000) await nextTurn()
  assert.deepEqual(
    done,
    Array.from({ length: done.length }, (_, i) => i),
  )
  assert.ok(done.length >= 16_000 && done.length <= 16_010, `${done.length} done`)
  queue.add((isLate) => done.push(isLate ? -1 : -2))
  await nextTurn()
  assert.equal(done.at(-1), -2, 'afterwards work is done again')
})
