/** Keys replaced while streams run: nothing is lost, no peer counts as restarted, and old keys are discarded. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GRACE_MS, REKEY_MS, REKEY_TURN_MS } from '../../src/proto/tunnel/constants.ts'
import type { SimNode } from './simulator/sim-node.ts'
import { SimOverlay } from './simulator/overlay.ts'

/** Each time this node's keys for the other changed. */
function watchKeys(sim: SimOverlay, node: SimNode, other: SimNode): () => number {
  const seen = new Set<unknown>()
  sim.network.audits.push(() => {
    const key = node.peer(other)?.tunnel.keys[0]
    if (key !== undefined) seen.add(key)
  })
  return () => seen.size
}

function restarts(...nodes: readonly SimNode[]): number {
  return nodes.flatMap((node) => node.eventsOf('peer')).filter(({ state }) => state === 'restarted').length
}

for (const seed of [1, 2, 3, 4])
  for (const lossRate of [0, 0.05])
    test(`a long transfer across many key changes, ${100 * lossRate} % loss (seed ${seed})`, () => {
      const sim = new SimOverlay({ seed, path: { delayMs: 20, jitterMs: 5, lossRate, rateBps: 8_000_000 } })
      const [a, b] = sim.pair({ a: { rekeyMs: 500 }, b: { rekeyMs: 500 } })
      b.listen(80, (stream) => {
        stream.echo = true
      })
      const keys = watchKeys(sim, a, b)
      const stream = a.dial('agent-b', 80)
      const text = sim.random.bytes(8_000_000)
      stream.write(text)
      stream.shutdown()
      sim.until('all of it comes back', 300_000, () => stream.receivedBytes === text.length)
      assert.ok(Buffer.from(stream.data).equals(text))
      assert.ok(keys() >= 5, `${keys()} keys`)
      assert.equal(restarts(a, b), 0)
    })

test('keys in use for REKEY_MS are replaced with the next frame; an idle tunnel costs nothing', () => {
  const sim = new SimOverlay({ seed: 1 })
  const [a, b] = sim.pair()
  b.listen(80, (stream) => {
    stream.echo = true
  })
  const keys = watchKeys(sim, a, b)
  const stream = a.dial('agent-b', 80)
  stream.write(Buffer.from('x'))
  sim.until('echo', 5_000, () => stream.receivedBytes === 1)
  const before = keys()
  sim.run(REKEY_MS / 2)
  assert.equal(keys(), before)
  sim.run(REKEY_MS / 2 + REKEY_TURN_MS + 20_000) // the keepalives of the open stream are frames too
  assert.equal(keys(), before + 1)
  sim.run(GRACE_MS + 1_000)
  assert.equal(a.peer(b)?.tunnel.keys.length, 1)
  stream.shutdown()
  sim.run(20_000)
  const [sent, still] = [sim.network.sent, keys()]
  sim.run(10 * REKEY_MS)
  assert.equal(keys(), still)
  assert.ok(sim.network.sent - sent < 250, `${sim.network.sent - sent} datagrams while idle`) // 3 beacon queries/min
  assert.equal(restarts(a, b), 0)
})
