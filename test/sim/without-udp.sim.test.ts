/**
 * Networks that drop UDP, for good or from time to time: the beacon is reached by one TCP connection instead, and no
 * stream notices. The rules are in src/proto/rendezvous/beacon-way.ts.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Transport } from '../../src/proto/rendezvous/beacon-way.ts'
import { KINDS, behind } from './simulator/nat-world.ts'
import type { Nat } from './simulator/nat.ts'
import { SimGoNode } from './simulator/sim-go-node.ts'
import { SimOverlay, trusts } from './simulator/overlay.ts'
import type { SimOverlayOptions } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'
import type { SimStream } from './simulator/sim-stream.ts'

interface Pair {
  readonly sim: SimOverlay
  readonly a: SimNode
  readonly b: SimNode
  readonly box: Nat // in front of a
}

/** Agent a is behind a box that can drop UDP, b in the open. */
function pairOf({
  transport = 'auto',
  blocked = true,
  ...options
}: Partial<SimOverlayOptions> & { transport?: Transport; blocked?: boolean } = {}): Pair {
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 10 }, ...options })
  const { node: a, nat } = behind(sim, 'agent-a', 1, KINDS.get('EIM/EIF'), { trust: ['agent-b'], transport })
  nat!.blocked = blocked
  const b = sim.node('agent-b', { trust: ['agent-a'], transport: 'auto' })
  sim.until('mutual trust', 60_000, () => trusts(a, b) && trusts(b, a))
  sim.run(3_000)
  b.listen(80, (stream) => {
    stream.echo = true
  })
  a.listen(80, (stream) => {
    stream.echo = true
  })
  return { sim, a, b, box: nat! }
}

function dialled(sim: SimOverlay, from: SimNode, to: string): SimStream {
  const stream = from.dial(to, 80)
  sim.until('open', 10_000, () => stream.state === 'open')
  return stream
}

const kindOf = (from: SimNode, to: SimNode): string | undefined => {
  const kind = from.peer(to)?.paths.current?.kind
  return kind === 'relay' && from.core.link.way.current === 'tcp' ? 'relay (tcp)' : kind
}

/** Writes that many bytes and waits until all have come back. */
function exchange(sim: SimOverlay, stream: SimStream, bytes: number, ms: number): void {
  const before = stream.receivedBytes
  stream.keep = false
  stream.write(new Uint8Array(bytes))
  sim.until(`${bytes} bytes there and back`, ms, () => {
    assert.equal(stream.end, undefined, 'the stream ended')
    return stream.receivedBytes >= before + bytes
  })
}

test('where UDP is dropped, the beacon is reached by TCP, and streams work in both directions', () => {
  const { sim, a, b } = pairOf()
  assert.equal(a.core.link.way.current, 'tcp')
  const out = dialled(sim, a, 'agent-b')
  exchange(sim, out, 4_000_000, 60_000)
  exchange(sim, dialled(sim, b, 'agent-a'), 1_000_000, 60_000)
  assert.equal(kindOf(a, b), 'relay (tcp)')
  assert.equal(kindOf(b, a), 'relay')
  const registered = sim.registry.seen.findLast((request) => (request as { type?: string }).type === 'register')
  assert.ok(sim.registry.seen.some((request) => (request as { relay_only?: boolean }).relay_only === true))
  assert.ok(registered !== undefined)
})

test('it gives UDP up within two seconds of the first question', () => {
  const sim = new SimOverlay({ seed: 2, path: { delayMs: 10 } })
  const { node, nat } = behind(sim, 'agent-a', 1, KINDS.get('EIM/EIF'), { transport: 'auto' })
  nat!.blocked = true
  sim.until('a connection is wanted', 2_000, () => node.core.link.way.wantsLink)
  sim.until('and used', 1_000, () => node.core.link.way.carriesTcp)
  sim.run(10)
  assert.deepEqual(
    node.eventsOf('way').map(({ current }) => current),
    ['tcp'],
  )
})

test('where UDP passes, or only UDP is allowed, nothing is connected', () => {
  const passes = pairOf({ blocked: false })
  exchange(passes.sim, dialled(passes.sim, passes.a, 'agent-b'), 100_000, 10_000)
  passes.sim.run(120_000)
  assert.equal(passes.sim.wss.opened, 0)
  const sim = new SimOverlay({ seed: 3, path: { delayMs: 10 } })
  const { nat } = behind(sim, 'agent-a', 1, KINDS.get('EIM/EIF'), { transport: 'udp' })
  nat!.blocked = true
  sim.run(60_000)
  assert.equal(sim.wss.opened, 0)
})

test('with only TCP allowed, no datagram leaves by UDP', () => {
  const sim = new SimOverlay({ seed: 4, path: { delayMs: 10 } })
  const records = sim.record()
  const a = sim.node('agent-a', { trust: ['agent-b'], transport: 'tcp' })
  const b = sim.node('agent-b', { trust: ['agent-a'], transport: 'tcp' })
  sim.until('mutual trust', 60_000, () => trusts(a, b) && trusts(b, a))
  b.listen(80, (stream) => {
    stream.echo = true
  })
  exchange(sim, dialled(sim, a, 'agent-b'), 2_000_000, 60_000)
  sim.run(60_000)
  a.interfacesChanged()
  sim.run(20_000)
  assert.deepEqual(records, [])
  assert.ok(a.spins + b.spins < 20, `${a.spins + b.spins} turns for nothing`)
})

test('UDP is lost during a transfer: it continues by TCP within five seconds, and returns to a direct path', () => {
  const { sim, a, b, box } = pairOf({ blocked: false })
  const stream = dialled(sim, a, 'agent-b')
  sim.until('direct', 20_000, () => kindOf(a, b) !== 'relay')
  box.blocked = true
  const since = sim.world.nowMs
  exchange(sim, stream, 1_000_000, 10_000)
  assert.equal(kindOf(a, b), 'relay (tcp)')
  assert.ok(sim.world.nowMs - since < 6_000, `${sim.world.nowMs - since} ms`)
  box.blocked = false
  sim.until('UDP again', 10_000, () => a.core.link.way.current === 'udp')
  exchange(sim, stream, 1_000_000, 5_000)
  sim.until('direct again', 20_000, () => kindOf(a, b) === 'direct')
  sim.until('disconnected', 5_000, () => sim.wss.connections.size === 0)
  exchange(sim, stream, 1_000_000, 10_000)
})

test('UDP comes and goes every 20 s: bytes keep arriving, no stream ends, and the return has to be earned', () => {
  const { sim, a, box } = pairOf({ blocked: true })
  const stream = dialled(sim, a, 'agent-b')
  for (let round = 0; round < 12; round++) {
    box.blocked = round % 2 === 0
    const until = sim.world.nowMs + 20_000
    let last = sim.world.nowMs
    while (sim.world.nowMs < until) {
      exchange(sim, stream, 20_000, 10_000)
      assert.ok(sim.world.nowMs - last < 8_000, `nothing for ${sim.world.nowMs - last} ms`)
      last = sim.world.nowMs
      sim.run(100)
    }
  }
  const ways = a.eventsOf('way').map(({ current }) => current)
  assert.ok(ways.length <= 7, `${ways.length} changes`) // once each way, and then less and less often
  box.blocked = false
  sim.until('UDP again, for good', 90_000, () => a.core.link.way.current === 'udp')
})

test('leaving TCP for a direct path reorders nothing that a daemon of today would take for an attack', () => {
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 10 } })
  const go = new SimGoNode(sim, 1, 'go-a', true, 'today')
  sim.wss.delayMs = 100 // what is in flight by TCP is old when UDP is used again
  const { node: a, nat } = behind(sim, 'agent-a', 1, KINDS.get('EIM/EIF'), { transport: 'auto', public: true })
  nat!.blocked = true
  let [highest, worst, prefix] = [0, 0, 0]
  sim.network.audits.push(({ bytes, to }) => {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    const frame = view[0] === 0x06 ? view.subarray(5) : view
    if (to.address !== go.endpoint.address || frame.toString('latin1', 0, 4) !== 'PILS') return
    const counter = frame.readUInt32BE(16) // of the nonce: prefix, high word, low word
    if (frame.readUInt32BE(8) !== prefix) highest = 0
    prefix = frame.readUInt32BE(8)
    highest = Math.max(highest, counter)
    worst = Math.max(worst, highest - counter)
  })
  sim.until('a way by TCP', 5_000, () => a.core.link.way.carriesTcp)
  const stream = a.dial(String(go.nodeId), 7)
  sim.until('open', 10_000, () => stream.state === 'open')
  stream.keep = false
  stream.write(new Uint8Array(20_000_000))
  sim.run(500)
  nat!.blocked = false
  sim.until('direct', 30_000, () => a.state.peers.get(go.nodeId)?.paths.current?.kind === 'direct')
  assert.ok(stream.receivedBytes < 15_000_000, 'the change comes in the middle')
  sim.until('everything', 120_000, () => stream.receivedBytes >= 20_000_000)
  assert.ok(highest > 10_000 && worst < 255, `${worst} of ${highest} frames out of order`)
})

test('a connection that is cut is opened again, and the stream continues', () => {
  const { sim, a } = pairOf()
  const stream = dialled(sim, a, 'agent-b')
  for (let i = 0; i < 5; i++) {
    stream.keep = false
    stream.write(new Uint8Array(300_000))
    sim.run(50)
    sim.wss.drop()
    exchange(sim, stream, 300_000, 20_000)
  }
})

test('a rendezvous that accepts no connection is asked again, and UDP is used as soon as it answers', () => {
  const sim = new SimOverlay({ seed: 5, path: { delayMs: 10 } })
  sim.wss.up = false
  const { node, nat } = behind(sim, 'agent-a', 1, KINDS.get('EIM/EIF'), { transport: 'auto' })
  nat!.blocked = true
  sim.run(30_000)
  assert.deepEqual([node.core.link.way.current, node.core.link.way.fault], ['udp', 'connection refused'])
  nat!.blocked = false
  sim.until('UDP', 6_000, () => node.core.beacon.isAnswering(sim.world.nowMs))
  assert.equal(node.core.link.way.wantsLink, false)
  assert.equal(node.core.link.way.current, 'udp')
})

test('a slow connection delays, and what it queues stays short', () => {
  const { sim, a } = pairOf()
  sim.wss.rateBps = 2_000_000
  sim.wss.queueBytes = 65_536
  const stream = dialled(sim, a, 'agent-b')
  exchange(sim, stream, 1_000_000, 60_000)
  assert.equal(a.core.counters['raw_dropped'] ?? 0, 0)
})

test('a rendezvous that lies breaks nothing: what it invents is counted and dropped', () => {
  const { sim, a } = pairOf()
  const stream = dialled(sim, a, 'agent-b')
  const invented = [
    new Uint8Array(0),
    new Uint8Array([0xff]),
    new Uint8Array([0x04, 4, 203, 0, 113, 9, 0, 80]), // punch towards a third party
    new Uint8Array([0x02, 4, 203, 0, 113, 9, 0, 80]), // we are somewhere else
    new Uint8Array([0x06, 0, 0, 0, 9, ...Buffer.from('PILSnonsense')]),
    new Uint8Array([0x06]),
    new Uint8Array(65_536).fill(0x06),
    Buffer.from('PILSnonsense that is not a message of a beacon'),
  ]
  const records = sim.record()
  sim.wss.lie = (bytes) => [...invented.map((one) => one.slice()), bytes, flipped(bytes)]
  exchange(sim, stream, 200_000, 60_000)
  assert.ok(!records.some(({ to }) => to.address === '203.0.113.9'))
  assert.equal(a.core.beacon.observed, undefined)
  assert.ok((a.core.counters['beacon_unexpected'] ?? 0) > 0 && (a.core.counters['beacon_unknown_type'] ?? 0) > 0)
})

test('two nodes without UDP reach each other', () => {
  const sim = new SimOverlay({ seed: 6, path: { delayMs: 10 } })
  const nodes = ['agent-a', 'agent-b'].map((name, i) => {
    const other = name === 'agent-a' ? 'agent-b' : 'agent-a'
    const { node, nat } = behind(sim, name, i + 1, KINDS.get('EIM/EIF'), { trust: [other], transport: 'auto' })
    nat!.blocked = true
    return node
  })
  const [a, b] = nodes as [SimNode, SimNode]
  sim.until('mutual trust', 60_000, () => trusts(a, b) && trusts(b, a))
  b.listen(80, (stream) => {
    stream.echo = true
  })
  exchange(sim, dialled(sim, a, 'agent-b'), 1_000_000, 60_000)
  assert.equal(kindOf(b, a), 'relay (tcp)')
})

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice()
  copy[copy.length - 1]! ^= 1
  return copy
}
