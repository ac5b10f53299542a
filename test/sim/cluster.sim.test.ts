/**
 * Whole overlays under random faults (cluster/cluster.ts says what is checked). `npm run test:soak` tries other seeds
 * for hours; one that fails is fixed and stays in FOUND.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runCluster } from './cluster/cluster.ts'

/**
 * Seeds that once failed: in 61 a dial by name reached the node that had been given its target's id; in 98, 126, 139
 * and 1147 a node dialled a peer whose trust it had revoked; in 5,000,287 a dial that waited while trust ended reached
 * the node that had taken the name, and in 11,000,864 it never ended; in 15,000,144 a dial failed because the id that
 * its peer had got was another peer's before; in 15,000,909 two nodes had come apart over a lost frame. Any change to
 * what the core sends changes the run of a seed, so each finding also has its own test where one can be written.
 */
const FOUND = [61, 98, 126, 139, 1_147, 5_000_287, 11_000_864, 15_000_144, 15_000_909]
const SEEDS = 200
const PER_TEST = 25

for (const seed of FOUND)
  test(`after random faults a cluster recovers without breaking an invariant (seed ${seed})`, () => {
    assert.ok(runCluster(seed).streams > 10)
  })

for (let first = 1; first <= SEEDS; first += PER_TEST)
  test(`the same (seeds ${first} to ${first + PER_TEST - 1})`, () => {
    for (let seed = first; seed < first + PER_TEST; seed++) runCluster(seed)
  })

test('the same seed gives the same run, to the last datagram', () => {
  for (const seed of [7, 77]) assert.deepEqual(runCluster(seed), runCluster(seed))
})
