/** A path that reorders but loses nothing: late segments must not repeatedly be mistaken for lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StreamPair } from './simulator/stream-pair.ts'

for (const seed of [1, 2, 3, 4]) {
  test(`4 MB over a lossless path that reorders within 20 ms take seconds, not minutes (seed ${seed})`, () => {
    const pair = new StreamPair(seed, { delayMs: 20, jitterMs: 20, rateBps: 100e6 })
    pair.open()
    pair.alice.write(pair.random.bytes(4_000_000))
    pair.alice.shutdown()
    pair.bob.shutdown()
    pair.world.run({ untilMs: 300_000, done: () => pair.alice.over && pair.bob.over })
    const { retransmissions } = pair.alice.stream.sender
    assert.equal(pair.bob.receivedBytes, 4_000_000)
    assert.ok(retransmissions < 40, `${retransmissions} segments sent again of 3,472, none of which was lost`)
    assert.ok(pair.world.nowMs < 30_000, `${Math.round(pair.world.nowMs)} virtual ms`)
  })
}
