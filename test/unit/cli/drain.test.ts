/** `pilotgate drain` waits by asking how many connections are open, and never drains a second time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeControl, STATUS } from '../admin/control.ts'
import { run, testWorld } from './world.ts'

test('a drain is requested once; open connections are then polled until none is left', async () => {
  const calls: unknown[][] = []
  let looks = 0
  const control = fakeControl(calls, {
    status: () => ({ ...STATUS, state: 'draining', connections: 3 - Math.min(3, ++looks) }),
  })
  const { code, out } = await run('drain', testWorld({ control }))
  assert.deepEqual([code, calls, looks], [0, [['drain', undefined]], 3])
  assert.match(out, /drained: no open connections/)
})

test('a drain undone in the meantime ends the wait and stays undone', async () => {
  const calls: unknown[][] = []
  const { code, out } = await run('drain --exposure 80', testWorld({ control: fakeControl(calls) }))
  assert.deepEqual([code, calls], [0, [['drain', '80']]])
  assert.match(out, /the drain was undone/)
})

test('resume accepts new connections again, everywhere or for one exposure', async () => {
  const calls: unknown[][] = []
  const world = testWorld({ control: fakeControl(calls) })
  await run('resume', world)
  await run('resume --exposure 80', world)
  assert.deepEqual(calls, [
    ['resume', undefined],
    ['resume', '80'],
  ])
})
