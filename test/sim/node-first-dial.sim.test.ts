/** How many round trips the first connection to a peer takes: to the registry, and between the two. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePeerName } from '../../src/base/address.ts'
import { SimOverlay } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'

const DELAY_MS = 10 // one-way delay between the two: PILA and SYN exchanges make 40
const REGISTRY_MS = 40 // one-way delay to the registry
const SLACK_MS = 3

/** Two nodes that trust each other and have just started: nothing connected, nothing looked up. */
function strangersAgain(seed: number): { sim: SimOverlay; a: SimNode; b: SimNode } {
  const registry = { compat: new Set(['old-signatures'] as const) } // so that a test may sign for a node
  const sim = new SimOverlay({ seed, path: { delayMs: DELAY_MS }, registryLatencyMs: REGISTRY_MS, registry })
  const [a, b] = sim.pair()
  b.listen(80, (stream) => {
    stream.echo = true
  })
  sim.run(10_000)
  for (const node of [a, b]) node.restart()
  sim.until('registration', 5_000, () => a.registered && b.registered)
  sim.run(60_000) // names are forgotten after 30 s
  assert.equal(a.state.peers.get(b.nodeId)?.connected ?? false, false, 'nothing is connected')
  return { sim, a, b }
}

function msToOpen(sim: SimOverlay, a: SimNode, name: string): number {
  const from = sim.world.nowMs
  const stream = a.dial(name, 80)
  sim.until('open', 5_000, () => stream.opened > 0)
  return sim.world.nowMs - from
}

for (const seed of [1, 2]) {
  test(`name, endpoint and key of a trusted peer together take one registry round trip (seed ${seed})`, () => {
    const { sim, a } = strangersAgain(seed)
    const took = msToOpen(sim, a, 'agent-b')
    assert.ok(took <= 2 * REGISTRY_MS + 4 * DELAY_MS + SLACK_MS, `${took} ms`)
  })

  test(`an expected peer needs no registry look-up, only key exchange and SYN (seed ${seed})`, () => {
    const { sim, a, b } = strangersAgain(seed)
    a.turn((now) => a.core.prepare(now, parsePeerName('agent-b')!))
    sim.run(3_600_000) // an idle hour, after which other peers would be forgotten
    assert.equal(a.state.peers.get(b.nodeId)?.connected, false)
    const took = msToOpen(sim, a, `0:0000.0000.000${b.nodeId}`)
    assert.ok(took <= 4 * DELAY_MS + SLACK_MS, `${took} ms`)
  })

  test(`with the tunnel up, an untrusted peer's name is looked up again behind the dial, and the next dial follows a moved name (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: DELAY_MS }, registryLatencyMs: REGISTRY_MS })
    const [a, b] = [sim.node('agent-a'), sim.node('agent-b', { public: true })]
    b.listen(80)
    sim.until('registration', 5_000, () => a.registered && b.registered)
    sim.run(1_000)
    msToOpen(sim, a, 'agent-b')
    sim.run(60_000)
    const before = sim.registry.requests.length
    const took = msToOpen(sim, a, 'agent-b')
    assert.ok(took <= 2 * DELAY_MS + SLACK_MS, `${took} ms`)
    sim.run(1_000)
    assert.ok(sim.registry.requests.slice(before).includes('resolve_hostname'))
    const c = sim.node('other', { public: true })
    c.listen(80, (stream) => {
      stream.echo = true
    })
    sim.until('registration', 5_000, () => c.registered)
    sim.registry.lie = (request, reply) =>
      request['type'] === 'resolve_hostname'
        ? { type: 'resolve_hostname_ok', node_id: c.nodeId, address: `0:0000.0000.000${c.nodeId}`, hostname: 'agent-b' }
        : reply
    sim.run(31_000)
    msToOpen(sim, a, 'agent-b') // the last dial to its previous owner
    sim.run(1_000)
    const moved = a.dial('agent-b', 80)
    sim.until('open', 5_000, () => moved.opened > 0)
    assert.equal(moved.stream!.peer, c.nodeId)
  })

  test(`a peer that moved since its look-up is reached where the registry says it is (seed ${seed})`, () => {
    const { sim, a, b } = strangersAgain(seed)
    a.turn((now) => a.core.prepare(now, parsePeerName('agent-b')!))
    sim.run(1_000)
    b.restart({ address: '203.0.113.77', port: 4_777 })
    sim.until('registration', 5_000, () => b.registered)
    sim.run(1_000)
    const took = msToOpen(sim, a, 'agent-b')
    assert.ok(took <= 2 * REGISTRY_MS + 4 * DELAY_MS + SLACK_MS, `${took} ms`)
    assert.equal(a.state.peers.get(b.nodeId)?.paths.current?.endpoint.port, 4_777)
  })

  test(`expecting a peer costs two look-ups, no packet to it and no beacon message about it (seed ${seed})`, () => {
    const { sim, a, b } = strangersAgain(seed)
    const records = sim.record()
    const before = sim.registry.requests.length
    for (const name of ['agent-b', 'agent-b', 'nobody', '9']) a.turn((now) => a.core.prepare(now, parsePeerName(name)!))
    sim.run(1_000)
    const asked = sim.registry.requests.slice(before).filter((type) => !['heartbeat', 'poll_handshakes'].includes(type))
    // A trusted peer's name means its key, so it is not looked up.
    assert.deepEqual(asked.toSorted(), ['lookup', 'resolve', 'resolve', 'resolve_hostname'])
    assert.equal(
      records.filter(({ from, bytes }) => from.port === a.endpoint.port && (bytes[0] === 0x03 || bytes[0]! >= 0x10))
        .length,
      0,
    )
    assert.equal(a.state.peers.get(b.nodeId)?.state, 'idle')
  })
}

test('at most 32 peers are expected; the rest are looked up when dialled', () => {
  const sim = new SimOverlay({ seed: 1 })
  const a = sim.node('agent-a')
  sim.run(1_000)
  const before = sim.registry.requests.length
  for (let node = 100; node < 200; node++) a.turn((now) => a.core.prepare(now, parsePeerName(String(node))!))
  sim.run(1_000)
  assert.equal(sim.registry.requests.slice(before).filter((type) => type === 'resolve').length, 32)
})
