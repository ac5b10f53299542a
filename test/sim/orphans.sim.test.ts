/** What is left when a stream or trust ends on one side while nothing gets through to the other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IDLE_VERIFY_MS, RST_REPEAT_MS } from '../../src/proto/stream/constants.ts'
import { SimOverlay } from './simulator/overlay.ts'

for (const seed of [1, 2, 3]) {
  test(`an accepted stream whose dialler gave up while every reset was lost ends within eleven minutes (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    b.listen(80)
    const stream = a.dial('agent-b', 80)
    sim.until('accepted', 10_000, () => stream.opened === 1 && b.accepted.length === 1)
    sim.network.drops = ({ from }) => from.address === a.endpoint.address
    stream.reset()
    sim.run(RST_REPEAT_MS.at(-1)! + 10_000)
    sim.network.drops = undefined
    sim.until('the orphan ends', IDLE_VERIFY_MS + 60_000, () => b.accepted[0]!.over)
  })

  test(`a dialled stream that waits for an answer from an end that has forgotten it ends within eleven minutes (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    b.listen(80)
    const stream = a.dial('agent-b', 80)
    stream.write(Buffer.from('question'))
    sim.until('accepted', 10_000, () => b.accepted[0]?.receivedBytes === 8)
    sim.run(2_000)
    for (const forgotten of b.peer(a)!.streams.values()) b.state.heap.remove(forgotten)
    b.peer(a)!.streams.clear() // as if it had given up, and every RST had been lost
    sim.until('it ends', IDLE_VERIFY_MS + 60_000, () => stream.over)
    assert.equal(stream.end, 'reset_by_peer')
  })

  test(`a peer whose trust was revoked here is not dialled, even before it knows (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    b.listen(80)
    const before = a.dial('agent-b', 80)
    sim.until('open', 10_000, () => before.opened === 1)
    sim.registry.stop()
    for (const host of [a.endpoint.address, sim.beaconEndpoint.address]) sim.network.cut(host, b.endpoint.address)
    a.turn((now) => void a.core.revokeTrust(now, b.nodeId))
    sim.run(5_000)
    for (const host of [a.endpoint.address, sim.beaconEndpoint.address]) sim.network.heal(host, b.endpoint.address)
    const after = a.dial(String(b.nodeId), 80)
    sim.until('settled', 10_000, () => after.state !== 'dialling')
    assert.deepEqual([after.state, after.failure], ['failed', 'NOT_TRUSTED'])
    a.requestTrust('agent-b')
    sim.registry.restart(false)
    b.requestTrust('agent-a')
    sim.until('trust again', 60_000, () => a.state.trust.isTrusted(b.nodeId) && b.state.trust.isTrusted(a.nodeId))
    sim.run(2_000)
    const again = a.dial('agent-b', 80)
    sim.until('open again', 20_000, () => again.opened === 1)
  })
}
