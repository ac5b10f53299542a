/** Only the decision, with simulated heap sizes: V8's own collections are passed in, one number per check. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QuietCollection } from '../../../src/cli/quiet-collection.ts'

const MB = 1_048_576

test('a nearly idle process is never collected, nor checked while V8 collects nothing', () => {
  const { collections, again } = looks([3, 2, 3, 1, 0], [20 * MB])
  assert.equal(collections, 0)
  assert.deepEqual(again, [true, true, true, true, false])
})

test('garbage from a burst is collected once it is over, and again for the pages this emptied', () => {
  assert.equal(looks([30, 30, 4], [20 * MB]).collections, 0)
  const { collections, again } = looks([30, 30, 4, 0, 1, 1, 0, 0], [20 * MB])
  assert.equal(collections, 2)
  assert.deepEqual(again.slice(2), [true, true, true, true, false, false])
})

test('a little traffic after a burst does not keep its garbage alive', () => {
  assert.equal(looks([30, 2, 2, 2, 2], [20 * MB]).collections, 2)
})

test('a burst without garbage is checked once, and so is the next', () => {
  assert.equal(looks([30, 0, 0, 1, 30, 1, 1, 0], [59 * MB, 58 * MB]).collections, 2)
})

/** @param after how much each collection leaves of 60 MB; after that nothing more can be freed. */
function looks(recent: readonly number[], after: readonly number[]): { collections: number; again: boolean[] } {
  let collections = 0
  let used = 60 * MB
  const quiet = new QuietCollection({
    usedBytes: () => used,
    collect: () => {
      used = after[collections++] ?? used
    },
  })
  const again = recent.map((count) => {
    quiet.onCollections(count)
    return quiet.onLook()
  })
  return { collections, again }
}
