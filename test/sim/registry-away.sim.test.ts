/**
 * A gateway works without its registry, even across its own restart: peers that know each other find each other again,
 * as long as one of the two has kept its address.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimOverlay, trusts } from './simulator/overlay.ts'
import { KINDS, behind } from './simulator/nat-world.ts'
import type { SimNode } from './simulator/sim-node.ts'

/** Opens a stream and gets 100 kB echoed over it. @returns virtual ms until it was open. */
function talk(sim: SimOverlay, from: SimNode, name: string): number {
  const began = sim.world.nowMs
  const stream = from.dial(name, 80)
  sim.until(`${name} answers`, 10_000, () => stream.opened > 0)
  const took = sim.world.nowMs - began
  stream.write(new Uint8Array(100_000))
  sim.until('all of it comes back', 20_000, () => stream.receivedBytes === 100_000)
  return took
}

function pair(
  seed: number,
  [left, right]: readonly [string, string] = ['open', 'open'],
): {
  sim: SimOverlay
  a: SimNode
  b: SimNode
} {
  const sim = new SimOverlay({ seed, path: { delayMs: 10, jitterMs: 2, lossRate: 0.01 } })
  const a = behind(sim, 'agent-a', 1, KINDS.get(left), { trust: ['agent-b'] }).node
  const b = behind(sim, 'agent-b', 2, KINDS.get(right), { trust: ['agent-a'] }).node
  for (const node of [a, b])
    node.listen(80, (stream) => {
      stream.echo = true
    })
  sim.until('trust', 60_000, () => trusts(a, b) && trusts(b, a))
  talk(sim, a, 'agent-b')
  sim.run(10_000)
  return { sim, a, b }
}

for (const seed of [1, 2, 3, 4, 5]) {
  test(`with the registry refusing, then silent, a restarted node reaches a peer and is reached by it (seed ${seed})`, () => {
    for (const isSilent of [false, true])
      for (const restarted of ['a', 'b', 'both']) {
        const { sim, a, b } = pair(seed)
        if (isSilent) sim.registry.silent = true
        else sim.registry.stop()
        sim.run(5_000)
        if (restarted !== 'b') a.restart()
        if (restarted !== 'a') b.restart()
        sim.run(3_000)
        assert.ok(talk(sim, a, 'agent-b') <= (isSilent ? 6_000 : 500), `${restarted} restarted`)
        talk(sim, b, 'agent-a')
      }
  })

  test(`a node behind a NAT restarts without registry and beacon and reaches a public one (seed ${seed})`, () => {
    const { sim, a, b } = pair(seed, ['EIM/APDF', 'open'])
    sim.registry.stop()
    sim.network.cut(sim.beaconEndpoint.address, '198.18.0.1')
    a.restart()
    sim.run(1_000)
    assert.ok(talk(sim, a, 'agent-b') <= 500)
    talk(sim, b, 'agent-a')
  })

  test(`a registry that returns with the same ids changes nothing; other ids are adopted (seed ${seed})`, () => {
    for (const isForgetful of [false, true]) {
      const { sim, a, b } = pair(seed)
      const before = a.nodeId
      sim.registry.stop()
      for (const node of [a, b]) node.restart()
      sim.run(3_000)
      const stream = a.dial('agent-b', 80)
      sim.until('open', 10_000, () => stream.opened > 0)
      sim.registry.restart(isForgetful)
      if (isForgetful) sim.node('squatter')
      sim.until('both are registered', 30_000, () => a.registered && b.registered)
      if (!isForgetful) {
        assert.equal(a.nodeId, before)
        stream.write(new Uint8Array(1_000))
        sim.until('the stream survives', 10_000, () => stream.receivedBytes === 1_000)
      }
      sim.until('trust', 90_000, () => trusts(a, b) && trusts(b, a))
      sim.run(70_000)
      talk(sim, a, 'agent-b')
      talk(sim, b, 'agent-a')
    }
  })
}

test('a peer seen at two addresses is tried only where it answered, and not while the registry answers', () => {
  const { sim, a, b } = pair(1)
  const old = { ...b.endpoint }
  b.restart({ address: '203.0.113.77', port: 4_777 })
  sim.until('b is back', 20_000, () => b.registered)
  talk(sim, a, 'agent-b')
  sim.run(10_000)
  const records = sim.record()
  a.restart()
  sim.until('a is back', 20_000, () => a.registered)
  talk(sim, a, 'agent-b')
  sim.registry.stop()
  a.restart()
  sim.run(1_000)
  talk(sim, a, 'agent-b')
  assert.equal(records.filter(({ to }) => to.address === old.address && to.port === old.port).length, 0)
})

test('entries of another key are not used', () => {
  const { sim, a, b } = pair(1)
  sim.registry.stop()
  a.kill()
  a.places = a.places.map((place) => ({ ...place, publicKey: a.identity.publicKeyBase64 }))
  const records = sim.record()
  a.start()
  sim.run(3_000)
  const stream = a.dial('agent-b', 80)
  sim.until('it fails', 30_000, () => stream.failure !== undefined)
  assert.equal(records.filter(({ from, to }) => from.port === a.endpoint.port && to.port === b.endpoint.port).length, 0)
})
