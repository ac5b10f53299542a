/** The order and the pauses of the outbox, under a clock that the test moves. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_AT_ONCE, MAX_PAUSE_MS, Schedule, type Due } from '../../../../src/proto/messages/schedule.ts'

const entry = (id: string, peer = 'b', kind: 'message' | 'file' = 'message', expiresAt = 1e9) => ({
  id,
  peer,
  kind,
  expiresAt,
})

function all(schedule: Schedule, now: number): Due[] {
  const due: Due[] = []
  for (let next = schedule.poll(now); next !== undefined; next = schedule.poll(now)) due.push(next)
  return due
}

test('messages to one peer continuee after the other; a file and other peers go beside them', () => {
  const schedule = new Schedule(() => 0.5)
  for (const each of [entry('1'), entry('2'), entry('3', 'b', 'file'), entry('4', 'c')]) schedule.add(0, each)
  assert.deepEqual(
    all(schedule, 0).map(({ id }) => id),
    ['1', '3', '4'],
  )
  schedule.settle(10, '1', 'gone')
  assert.deepEqual(all(schedule, 10), [{ do: 'try', id: '2' }])
})

test('pauses double to a minute, and end when the peer is heard', () => {
  const schedule = new Schedule(() => 0.5)
  schedule.add(0, entry('1'))
  const pauses: number[] = []
  let now = 0
  for (let i = 0; i < 8; i++) {
    assert.equal(all(schedule, now).length, 1)
    schedule.settle(now, '1', 'later')
    assert.deepEqual(all(schedule, now), [])
    pauses.push(schedule.nextAt - now)
    now = schedule.nextAt
  }
  assert.deepEqual(pauses, [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000])
  all(schedule, now)
  schedule.settle(now, '1', 'later')
  schedule.wake(now, (peer) => peer === 'c')
  assert.deepEqual(all(schedule, now), [])
  schedule.wake(now, (peer) => peer === 'b')
  assert.deepEqual(all(schedule, now), [{ do: 'try', id: '1' }])
})

test('one that the peer refuses lets the others pass', () => {
  const schedule = new Schedule(() => 0.5)
  schedule.add(0, entry('1'))
  schedule.add(0, entry('2'))
  all(schedule, 0)
  schedule.settle(0, '1', 'refused')
  assert.deepEqual(all(schedule, 2_000), [{ do: 'try', id: '2' }])
})

test('what is too old is given up, but not in the middle of a try', () => {
  const schedule = new Schedule(() => 0.5)
  schedule.add(0, entry('1', 'b', 'message', 5_000))
  schedule.add(0, entry('2', 'b', 'message', 5_000))
  assert.deepEqual(all(schedule, 0), [{ do: 'try', id: '1' }])
  assert.deepEqual(all(schedule, 6_000), [{ do: 'expire', id: '2' }])
  schedule.settle(6_000, '1', 'later')
  assert.deepEqual(all(schedule, 6_000), [{ do: 'expire', id: '1' }])
  assert.equal(schedule.nextAt, Infinity)
})

test('only some peers are tried at once, and one that was set aside can be removed', () => {
  const schedule = new Schedule(() => 0.5)
  for (let i = 0; i < MAX_AT_ONCE + 2; i++) schedule.add(0, entry(`${i}`, `peer-${i}`))
  assert.equal(all(schedule, 0).length, MAX_AT_ONCE)
  assert.equal(schedule.remove('0'), false)
  assert.equal(schedule.remove(`${MAX_AT_ONCE}`), true)
  schedule.settle(0, '0', 'gone')
  assert.deepEqual(all(schedule, 0), [{ do: 'try', id: `${MAX_AT_ONCE + 1}` }])
})

test('a clock that is set back does not hold anything up', () => {
  const schedule = new Schedule(() => 0.5)
  schedule.add(1e9, entry('1', 'b', 'message', 2e9))
  all(schedule, 1e9)
  schedule.settle(1e9, '1', 'later')
  assert.deepEqual(all(schedule, 1e9 - 10 * MAX_PAUSE_MS), [{ do: 'try', id: '1' }])
})
