/** How far an accepted stream may run ahead: reports go in, allowances come out. No daemon, no socket. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { PIECE_BYTES, SendCredit } from '../../../src/runtime/daemon/send-credit.ts'

const SLOT = 4_096

/** Sends all that is allowed, in pieces of `bytes`. @returns how many pieces were sent. */
function sendAll(credit: SendCredit, bytes: number): number {
  let pieces = 0
  for (let allowed = credit.allowance(bytes); allowed > 0; allowed = credit.allowance(bytes)) {
    credit.onSent(allowed)
    pieces += 1
  }
  return pieces
}

test('before any report a stream may send 32 slots, in pieces', () => {
  const credit = new SendCredit()
  assert.equal(credit.allowance(1_000_000), PIECE_BYTES)
  assert.equal(sendAll(credit, 1_000_000), (32 * SLOT) / PIECE_BYTES)
  assert.equal(credit.sentBytes, 32 * SLOT)
})

test('a small piece fills a slot like a large one', () => {
  assert.equal(sendAll(new SendCredit(), 1), 32)
})

test("acknowledged data frees space, as far as the peer's window is open", () => {
  const credit = new SendCredit()
  sendAll(credit, 1_000_000)
  credit.onReport(16 * SLOT, 16 * SLOT, 0)
  assert.equal(credit.allowance(1_000_000), 0, 'the window covers only data in flight')
  credit.onReport(32 * SLOT, 64 * SLOT, 0)
  assert.equal(sendAll(credit, 1_000_000), (64 * SLOT) / PIECE_BYTES)
})

test('a window that shrinks below the flight stops the sender without confusing it', () => {
  const credit = new SendCredit()
  sendAll(credit, 1_000_000)
  credit.onReport(8 * SLOT, 2 * SLOT, 0)
  assert.equal(credit.allowance(1), 0)
  credit.onReport(32 * SLOT, 2 * SLOT, 1)
  assert.equal(sendAll(credit, SLOT), 2)
})

test('a window that is closed with nothing in flight is probed with one segment a second', () => {
  const credit = new SendCredit()
  sendAll(credit, 1_000_000)
  credit.onReport(32 * SLOT, 0, 10_000)
  assert.equal(sendAll(credit, SLOT), 1)
  credit.onReport(33 * SLOT, 0, 10_500)
  assert.equal(sendAll(credit, SLOT), 0)
  credit.onReport(33 * SLOT, 0, 11_001)
  assert.equal(sendAll(credit, SLOT), 1)
})
