/** Requests to a beacon of others: one a second, those of dials first, none for peers that are reached meanwhile. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_PUNCH_REQUESTS, PUNCH_REQUEST_PAUSE_MS } from '../../../../src/proto/path/constants.ts'
import { PunchRequests } from '../../../../src/proto/path/punch-requests.ts'

/** What goes out until `untilMs`, looked at every 10 ms. */
function sent(requests: PunchRequests, fromMs: number, untilMs: number, sought = (_node: number) => true): number[][] {
  const found: number[][] = []
  for (let now = fromMs; now < untilMs; now += 10) {
    const node = requests.poll(now, sought)
    if (node !== undefined) found.push([node, now])
  }
  return found
}

test('our beacon gets every request at once', () => {
  const requests = new PunchRequests()
  for (let node = 1; node <= 50; node++) assert.equal(requests.ask(0, node, false, false), true)
  assert.equal(requests.nextTimeout(), Infinity)
})

test('one of others gets one a second, those of dials first, each node once', () => {
  const requests = new PunchRequests()
  const asked = [
    [101, false],
    [102, false],
    [103, true],
    [104, true],
    [102, false],
  ] as const
  assert.deepEqual(
    asked.map(([node, isUrgent]) => requests.ask(5_000, node, isUrgent, true)),
    [true, false, false, false, false],
  )
  const order = sent(requests, 5_000, 20_000)
  assert.deepEqual(
    order.map(([node]) => node),
    [103, 104, 102],
  )
  for (let i = 0, before = 5_000; i < order.length; before = order[i++]![1]!)
    assert.ok(order[i]![1]! - before >= PUNCH_REQUEST_PAUSE_MS - 1)
  assert.equal(requests.nextTimeout(), Infinity)
})

test('peers that are no longer sought cost no turn, and the queue is bounded', () => {
  const requests = new PunchRequests()
  for (let node = 0; node <= 2 * MAX_PUNCH_REQUESTS; node++) requests.ask(0, node, false, true)
  const order = sent(requests, 0, 3_000, (node) => node >= MAX_PUNCH_REQUESTS - 1)
  assert.deepEqual(
    order.map(([node]) => node),
    [MAX_PUNCH_REQUESTS - 1, MAX_PUNCH_REQUESTS],
  )
})
