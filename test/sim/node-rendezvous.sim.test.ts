/** What a node sends to the registry, and when: late answers, changes during a request, floods caused by others. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HEARTBEAT_MS } from '../../src/proto/rendezvous/constants.ts'
import { encodeMailNotice } from '../../src/wire/beacon-messages.ts'
import { encodeAuthFrame } from '../../src/wire/tunnel-frames.ts'
import { SimOverlay, trusts } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'

/** The endpoint the registry gives others for a public node. */
function registeredAt(sim: SimOverlay, node: SimNode): unknown {
  return (sim.registry.handle('192.0.2.9', { type: 'lookup', node_id: node.nodeId }) as Record<string, unknown>)[
    'real_addr'
  ]
}

for (const seed of [1, 2]) {
  test(`a beacon answer that arrives during registration is registered too (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, registryLatencyMs: 400 })
    sim.network.drops = ({ atMs }) => atMs < 900 // the first answers of the beacon are lost
    const node = sim.node('agent-a', { public: true, localEndpoint: { address: '10.0.0.7', port: 9 } })
    sim.until('registered', 10_000, () => node.registered)
    sim.run(5_000)
    assert.equal(registeredAt(sim, node), `${node.endpoint.address}:${node.endpoint.port}`)
  })

  test(`an endpoint that changes during a heartbeat is registered within seconds (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, registryLatencyMs: 200 })
    const node = sim.node('agent-a', { public: true })
    sim.until('registered', 10_000, () => node.registered)
    const before = sim.registry.requests.filter((type) => type === 'heartbeat').length
    sim.until(
      'a heartbeat arrives',
      HEARTBEAT_MS + 5_000,
      () => sim.registry.requests.filter((type) => type === 'heartbeat').length > before,
    )
    node.rebind({ address: node.endpoint.address, port: 7_777 })
    node.state.beacon.refresh(sim.world.nowMs)
    sim.network.inject(sim.beaconEndpoint, node.endpoint, Uint8Array.of(0), 0) // it looks at its timers
    sim.run(3_000)
    assert.equal(registeredAt(sim, node), `${node.endpoint.address}:7777`)
  })

  for (const { knowsSessions, least, most } of [
    { knowsSessions: true, least: 2 * 3, most: 2 * 4 }, // it sends notices
    { knowsSessions: false, least: 2 * 12, most: 2 * 15 },
  ])
    test(`an idle node asks the registry rarely, with notices ${knowsSessions} (seed ${seed})`, () => {
      const sim = new SimOverlay({ seed })
      sim.registry.knowsSessions = knowsSessions
      const [a] = sim.pair()
      sim.run(120_000)
      const before = sim.registry.requests.length
      sim.run(600_000)
      const perMinute = (sim.registry.requests.length - before) / 10
      assert.ok(perMinute >= least && perMinute <= most, `${perMinute} requests per minute from two nodes`)
      assert.ok(a.registered)
    })

  test(`an idle node learns of a request at once, and the asker of the answer (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, registryLatencyMs: 20 })
    const [a, b] = [sim.node('agent-a'), sim.node('agent-b')]
    sim.until('registered', 10_000, () => a.registered && b.registered)
    sim.run(100_000)
    b.requestTrust('agent-a')
    sim.until('it is pending', 500, () => a.core.trust.pending.length === 1)
    sim.run(50_000)
    a.turn((now) => a.core.approveTrust(now, b.nodeId))
    sim.until('both trust', 500, () => trusts(a, b) && trusts(b, a))
  })

  test(`forged PILA in the name of a trusted node without a hostname cause no flood of look-ups (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const a = sim.node('agent-a', { public: true })
    const b = sim.node(undefined)
    sim.until('registered', 5_000, () => a.registered && b.registered)
    const first = b.dial('agent-a')
    sim.until('connected', 5_000, () => first.state === 'open')
    sim.run(5_000)
    const before = sim.registry.requests.filter((type) => type === 'lookup').length
    for (let i = 0; i < 2_000; i++) {
      const frame = {
        sender: b.nodeId,
        x25519: sim.random.bytes(32),
        ed25519: sim.random.bytes(32),
        signature: sim.random.bytes(64),
      }
      sim.network.inject({ address: '192.0.2.66', port: 6 }, a.endpoint, encodeAuthFrame(frame), i * 5)
    }
    sim.run(15_000)
    const asked = sim.registry.requests.filter((type) => type === 'lookup').length - before
    assert.ok(asked <= 2, `${asked} look-ups in ten seconds, of the 500 per minute the registry allows us`)
  })
}

test('nodes in one network trust each other on request; one outside waits for a person', () => {
  const adminToken = 'a token of the test, long enough'
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 10 }, registry: { adminToken } })
  const a = sim.node('agent-a', { networks: [{ network: 1, token: undefined }] })
  sim.until('registered', 10_000, () => a.registered)
  sim.registry.handle('192.0.2.9', { type: 'create_network', node_id: a.nodeId, name: 'lab', admin_token: adminToken })
  const b = sim.node('agent-b', { networks: [{ network: 1, token: undefined }], trust: ['agent-a'] })
  const stranger = sim.node('agent-c', { trust: ['agent-a'] })
  sim.until('trust', 120_000, () => a.state.trust.isTrusted(b.nodeId) && b.state.trust.isTrusted(a.nodeId))
  sim.run(10_000)
  assert.equal(a.state.trust.isTrusted(stranger.nodeId), false)
  assert.deepEqual(
    a.state.trust.pending.map(({ nodeId }) => nodeId),
    [stranger.nodeId],
  )
})

test("the registry shows the tags a node was given, and leaves other nodes' tags alone", () => {
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 10 } })
  const a = sim.node('agent-a', { tags: ['ci', 'web'], public: true })
  const tags = (): unknown =>
    (sim.registry.handle('192.0.2.9', { type: 'lookup', node_id: a.nodeId }) as { tags?: unknown }).tags
  sim.until('tagged', 10_000, () => a.registered && tags() !== undefined)
  assert.deepEqual(tags(), ['ci', 'web'])
  const asked = sim.registry.requests.filter((type) => type === 'set_tags').length
  const b = sim.node('agent-b')
  sim.until('registered', 10_000, () => b.registered)
  sim.run(5_000)
  assert.equal(sim.registry.requests.filter((type) => type === 'set_tags').length, asked)
})

test('a registry of today that insists on fresh heartbeats gets them with the time, and the node stays registered', () => {
  const sim = new SimOverlay({ seed: 1 })
  const node = sim.node('agent-a', { public: true })
  sim.until('registered', 10_000, () => node.registered)
  sim.registry.lie = (request, honest) =>
    request['type'] === 'heartbeat' && request['ts'] === undefined ? { type: 'error', error: 'request failed' } : honest
  const before = sim.registry.seen.length
  sim.run(10 * HEARTBEAT_MS)
  const asked = sim.registry.seen.slice(before) as Array<Record<string, unknown>>
  assert.equal(asked.filter(({ type }) => type === 'register').length, 0)
  const beats = asked.filter(({ type }) => type === 'heartbeat')
  assert.deepEqual(
    beats.map(({ ts }) => typeof ts),
    ['undefined', ...Array.from({ length: beats.length - 1 }, () => 'number')],
  )
  assert.ok(beats.length >= 9, `${beats.length}`)
  assert.ok(node.registered)
})

test('a registry that refuses every heartbeat is asked with the time and without, and then registered with again', () => {
  const sim = new SimOverlay({ seed: 1 })
  const node = sim.node('agent-a', { public: true })
  sim.until('registered', 10_000, () => node.registered)
  sim.registry.lie = ({ type }, honest) => (type === 'heartbeat' ? { type: 'error', error: 'request failed' } : honest)
  const before = sim.registry.seen.length
  sim.run(3 * HEARTBEAT_MS)
  const asked = sim.registry.seen.slice(before) as Array<Record<string, unknown>>
  assert.ok(asked.some(({ type }) => type === 'register'))
  assert.ok(asked.filter(({ type }) => type === 'heartbeat').length <= 20, `${asked.length}`)
})

test('a notice of mail from our beacon, and from no one else, makes us poll at once, but not often', () => {
  const sim = new SimOverlay({ seed: 1 })
  const node = sim.node('agent-a', { public: true })
  sim.until('registered', 10_000, () => node.registered)
  sim.run(60_000)
  const polls = (act: () => void): number => {
    const before = sim.registry.requests.length
    act()
    sim.run(200)
    return sim.registry.requests.slice(before).filter((type) => type === 'poll_handshakes').length
  }
  const notice = encodeMailNotice()
  const untilQuiet = (): void => {
    polls(() => {})
    for (let i = 0; i < 40 && polls(() => {}) === 0; i++); // behind a poll of its own, none follows for five seconds
  }
  untilQuiet()
  assert.equal(
    polls(() => sim.network.inject(sim.beaconEndpoint, node.endpoint, notice, 0)),
    1,
  )
  assert.equal(
    polls(() => sim.network.inject({ address: '192.0.2.66', port: 9_001 }, node.endpoint, notice, 0)),
    0,
  )
  untilQuiet()
  let flood = 0
  for (let i = 0; i < 20; i++) flood += polls(() => sim.network.inject(sim.beaconEndpoint, node.endpoint, notice, 0))
  assert.ok(flood >= 2 && flood <= 5, `${flood}`)
})
