/** Whole nodes in virtual time: trust, dialling, transfers over bad links. The seed is in the name of each test. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MARKER, SimOverlay } from './simulator/overlay.ts'

for (const seed of [1, 2, 3]) {
  test(`two private nodes find each other by hostname, and both directions arrive complete (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 10, jitterMs: 15, lossRate: 0.05, duplicateRate: 0.02 } })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.echo = true
    })
    const sent = Buffer.concat([Buffer.from(MARKER), sim.random.bytes(300_000)])
    const stream = a.dial('agent-b', 80)
    stream.write(sent)
    stream.shutdown()
    sim.until('both ends', 60_000, () => stream.over && b.accepted[0]?.over === true)
    assert.deepEqual(stream.data, sent)
    assert.deepEqual(b.accepted[0]!.data, sent)
    assert.equal(stream.end, 'finished')
    assert.equal(b.accepted[0]!.end, 'finished')
    assert.equal(stream.opened, 1)
  })
}
