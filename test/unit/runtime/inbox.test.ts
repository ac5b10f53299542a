/** The data held for a reader that does not read, and what happens at the limits. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { Inbox, InboxBudget } from '../../../src/runtime/daemon/inbox.ts'

const MIB = 1_048_576
const chunk = new Uint8Array(MIB)

function filled(budget: InboxBudget, mebibytes: number): Inbox {
  const inbox = new Inbox(budget)
  for (let i = 0; i < mebibytes; i++) inbox.push(chunk)
  return inbox
}

test('bytes come out in the order they arrived, then the end', () => {
  const inbox = new Inbox(new InboxBudget())
  const told: string[] = []
  inbox.attach({
    onBytes: () => told.push('bytes'),
    onEnd: () => told.push('end'),
    onFailure: (code) => told.push(code),
  })
  inbox.push(new Uint8Array([1, 2]))
  inbox.push(new Uint8Array([3]))
  inbox.end()
  inbox.push(new Uint8Array([4])) // nothing follows the end
  const got: number[] = []
  for (let bytes = inbox.shift(); bytes !== undefined; bytes = inbox.shift()) got.push(...bytes)
  assert.deepEqual([got, told, inbox.bytes], [[1, 2, 3], ['bytes', 'bytes', 'end'], 0])
})

test('a stream holds 64 MiB and fails beyond', () => {
  const inbox = filled(new InboxBudget(), 64)
  assert.equal(inbox.failure, undefined)
  let told = ''
  inbox.attach({
    onBytes() {},
    onEnd() {},
    onFailure: (code, text) => {
      told = `${code}: ${text}`
    },
  })
  inbox.push(new Uint8Array(1))
  assert.match(told, /^TOO_MANY: the local program is 64 MiB behind/)
  assert.equal(inbox.bytes, 0)
})

test('all streams together hold 256 MiB; beyond that, the one holding the most fails, and the others continue', () => {
  const budget = new InboxBudget()
  const inboxes = [60, 63, 62, 61].map((mebibytes) => filled(budget, mebibytes))
  const small = filled(budget, 10)
  assert.deepEqual(
    [...inboxes, small].filter(({ failure }) => failure !== undefined),
    [],
  )
  small.push(new Uint8Array(1))
  assert.deepEqual(
    [...inboxes, small].map(({ failure }) => failure !== undefined),
    [false, true, false, false, false],
  )
})

test('data that was read or discarded no longer counts', () => {
  const budget = new InboxBudget()
  for (let round = 0; round < 10; round++) {
    const inbox = filled(budget, 60)
    if (round % 2 === 0) inbox.clear()
    else while (inbox.shift() !== undefined);
    assert.equal(inbox.failure, undefined, `round ${round}`)
  }
})
