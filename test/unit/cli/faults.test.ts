import { test } from 'node:test'
import assert from 'node:assert/strict'
import { FaultLine, MAX_FAULTS, WINDOW_MS } from '../../../src/cli/faults.ts'

test('a serving process continues after an exception, any other process ends', () => {
  const faults = new FaultLine(() => 0)
  const seen: unknown[] = []
  assert.equal(faults.take(new Error('before')), false)
  const done = faults.contain((error) => void seen.push((error as Error).message))
  assert.equal(faults.take(new Error('while')), true)
  done()
  assert.equal(faults.take(new Error('after')), false)
  assert.deepEqual(seen, ['while'])
})

test('repeated faults end the process; old faults do not count', () => {
  let now = 0
  const faults = new FaultLine(() => now)
  faults.contain(() => {})
  for (let index = 0; index < MAX_FAULTS; index++) assert.ok(faults.take(new Error('x')))
  assert.equal(faults.take(new Error('one too many')), false)
  now += WINDOW_MS
  assert.ok(faults.take(new Error('later')))
})
