/** How many frames may be underway through a relay, and ahead of them on a quicker path (quirk T16). */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { FRAMES_AHEAD, FRAMES_RELAYED } from '../../../../src/proto/node/constants.ts'
import { FrameOrder } from '../../../../src/proto/node/frame-order.ts'

/** @returns how many went. */
function send(order: FrameOrder, now: number, relayRttMs: number | undefined, wanted = 1_000): number {
  let sent = 0
  while (sent < wanted && order.holds(now, relayRttMs)) {
    order.spend(now, relayRttMs)
    sent += 1
  }
  return sent
}

test('frames through the relay are limited for each half of a round trip', () => {
  const order = new FrameOrder()
  assert.equal(send(order, 0, 300), FRAMES_RELAYED)
  assert.equal(send(order, 149, 300), 0)
  assert.equal(send(order, 150, 300), FRAMES_RELAYED)
  assert.ok(2 * FRAMES_RELAYED + FRAMES_AHEAD < 255)
})

test('behind them only some go ahead on another path, until a round trip of the relay has passed', () => {
  const order = new FrameOrder()
  assert.equal(send(order, 0, undefined), 1_000) // nothing was relayed
  send(order, 1_000, 300, 10)
  assert.equal(send(order, 1_010, undefined), FRAMES_AHEAD)
  assert.equal(send(order, 1_299, undefined), 0)
  assert.equal(send(order, 1_300, undefined), 1_000)
})

test('a frame through the relay starts the count again', () => {
  const order = new FrameOrder()
  send(order, 0, 300, 1)
  assert.equal(send(order, 1, undefined), FRAMES_AHEAD)
  send(order, 2, 300, 1)
  assert.equal(send(order, 3, undefined), FRAMES_AHEAD)
})
