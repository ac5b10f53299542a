/**
 * Whole overlays under random faults (cluster/cluster.ts says what is checked). `npm run test:soak` tries other seeds
 * for hours; one that fails is fixed and stays in FOUND.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runCluster } from './cluster/cluster.ts'

/**
 * Seeds that broke something, with the run as it is now: in 61 a dial by name ended at the node that had been given the id
 * of the one it was for; in 98, 126, 139 and 1147 a node that had revoked the trust of a peer dialled it again. Any change of what
 * the core sends makes other runs of the same seeds, so whatever is found has a test of its own where one can be written.
 */
const FOUND = [61, 98, 126, 139, 1_147]
const SEEDS = 200
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
