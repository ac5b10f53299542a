/**
 * What the reference daemons of today do differently (docs/quirks.md T12 to T15, Q25 to Q28): our node and a Go-shaped
 * one in the shape `today`, each row seen of a real one of 1.18 (test/interop/today.test.ts).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PeerMake } from '../../src/proto/node/make.ts'
import { FLAG_ACK, PROTOCOL_CONTROL } from '../../src/wire/packet.ts'
import type { GoShape, GoStream } from '../go-shaped/stream.ts'
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

/** A public daemon and a public node of ours; ours echoes on port 80. */
function setting(seed: number, delayMs = 10, { lossRate = 0, shape = 'today' as GoShape } = {}): Setting {
  const sim = new SimOverlay({ seed, path: { delayMs, lossRate } })
  const go = new SimGoNode(sim, 1, 'go-a', true, shape)
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

for (const seed of [1, 2]) {
  test(`T16: bulk that moves from a slow relay to a quick direct path overtakes no frame so far that the session ends (seed ${seed})`, () => {
    // A session older than a minute, 300 ms through the relay, 20 ms directly: frames sent directly arrive long before those relayed
    const world = setting(seed)
    const { sim, ours, go } = world
    const beacon = sim.beaconEndpoint.address
    for (const node of [ours, go]) sim.network.setPath(node.endpoint.address, beacon, { delayMs: 75 })
    sim.network.cut(ours.endpoint.address, go.endpoint.address)
    const stream = opened(world)
    sim.run(70_000)
    stream.write(new Uint8Array(40_000_000))
    sim.run(3_000)
    assert.equal(ours.state.peers.get(go.nodeId)!.paths.current!.kind, 'relay')
    sim.network.heal(ours.endpoint.address, go.endpoint.address)
    sim.until('all of it', 300_000, () => stream.receivedBytes === 40_000_000)
    assert.notEqual(ours.state.peers.get(go.nodeId)!.paths.current!.kind, 'relay')
    assert.equal(go.node.counts['aged_dropped'], undefined)
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
    // And that is all: neither side answers the other's answer
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

for (const shape of ['april', 'today'] as const) {
  for (const [seed, lossRate] of [
    [1, 0],
    [2, 0.05],
    [3, 0.2],
  ] as const) {
    test(`a daemon of ${shape} is known as such, ${lossRate * 100} % lost (seed ${seed})`, () => {
      const world = setting(seed, 10, { lossRate, shape })
      opened(world)
      const peer = world.ours.state.peers.get(world.go.nodeId)!
      world.sim.until('known', 5_000, () => peer.make.make === shape)
      assert.equal(peer.rules.isToday, shape === 'today')
    })
  }
}

test('a release that the registry names is believed until the daemon shows otherwise', () => {
  const world = setting(1, 10, { shape: 'april' })
  opened(world)
  const { make } = world.ours.state.peers.get(world.go.nodeId)!
  world.sim.until('known', 5_000, () => make.make !== 'unknown')
  make.onVersion('1.18.0')
  assert.equal(make.make, 'april') // it has shown what it is
  const other = new PeerMake({ isToday: false })
  other.onVersion('1.9.1')
  assert.equal(other.make, 'april')
  for (const version of ['1.10.0', '1.18.0', 'v2.0']) {
    other.onVersion(version)
    assert.equal(other.make, 'today')
    other.onVersion('1.8')
  }
  other.onVersion('nonsense')
  assert.equal(other.make, 'april')
  other.onNameless()
  other.onVersion('1.8')
  assert.equal(other.make, 'today')
})

/** Bytes per virtual second, of `bytes` sent to an application of a Go node. */
function rateTo(shape: GoShape, delayMs: number, bytes: number): number {
  const world = setting(1, delayMs, { shape })
  const { sim, go } = world
  let received: GoStream | undefined
  go.node.listen(5_000, (stream) => (received = stream))
  const stream = opened(world, 5_000)
  sim.run(1_000)
  const began = sim.world.nowMs
  stream.write(new Uint8Array(bytes))
  sim.until('all of it', 120_000, () => received!.receivedBytes === bytes)
  return (1_000 * bytes) / (sim.world.nowMs - began)
}

test('Q25: four times as much is in flight to a daemon of today as to one of April', () => {
  const [april, today] = [rateTo('april', 50, 20_000_000), rateTo('today', 50, 20_000_000)]
  assert.ok(today > 3 * april, `${Math.round(today / 1e3)} kB/s, before ${Math.round(april / 1e3)} kB/s`)
})

for (const seed of [1, 2, 3]) {
  for (const lossRate of [0.001, 0.01]) {
    test(`Q25: 3 MB each way, ${lossRate * 100} % lost, although it keeps only 128 segments out of order (seed ${seed})`, () => {
      const world = setting(seed, 20, { lossRate })
      const { sim } = world
      const stream = opened(world)
      const sent = sim.random.bytes(3_000_000)
      stream.write(sent)
      sim.until('echo', 600_000, () => stream.receivedBytes >= sent.length || stream.over)
      assert.equal(stream.end, undefined)
      assert.ok(stream.data.equals(sent))
    })
  }

  test(`Q25: its reader stops: its window closes, we wait, and nothing is lost (seed ${seed})`, () => {
    const world = setting(seed)
    const { sim, go } = world
    let theirs: GoStream | undefined
    go.node.listen(5_000, (stream) => {
      stream.reading = false
      theirs = stream
    })
    const stream = opened(world, 5_000)
    const sent = sim.random.bytes(2_000_000)
    stream.write(sent)
    sim.run(20_000)
    assert.equal(theirs!.freeSlots, 0)
    const drain = (): void => {
      go.turn((now) => go.node.resume(now, theirs!))
      theirs!.reading = false
      if (theirs!.receivedBytes < sent.length) sim.world.after(20, drain)
    }
    drain()
    sim.until('all of it', 60_000, () => theirs!.receivedBytes === sent.length || stream.over)
    assert.ok(Buffer.concat(theirs!.received).equals(sent))
  })

  test(`Q25: our reader stops: our window closes, it waits, and continues at once (seed ${seed})`, () => {
    const world = setting(seed)
    const { sim, ours, go } = world
    ours.listen(81, (stream) => {
      stream.reading = false
    })
    opened(world) // what it is gets known
    sim.run(1_000)
    const stream = go.dial(ours.nodeId, 81)
    sim.until('open', 5_000, () => stream.state === 'ESTABLISHED')
    const sent = sim.random.bytes(3_000_000)
    go.write(stream, sent)
    sim.run(20_000)
    const before = stream.unsentBytes
    sim.run(20_000)
    assert.equal(stream.unsentBytes, before, 'not a byte passes a closed window')
    const inbound = ours.accepted.at(-1)!
    inbound.resume()
    sim.until('all of it', 10_000, () => inbound.receivedBytes === sent.length || inbound.over)
    assert.ok(inbound.data.equals(sent))
  })

  test(`Q25: the announcement that our window is open again is lost: its question is answered (seed ${seed})`, () => {
    const world = setting(seed)
    const { sim, ours, go } = world
    ours.listen(81, (stream) => {
      stream.reading = false
    })
    opened(world)
    sim.run(1_000)
    const stream = go.dial(ours.nodeId, 81)
    sim.until('open', 5_000, () => stream.state === 'ESTABLISHED')
    go.write(stream, new Uint8Array(1_000_000))
    sim.run(5_000)
    const inbound = ours.accepted.at(-1)!
    sim.network.cut(ours.endpoint.address, go.endpoint.address, true)
    inbound.resume()
    sim.run(300)
    sim.network.heal(ours.endpoint.address, go.endpoint.address)
    sim.until('all of it', 12_000, () => inbound.receivedBytes === 1_000_000 || inbound.over)
  })
}

test('Q26: 50 connections at once to a daemon of today do not wait', () => {
  const world = setting(1)
  const { sim, ours, go } = world
  opened(world)
  sim.run(2_000)
  const began = sim.world.nowMs
  const streams = Array.from({ length: 50 }, () => ours.dial(String(go.nodeId), 7))
  sim.until('all open', 12_000, () => streams.every(({ state }) => state === 'open'))
  assert.ok(sim.world.nowMs - began < 500, `${sim.world.nowMs - began} ms`)
  assert.equal(go.node.counts['syn_limited'], undefined)
})

test('Q27: a FIN of a daemon of today that overtakes data ends the stream cleanly, once the data is there', () => {
  for (const seed of [1, 2, 3]) {
    const world = setting(seed, 10, { lossRate: 0.1 })
    const { sim, go } = world
    go.node.listen(5_000, (stream) => {
      stream.onData = () => {
        const now = sim.world.nowMs
        stream.write(now, new Uint8Array(100_000))
        go.node.close(now, stream)
      }
    })
    const stream = opened(world, 5_000)
    stream.write(Buffer.from('all of it, please'))
    sim.until('the end', 60_000, () => stream.over || stream.readEnded)
    assert.deepEqual([stream.receivedBytes, stream.readEnded], [100_000, true])
  }
})

test('T15: a daemon of today behind a dead path is reached by the relay as soon as one of ours', () => {
  const firstByteMs = (version: string | undefined): number => {
    const { sim, ours, go } = setting(1)
    sim.registry.lie = ({ type }, honest) => (type === 'lookup' ? { ...honest, version } : honest)
    sim.network.cut(ours.endpoint.address, go.endpoint.address)
    const began = sim.world.nowMs
    const stream = ours.dial(String(go.nodeId), 7)
    stream.write(Buffer.from('hello'))
    sim.until('echo', 20_000, () => stream.receivedBytes === 5)
    return sim.world.nowMs - began
  }
  const [unknown, known] = [firstByteMs(undefined), firstByteMs('1.18.0')]
  assert.ok(known < unknown - 500, `${known} ms, ${unknown} ms while its release is unknown`)
})

test('Q28: an agent whose data exchange we dialled may dial ours for five minutes, and nothing else', () => {
  const sim = new SimOverlay({ seed: 1 })
  const go = new SimGoNode(sim, 1, 'agent', true, 'today')
  const ours = sim.node('ours') // private, and no one is trusted
  ours.listen(1_001, (stream) => {
    stream.echo = true
  })
  ours.listen(80)
  sim.until('registered', 10_000, () => ours.registered && go.nodeId !== 0)
  go.node.listen(1_001, () => {})
  const reaches = (port: number): boolean => {
    const stream = go.dial(ours.nodeId, port)
    sim.run(3_000)
    return stream.state === 'ESTABLISHED'
  }
  const echoed = ours.dial(String(go.nodeId), 7) // a tunnel is up
  sim.until('open', 10_000, () => echoed.state === 'open')
  assert.equal(reaches(1_001), false)
  const asked = ours.dial(String(go.nodeId), 1_001)
  sim.until('open', 10_000, () => asked.state === 'open')
  assert.deepEqual([reaches(1_001), reaches(80)], [true, false])
  sim.run(300_000)
  assert.equal(reaches(1_001), false)
})
