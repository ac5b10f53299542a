/** Records in, dashboard data out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Sampler } from '../../../src/observe/history.ts'
import { pageData } from '../../../src/observe/page-data.ts'
import { RECENT, STATUS } from '../admin/control.ts'

const NO_HISTORY = { everyMs: 1_000, in: [], out: [] }

test('the dashboard gets the problems that status reports, and not the counters', () => {
  const problems = [{ name: 'udp', state: 'fail', text: 'UDP is blocked', hint: 'Open it.' } as const]
  const { status } = pageData({ ...STATUS, problems }, [], [], RECENT, NO_HISTORY)
  assert.deepEqual(status.problems, problems)
  assert.equal('counters' in status, false)
})

test('what has ended comes newest first, with its cause and label, and the totals are those of all connections', () => {
  const data = pageData(STATUS, [], [], RECENT, NO_HISTORY)
  assert.deepEqual(
    data.ended.map(({ id, label, cause }) => [id, label, cause]),
    [
      [8, 'bob', 'failed'],
      [7, undefined, 'ended'],
    ],
  )
  assert.deepEqual([data.bytesIn, data.bytesOut], [10, 20])
})

test('the history is there before a browser is, in bytes a second, and is bounded', () => {
  let [at, bytesIn] = [0, 0]
  let isUp = false
  const sampler = new Sampler(
    () => (isUp ? { bytesIn, bytesOut: 2 * bytesIn, connections: 1 } : undefined),
    () => at,
  )
  sampler.sample()
  assert.deepEqual(sampler.record.in, [], 'while the gateway starts')
  isUp = true
  sampler.sample()
  for (const more of [1_000, 0, 500]) {
    at += 2_000
    bytesIn += more
    sampler.sample()
  }
  assert.deepEqual(
    [sampler.record.in, sampler.record.out],
    [
      [500, 0, 250],
      [1_000, 0, 500],
    ],
  )
  for (let index = 0; index < 500; index++) {
    at += 1_000
    sampler.sample()
  }
  assert.equal(sampler.record.in.length, 120)
  sampler.stop()
})
