/** How much is in flight, part by part: CUBIC, HyStart++, proportional rate reduction, pacing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cubic, initialWindow } from '../../../../src/proto/stream/congestion.ts'
import { HyStart } from '../../../../src/proto/stream/hystart.ts'
import { Pacer } from '../../../../src/proto/stream/pacer.ts'
import { Recovery } from '../../../../src/proto/stream/recovery.ts'
import { RttEstimator } from '../../../../src/proto/stream/rtt.ts'

function rttOf(ms: number): RttEstimator {
  const rtt = new RttEstimator()
  rtt.onSample(ms)
  return rtt
}

function ack(now: number, ackedBytes: number, flightBytes: number): Parameters<Cubic['onAcked']>[0] {
  return { now, ackedBytes, flightBytes, una: 0, nxt: 1_000_000, delayMs: 50 }
}

test('the window doubles a round trip in slow start, and only when it is used', () => {
  const cubic = new Cubic(1_000)
  const before = cubic.cwndBytes
  assert.equal(before, initialWindow(1_000))
  cubic.onAcked(ack(0, before, before), rttOf(50))
  assert.equal(cubic.cwndBytes, 2 * before)
  cubic.onAcked(ack(0, before, 100), rttOf(50))
  assert.equal(cubic.cwndBytes, 2 * before)
})

test('a loss removes three tenths, a timeout all but one segment; then the window returns to where it was (RFC 9438)', () => {
  const cubic = new Cubic(1_000)
  const rtt = rttOf(50)
  cubic.onAcked(ack(0, 186_000, 200_000), rtt)
  const before = cubic.cwndBytes
  cubic.onLoss()
  assert.equal(cubic.cwndBytes, before * 0.7)
  let now = 0
  for (; now < 60_000 && cubic.cwndBytes < before; now += 50)
    cubic.onAcked(ack(now, cubic.cwndBytes, cubic.cwndBytes), rtt)
  assert.ok(now > 1_000 && now < 10_000, `${now} ms`)
  cubic.onTimeout()
  assert.equal(cubic.cwndBytes, 1_000)
  assert.equal(cubic.inSlowStart, true)
})

/** Rounds of ten acknowledgements, `rttsMs[i]` in round i. @returns the round in which slow start was over, or -1, and the divisor of each round's end. */
function rounds(rttsMs: readonly number[]): { over: number; divisors: number[] } {
  const hystart = new HyStart()
  const divisors: number[] = []
  let over = -1
  for (const [round, rttMs] of rttsMs.entries()) {
    for (let i = 1; i <= 10; i++) {
      if (hystart.onAcked(round * 10 + i, (round + 1) * 10 + i, rttMs) && over < 0) over = round
    }
    divisors.push(hystart.divisor)
  }
  return { over, divisors }
}

test('slow start continues while the round trip is stable, and slows down and ends when it rises (RFC 9406)', () => {
  assert.deepEqual(rounds(Array<number>(20).fill(40)), { over: -1, divisors: Array<number>(20).fill(1) })
  const { over, divisors } = rounds([40, 40, 40, 46, 46, 46, 46, 46, 46, 46])
  assert.deepEqual(divisors.slice(0, 4), [1, 1, 1, 4]) // 40 / 8 = 5 ms is a rise
  assert.equal(over, 8) // five rounds later
  assert.equal(rounds([40, 40, 40, 43, 43, 43, 43, 43, 43, 43]).over, -1) // less than 4 ms is not a rise
})

test('towards a peer that delays its acknowledgements slow start continues', () => {
  const cubic = new Cubic(1_000)
  const rtt = new RttEstimator()
  for (let round = 0; round < 20; round++) {
    for (let i = 1; i <= 10; i++) {
      rtt.onSample(round < 3 ? 1 : 40)
      cubic.onAcked(
        {
          now: 0,
          ackedBytes: 1_000,
          flightBytes: cubic.cwndBytes,
          una: round * 10 + i,
          nxt: (round + 1) * 10 + i,
          delayMs: undefined,
        },
        rtt,
      )
    }
  }
  assert.equal(cubic.inSlowStart, true)
  assert.equal(cubic.cwndBytes, initialWindow(1_000) + 200_000)
})

test('a round trip that falls again shows that the rise was temporary', () => {
  const { over, divisors } = rounds([40, 40, 60, 41, 41, 41, 41, 41, 41])
  assert.deepEqual(divisors, [1, 1, 4, 1, 1, 1, 1, 1, 1])
  assert.equal(over, -1)
})

test('recovery brings the flight down to the threshold over one round trip, seven segments for each ten delivered (RFC 6937)', () => {
  const recovery = new Recovery()
  let flight = 99_000 // 100 segments, one lost
  let sent = 0
  recovery.start(100_000, 70_000, 1_000)
  for (let i = 0; i < 99; i++) {
    while (recovery.sendBytes > 0) {
      recovery.onSent(1_000)
      flight += 1_000
      sent += 1
    }
    flight -= 1_000
    recovery.onDelivered(1_000, flight, 1_000, false)
  }
  assert.ok(Math.abs(sent - 70) <= 1, `${sent} segments`)
  assert.ok(Math.abs(flight - 70_000) <= 2_000, `${flight} bytes in flight`)
})

test('if more is lost than the reduction requires, recovery sends as much as was delivered, plus one if safe', () => {
  const sentOf = (safe: boolean): number => {
    const recovery = new Recovery()
    let flight = 20_000 // 80 of 100 segments lost
    let sent = 0
    recovery.start(100_000, 70_000, 1_000)
    for (let i = 0; i < 20; i++) {
      while (recovery.sendBytes >= 1_000) {
        recovery.onSent(1_000)
        flight += 1_000
        sent += 1
      }
      flight -= 1_000
      recovery.onDelivered(1_000, flight, 1_000, safe)
    }
    return sent
  }
  assert.ok(Math.abs(sentOf(false) - 20) <= 1, `${sentOf(false)} segments`) // conservative: one for one
  assert.ok(sentOf(true) >= 38, `${sentOf(true)} segments`) // slow start: two for one
})

/**
 * Segments of 1,000 bytes, sent whenever the pacer allows, with a 1 ms timer. @returns how many by each millisecond.
 */
function paced(rtt: RttEstimator, cwndBytes: number, ms: number): number[] {
  const pacer = new Pacer()
  const sent: number[] = []
  let count = 0
  for (let now = 0; now < ms; now++) {
    while (pacer.at <= now && count < 10_000) {
      pacer.onSent(now, 1_000, cwndBytes, false, 1_000, rtt)
      count += 1
    }
    sent.push(count)
  }
  return sent
}

test('a window is spread over a round trip, after a burst of ten segments', () => {
  const sent = paced(rttOf(100), 100_000, 100) // 100 segments each 100 ms, and a quarter more
  assert.ok(sent[0]! >= 10 && sent[0]! <= 12, `${sent[0]} at once`)
  assert.ok(Math.abs(sent[99]! - 135) <= 3, `${sent[99]} in a round trip`)
  for (let i = 1; i < 100; i++)
    assert.ok(sent[i]! - sent[i - 1]! <= 2, `${sent[i]! - sent[i - 1]!} within a millisecond`)
})

test('a path shorter than a timer can resolve is not paced', () => {
  assert.equal(paced(rttOf(0.5), 100_000, 1)[0], 10_000)
})

test('a spurious timeout restores the previous window, once', () => {
  const cubic = new Cubic(1_000)
  cubic.onSpuriousTimeout()
  assert.equal(cubic.cwndBytes, initialWindow(1_000), 'without a timeout there is nothing to restore')
  cubic.onAcked(ack(0, 186_000, 200_000), rttOf(50))
  const before = cubic.cwndBytes
  cubic.onTimeout()
  assert.deepEqual([cubic.cwndBytes, cubic.inSlowStart], [1_000, true])
  cubic.onSpuriousTimeout()
  assert.deepEqual([cubic.cwndBytes, cubic.inSlowStart], [before, true])
  cubic.onLoss()
  cubic.onSpuriousTimeout()
  assert.equal(cubic.cwndBytes, before * 0.7, 'a second report undoes nothing more')
})

test('another segment size rescales an untouched window only, and leaves two segments at least', () => {
  const cubic = new Cubic(1_000)
  cubic.onSegmentSize(1_400)
  assert.equal(cubic.cwndBytes, initialWindow(1_400))
  cubic.onLoss()
  const reduced = cubic.cwndBytes
  cubic.onSegmentSize(1_200)
  assert.equal(cubic.cwndBytes, reduced)
  cubic.onSegmentSize(61_440)
  assert.equal(cubic.cwndBytes, 2 * 61_440)
})
