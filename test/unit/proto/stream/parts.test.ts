/** The parts of a stream on their own: round-trip time, congestion window, data in flight, data received. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  RECEIVE_INITIAL_BYTES,
  RTO_INITIAL_MS,
  RTO_MAX_MS,
  RTO_MIN_MS,
} from '../../../../src/proto/stream/constants.ts'
import { Receiver } from '../../../../src/proto/stream/receive.ts'
import { RttEstimator } from '../../../../src/proto/stream/rtt.ts'
import { Scoreboard } from '../../../../src/proto/stream/scoreboard.ts'
import { Random } from '../../../sim/simulator/random.ts'

test('the timeout begins at one second, follows the samples, and stays within its bounds (RFC 6298)', () => {
  const rtt = new RttEstimator()
  assert.equal(rtt.rtoMs, RTO_INITIAL_MS)
  rtt.onSample(100)
  assert.equal(rtt.rtoMs, 300)
  for (let i = 0; i < 100; i++) rtt.onSample(100)
  assert.equal(rtt.rtoMs, RTO_MIN_MS)
  for (let i = 0; i < 20; i++) rtt.backOff()
  assert.equal(rtt.rtoMs, RTO_MAX_MS)
  rtt.clearBackoff()
  assert.equal(rtt.rtoMs, RTO_MIN_MS)
  assert.throws(() => rtt.onSample(-1), RangeError)
  assert.throws(() => rtt.onSample(Number.NaN), RangeError)
})

test('a sample of zero is a very fast path, not the absence of one', () => {
  const rtt = new RttEstimator()
  rtt.onSample(0)
  assert.ok(rtt.srttMs > 0)
  assert.equal(rtt.rtoMs, RTO_MIN_MS)
})

test('whatever happens to segments, the counts of the scoreboard are those of a plain list', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Random(seed)
    const board = new Scoreboard()
    let end = 0
    for (let step = 0; step < 2_000; step++) {
      const what = random.below(6)
      const index = random.below(Math.max(1, board.size))
      if (what < 2) board.push(end, (end += 1 + random.below(3_000)), false, step)
      else if (board.size === 0) continue
      else if (what === 2) board.shift()
      else if (what === 3) board.markSacked(board.at(index))
      else if (what === 4) board.markLost(board.at(index))
      else if (!board.at(index).sacked) {
        const { start, end: until } = board.at(index)
        if (until - start > 1 && random.chance(0.3)) board.split(index, start + 1 + random.below(until - start - 1))
        board.markResent(board.at(index), step)
      }
      check(board)
    }
  }
})

function check(board: Scoreboard): void {
  let [flight, sacked, lost, resent] = [0, 0, 0, 0]
  for (let i = 0; i < board.size; i++) {
    const segment = board.at(i)
    if (i > 0) assert.equal(segment.start, board.at(i - 1).end, 'no gap between segments')
    if (segment.sacked) sacked += 1
    else if (segment.lost) lost += 1
    else flight += segment.end - segment.start
    if (segment.transmissions > 1) resent += 1
  }
  assert.deepEqual(
    [board.flightBytes, board.sackedCount, board.lostCount, board.retransmittedCount],
    [flight, sacked, lost, resent],
  )
}

test('segments in any order, split in any way, duplicated and overlapping, are read as one piece', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = new Random(seed)
    const receiver = new Receiver({ usedBytes: 0 }, { isToday: false })
    receiver.configure(false)
    receiver.takeInitialWindow()
    const sent = random.bytes(60_000)
    const got: Uint8Array[] = []
    while (!receiver.finished) {
      const start = random.chance(0.3) ? receiver.next : random.below(sent.length)
      const end = Math.min(sent.length, start + 1 + random.below(3_000))
      receiver.handleSegment(start, sent.slice(start, end), end === sent.length)
      if (random.chance(0.3))
        for (let chunk = receiver.read(); chunk !== undefined; chunk = receiver.read()) got.push(chunk)
      receiver.takeWindow()
    }
    for (let chunk = receiver.read(); chunk !== undefined; chunk = receiver.read()) got.push(chunk)
    assert.ok(Buffer.concat(got).equals(sent), `seed ${seed}`)
    assert.equal(receiver.queuedBytes, 0)
    assert.equal(receiver.hasGap, false)
  }
})

test('nothing is accepted beyond the advertised window, and the window never shrinks by more than its unit', () => {
  const receiver = new Receiver({ usedBytes: 0 }, { isToday: false })
  receiver.configure(false)
  const slots = receiver.takeInitialWindow()
  assert.equal(receiver.handleSegment(slots * 4_096, new Uint8Array(10), false), 'refused')
  let edge = slots * 4_096
  for (let offset = 0; offset < RECEIVE_INITIAL_BYTES - 10_000; offset += 1_000) {
    receiver.handleSegment(offset, new Uint8Array(1_000), false)
    const told = receiver.next + receiver.takeWindow() * 256
    assert.ok(told > edge - 256, `${told} after ${edge}`)
    edge = Math.max(edge, told)
  }
})
