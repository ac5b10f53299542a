/** What is concluded from pings of two sizes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  LARGE_CHECK_ANSWERS,
  LARGE_CHECK_PAIRS,
  LARGE_CHECK_PAUSE_MS,
  LARGE_PROOFS,
} from '../../../../src/proto/path/constants.ts'
import { LargeCheck } from '../../../../src/proto/path/large-check.ts'

/** @returns how many pairs left. */
function pairs(check: LargeCheck, from: number, onPair: (now: number) => void): number {
  let count = 0
  for (let now = from; now < from + 60_000; now = check.nextAt) {
    if (!check.takePair(now)) break
    count += 1
    onPair(now)
  }
  return count
}

function failed(): LargeCheck {
  const check = new LargeCheck()
  check.start(0)
  pairs(check, 0, (now) => void check.onSmallAnswer(now))
  return check
}

test('a check that was not begun asks nothing', () => {
  const check = new LargeCheck()
  assert.deepEqual([check.takePair(1_000), check.nextAt, check.onSmallAnswer(1_000)], [false, Infinity, false])
})

test('small answers without large ones decide it, and then no more pairs leave', () => {
  const check = new LargeCheck()
  check.start(1_000)
  assert.equal(
    pairs(check, 1_000, (now) => void check.onSmallAnswer(now)),
    LARGE_CHECK_ANSWERS,
  )
  assert.deepEqual([check.failed, check.nextAt], [true, Infinity])
})

test('one large answer ends it; answers to pairs before it count for nothing in the next', () => {
  const check = new LargeCheck()
  check.start(0)
  for (let i = 1; i < LARGE_CHECK_ANSWERS; i++) check.onSmallAnswer(i)
  assert.equal(check.onLargeAnswer(), false)
  assert.equal(check.takePair(60_000), false)
  check.start(60_000)
  assert.deepEqual([check.onSmallAnswer(2), check.failed], [false, false])
})

test('where neither is answered it ends undecided', () => {
  const check = new LargeCheck()
  check.start(0)
  assert.equal(
    pairs(check, 0, () => {}),
    LARGE_CHECK_PAIRS,
  )
  assert.equal(check.failed, false)
  check.start(LARGE_CHECK_PAUSE_MS * 1_000)
  assert.equal(check.nextAt, LARGE_CHECK_PAUSE_MS * 1_000, 'and can begin again')
})

test('what failed needs several large answers in a row, and is not checked meanwhile', () => {
  const check = failed()
  check.start(90_000)
  assert.equal(check.nextAt, Infinity)
  const answered = (times: number): boolean[] =>
    Array.from({ length: times }, () => {
      check.onProof()
      return check.onLargeAnswer()
    })
  assert.deepEqual(answered(LARGE_PROOFS - 1), Array(LARGE_PROOFS - 1).fill(false))
  check.onProof() // unanswered
  assert.deepEqual(answered(LARGE_PROOFS), [...Array<boolean>(LARGE_PROOFS - 1).fill(false), true])
  assert.equal(check.failed, false)
})

test('on another network all of it is forgotten', () => {
  const check = failed()
  check.reset()
  assert.equal(check.failed, false)
})
