/**
 * What the reference daemons of today do differently (docs/quirks.md T12 to T15, Q25 to Q28): our node and a Go-shaped
 * one in the shape `today`, each row seen of a real one of 1.18 (test/interop/today.test.ts).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FLAG_ACK, PROTOCOL_CONTROL } from '../../src/wire/packet.ts'
import { Puppet } from './simulator/puppet.ts'
import { SimGoNode } from './simulator/sim-go-node.ts'
import { SimOverlay } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'
import type { SimStream } from './simulator/sim-stream.ts'

interface Setting {
  readonly sim: SimOverlay
  readonly ours: SimNode
  readonly go: SimGoNode
}

/** A public node of today and a public node of ours; ours echoes on port 80. */
function setting(seed: number, delayMs = 10): Setting {
  const sim = new SimOverlay({ seed, path: { delayMs } })
  const go = new SimGoNode(sim, 1, 'go-a', true, 'today')
  const ours = sim.node('ours', { public: true })
  ours.listen(80, (stream) => {
    stream.echo = true
  })
  sim.until('both registered', 10_000, () => ours.registered && go.nodeId !== 0)
  return { sim, ours, go }
}

function opened({ sim, ours, go }: Setting, port = 7): SimStream {
  const stream = ours.dial(String(go.nodeId), port)
  sim.until('open', 10_000, () => stream.state === 'open')
  return stream
}

for (const seed of [1, 2, 3]) {
  test(`T12: an idle stream to a node that answers no empty ping stays up for ten minutes (seed ${seed})`, () => {
    const world = setting(seed)
    const stream = opened(world)
    world.sim.run(600_000)
    assert.equal(stream.end, undefined)
    stream.write(Buffer.from('hello'))
    world.sim.until('echo', 5_000, () => stream.receivedBytes === 5)
  })

  test(`T12: a relayed path to it becomes direct once packets pass (seed ${seed})`, () => {
    const world = setting(seed)
    const { sim, ours, go } = world
    sim.network.cut(ours.endpoint.address, go.endpoint.address)
    const stream = opened(world)
    const kind = (): string | undefined => ours.state.peers.get(go.nodeId)!.paths.current?.kind
    assert.equal(kind(), 'relay')
    sim.network.heal(ours.endpoint.address, go.endpoint.address)
    sim.until('direct', 60_000, () => kind() !== 'relay')
    stream.write(Buffer.from('hello'))
    sim.until('echo', 5_000, () => stream.receivedBytes === 5)
  })
}

test('T14: keepalives and probes that name node 0 are heard, and the probes answered', () => {
  const world = setting(1)
  const { sim, ours, go } = world
  const stream = opened(world)
  stream.close()
  // Longer than the 85 s after which it would drop its half of a session with a node that answers no probe
  sim.run(300_000)
  assert.equal(go.node.counts['half_dropped'], undefined)
  assert.ok(sim.world.nowMs - ours.state.peers.get(go.nodeId)!.heardAt < 31_000)
  assert.equal(ours.state.counters['packet_foreign_destination'], undefined)
})

test('T14: node 0 proves nothing before a packet that names us has', () => {
  const sim = new SimOverlay({ seed: 1 })
  const ours = sim.node('ours', { public: true })
  const puppet = new Puppet(sim, 1)
  sim.until('registered', 5_000, () => ours.registered)
  puppet.answersPings = false
  puppet.knock(ours)
  sim.run(200)
  const ping = { protocol: PROTOCOL_CONTROL, srcPort: 1, seq: 1 }
  puppet.packets.length = 0
  puppet.sendRaw({ ...ping, dstNode: 0 }, Buffer.alloc(4))
  sim.run(200)
  assert.equal(ours.state.counters['packet_foreign_destination'], 1)
  puppet.sendRaw(ping, Buffer.alloc(4))
  sim.run(200)
  puppet.sendRaw({ ...ping, seq: 2, dstNode: 0 }, Buffer.alloc(4))
  puppet.sendRaw({ ...ping, seq: 3, srcNode: 0 }, Buffer.alloc(4)) // heard, but it names nobody to answer
  sim.run(200)
  const pongs = puppet.packets.filter(({ header }) => header.protocol === PROTOCOL_CONTROL && header.flags === FLAG_ACK)
  assert.deepEqual(
    pongs.map(({ header }) => [header.seq, header.srcNode]),
    [
      [1, ours.nodeId],
      [2, ours.nodeId],
    ],
  )
})

for (const [idleMs, withinMs] of [
  [0, 5_000],
  [10_000, 500],
] as const) {
  test(`T13: a node that dropped its half of the session ${idleMs} ms after our last frame has it back within ${withinMs} ms`, () => {
    const world = setting(1)
    const { sim, ours, go } = world
    opened(world).close() // an open one would make us ping, and notice
    sim.run(1_000 + idleMs)
    go.turn((now) => go.node.dropHalf(now, ours.nodeId))
    sim.until('its key is back', withinMs, () => go.node.hasKey(ours.nodeId))
    const inbound = go.dial(ours.nodeId, 80)
    sim.until('it reaches us', 2_000, () => inbound.state === 'ESTABLISHED')
    // Nothing goes on after that: neither side answers the other's answer
    const records = sim.record()
    sim.run(20_000)
    assert.ok(records.length > 0, 'keepalives at least')
    assert.deepEqual(
      records.filter(({ bytes }) => Buffer.from(bytes).includes('PILA')),
      [],
    )
  })
}

test('T13: a stranger gets nothing for a PILK, and a peer one answer a second, only where it is', () => {
  const world = setting(1)
  const { sim, ours, go } = world
  opened(world)
  sim.run(2_000)
  const records = sim.record()
  const ask = (sender: number, address: string): void => {
    const frame = Buffer.alloc(40, 1)
    frame.write('PILK')
    frame.writeUInt32BE(sender, 4)
    ours.turn((now) => ours.core.handleDatagram(now, frame, { address, port: go.endpoint.port }))
  }
  const answers = (): string[] =>
    records.filter(({ bytes }) => Buffer.from(bytes).toString('latin1', 0, 4) === 'PILA').map(({ to }) => to.address)
  ask(go.nodeId, '192.0.2.66') // in its name, from elsewhere
  ask(4_711, go.endpoint.address)
  assert.deepEqual(answers(), [])
  for (let i = 0; i < 30; i++) {
    ask(go.nodeId, go.endpoint.address)
    sim.run(100)
  }
  const given = answers().filter((address) => address === go.endpoint.address)
  assert.ok(given.length >= 2 && given.length <= 4, `${given.length} in three seconds`)
  assert.deepEqual(new Set(answers()), new Set([go.endpoint.address]))
})
