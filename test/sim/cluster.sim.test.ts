/**
 * Whole overlays under random faults (cluster/cluster.ts says what is checked). `npm run test:soak` tries other seeds
 * for hours; one that fails is fixed and stays in FOUND.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runCluster } from './cluster/cluster.ts'

/**
 * Seeds that broke something: 1022, 1127, 1366 and 1512 left accepted streams behind whose dialler had lost every RST; in
 * 85 a relay that had answered once was not asked again; in 1894 a round trip of 2.9 s, measured while a process stood
 * still, put off the search for another path until the dial had failed.
 */
const FOUND = [85, 1_022, 1_127, 1_366, 1_512, 1_894]
const SEEDS = 150
const PER_TEST = 25

for (const seed of FOUND)
  test(`after faults at random a cluster works again, and no invariant broke (seed ${seed})`, () => {
    assert.ok(runCluster(seed).streams > 10)
  })

for (let first = 1; first <= SEEDS; first += PER_TEST)
  test(`the same (seeds ${first} to ${first + PER_TEST - 1})`, () => {
    for (let seed = first; seed < first + PER_TEST; seed++) runCluster(seed)
  })

test('the same seed gives the same run, to the last datagram', () => {
  for (const seed of [7, 77]) assert.deepEqual(runCluster(seed), runCluster(seed))
})
