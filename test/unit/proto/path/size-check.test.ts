/** Conclusions from pings of two sizes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  SIZE_CHECK_ANSWERS,
  SIZE_CHECK_PAIRS,
  SIZE_CHECK_PAUSE_MS,
  SIZE_PROOFS,
} from '../../../../src/proto/path/constants.ts'
import { SizeCheck } from '../../../../src/proto/path/size-check.ts'

/** @returns how many pairs were sent. */
function pairs(check: SizeCheck, from: number, onPair: (now: number) => void): number {
  let count = 0
  for (let now = from; now < from + 60_000; now = check.nextAt) {
    if (!check.takePair(now)) break
    count += 1
    onPair(now)
  }
  return count
}

function failed(): SizeCheck {
  const check = new SizeCheck()
  check.start(0)
  pairs(check, 0, (now) => void check.onAnswer('small', now))
  return check
}

test('a check that was not started sends nothing', () => {
  const check = new SizeCheck()
  assert.deepEqual([check.takePair(1_000), check.nextAt, check.onAnswer('small', 1_000)], [false, Infinity, false])
})

test('small answers without large ones decide it, and no more pairs are sent', () => {
  const check = new SizeCheck()
  check.start(1_000)
  assert.equal(
    pairs(check, 1_000, (now) => void check.onAnswer('small', now)),
    SIZE_CHECK_ANSWERS,
  )
  assert.deepEqual([check.failed, check.nextAt], [true, Infinity])
})

test('one answer of each size ends it; answers to earlier pairs do not count in the next check', () => {
  const check = new SizeCheck()
  check.start(0)
  for (let i = 1; i < SIZE_CHECK_ANSWERS; i++) check.onAnswer('small', i)
  assert.equal(check.onAnswer('large', 8), false)
  assert.equal(check.takePair(60_000), false)
  check.start(60_000)
  assert.deepEqual([check.onAnswer('small', 2), check.failed], [false, false])
})

test('large answers without small ones also decide it, and then small ones must be answered', () => {
  const check = new SizeCheck()
  check.start(0)
  pairs(check, 0, (now) => void check.onAnswer('large', now))
  assert.equal(check.lost, 'small')
  for (let i = 0; i < 2 * SIZE_PROOFS; i++) {
    check.onProof('large')
    assert.equal(check.onProven('large'), false)
  }
  const proven = Array.from({ length: SIZE_PROOFS }, () => {
    check.onProof('small')
    return check.onProven('small')
  })
  assert.deepEqual([proven.at(-1), check.lost], [true, undefined])
})

test('if neither is answered it ends undecided', () => {
  const check = new SizeCheck()
  check.start(0)
  assert.equal(
    pairs(check, 0, () => {}),
    SIZE_CHECK_PAIRS,
  )
  assert.equal(check.failed, false)
  check.start(SIZE_CHECK_PAUSE_MS * 1_000)
  assert.equal(check.nextAt, SIZE_CHECK_PAUSE_MS * 1_000, 'and can begin again')
})

test('a failed size needs several large answers in a row, and is not checked meanwhile', () => {
  const check = failed()
  check.start(90_000)
  assert.equal(check.nextAt, Infinity)
  const answered = (times: number): boolean[] =>
    Array.from({ length: times }, () => {
      check.onProof('large')
      return check.onProven('large')
    })
  assert.deepEqual(answered(SIZE_PROOFS - 1), Array(SIZE_PROOFS - 1).fill(false))
  check.onProof('large') // unanswered
  assert.deepEqual(answered(SIZE_PROOFS), [...Array<boolean>(SIZE_PROOFS - 1).fill(false), true])
  assert.equal(check.failed, false)
})

test('after a network change all of it is forgotten', () => {
  const check = failed()
  check.reset()
  assert.equal(check.failed, false)
})
