/**
 * Whole nodes under random commands, random and damaged datagrams, and nonsense properly sealed inside a tunnel.
 * Nothing throws, the counts add up, nothing is sent in the clear, and strangers get no answer at all.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeState } from '../../src/proto/node/state.ts'
import type { Stream } from '../../src/proto/stream/stream.ts'
import { PACKET_HEADER_BYTES } from '../../src/wire/packet.ts'
import type { Datagram } from '../sim/simulator/network.ts'
import { SimOverlay } from '../sim/simulator/overlay.ts'
import { Puppet } from '../sim/simulator/puppet.ts'
import type { Random } from '../sim/simulator/random.ts'
import type { SimNode } from '../sim/simulator/sim-node.ts'
import type { SimStream } from '../sim/simulator/sim-stream.ts'

const STRANGER = { address: '192.0.2.66', port: 666 }

/** What holds between any two turns. */
function checkState(context: NodeState): void {
  let streams = 0
  for (const peer of context.peers.values()) {
    streams += peer.streams.size
    assert.ok(!peer.connected || peer.tunnel.ready, 'a connected peer has keys')
    assert.ok(!(peer.connected && peer.wanted), 'connected, and still wanted')
    const waiting = new Set<Stream>()
    for (let i = 0; i < peer.ready.size; i++) waiting.add(peer.ready.at(i)!)
    for (const stream of peer.streams.values()) {
      assert.notEqual(stream.phase, 'closed', 'a closed stream is not kept')
      assert.equal(stream.queued, waiting.has(stream), `queued is ${stream.queued}, and the queue says otherwise`)
      const due = stream.nextTimeout()
      if (due !== Infinity)
        assert.ok(
          stream.heapIndex >= 0 && stream.heapKey <= due,
          `due at ${due}, and the heap knows ${stream.heapIndex < 0 ? 'nothing' : stream.heapKey}`,
        )
    }
    const due = peer.nextTimeout()
    if (due !== Infinity)
      assert.ok(
        peer.heapIndex >= 0 && peer.heapKey <= due,
        `peer due at ${due}, and the heap knows ${peer.heapIndex < 0 ? 'nothing' : peer.heapKey}`,
      )
    const waits = peer.isHeldBack || (peer.paths.current?.kind === 'relay' && !context.way.takesMore)
    if (peer.tunnel.ready && (waits ? 0 : peer.ready.size) + peer.control.size > 0)
      assert.ok(peer.queued, 'a peer with output is in no queue')
  }
  assert.equal(context.streams, streams, 'the count of streams')
  assert.ok(context.streamShared.receiveBudget.usedBytes >= 0)
}

function randomDatagram(random: Random, known: readonly Datagram[]): Uint8Array {
  const kind = random.below(4)
  const old = known.length > 0 ? known[random.below(known.length)]! : undefined
  if (kind === 0 || old === undefined) {
    const bytes = random.bytes(random.below(300))
    bytes.set(
      Buffer.from(
        ['PILA', 'PILS', 'PILK', 'PILT', 'PILP', '\x06\0\0\0', '\x04\x04\0\0', '\x02\x04\0\0'][random.below(8)]!,
      ).subarray(0, bytes.length),
    )
    return bytes
  }
  const bytes = old.bytes.slice()
  if (kind === 1) return bytes
  for (let i = 1 + random.below(4); i > 0 && bytes.length > 0; i--) bytes[random.below(bytes.length)] = random.u32()
  return kind === 2 ? bytes : bytes.subarray(0, random.below(bytes.length + 1))
}

function nonsense(random: Random, puppet: Puppet, node: SimNode): void {
  const open = [...(node.state.peers.get(puppet.nodeId)?.streams.values() ?? [])]
  const stream = open.length > 0 && random.chance(0.8) ? open[random.below(open.length)] : undefined
  const near = random.chance(0.5) ? random.u32() : random.below(100_000)
  const payload = random.bytes(random.chance(0.1) ? random.below(9_000) : random.below(100))
  if (random.chance(0.1)) return puppet.sendPacket(random.bytes(random.below(200)))
  puppet.sendRaw(
    {
      protocol: random.chance(0.9) ? 1 : random.below(5),
      flags: random.below(16) & (random.chance(0.9) ? 7 : 15),
      srcPort: stream?.remotePort ?? random.below(200),
      dstPort: stream?.localPort ?? 75 + random.below(12),
      seq: near,
      ack: random.chance(0.5) ? random.u32() : near,
      window: random.below(65_536),
      ...(random.chance(0.02) && { srcNode: random.u32() }),
      ...(random.chance(0.02) && { dstNode: random.u32() }),
    },
    payload,
  )
  assert.ok(payload.length + PACKET_HEADER_BYTES > 0)
}

function randomCommand(random: Random, sim: SimOverlay, a: SimNode, b: SimNode, streams: SimStream[]): void {
  const [node, other] = random.chance(0.5) ? [a, b] : [b, a]
  const stream = streams[random.below(Math.max(1, streams.length))]
  const what = random.below(60)
  if (what < 12)
    streams.push(
      node.dial(
        ['agent-a', 'agent-b', 'puppet', 'nobody', String(other.nodeId || 1), '77'][random.below(6)]!,
        80 + random.below(4),
      ),
    )
  else if (what < 30) stream?.write(random.bytes(random.below(20_000)))
  else if (what < 34) stream?.shutdown()
  else if (what < 37) stream?.reset()
  else if (what < 39) stream?.close()
  else if (what < 41) {
    if (stream !== undefined) stream.reading = false
  } else if (what < 43) stream?.resume()
  else if (what === 43) node.turn((now) => node.core.ping(now, other.nodeId, { onPong: () => {} }))
  else if (what === 44) node.turn(() => node.core.sendDatagram(other.nodeId, 9, 80, random.bytes(random.below(2_000))))
  else if (what === 45 && random.chance(0.3)) node.turn((now) => node.core.revokeTrust(now, other.nodeId))
  else if (what === 46) node.requestTrust(['agent-a', 'agent-b'][random.below(2)]!)
  else if (what === 47 && random.chance(0.3)) node.restart()
  else if (what === 48 && random.chance(0.3)) sim.registry.restart(random.chance(0.3))
  else if (what === 49) sim.registry.silent = random.chance(0.2)
  else if (what === 50) sim.network.cut(a.endpoint.address, b.endpoint.address, random.chance(0.5))
  else if (what === 59) {
    if (random.chance(0.3)) sim.wss.drop()
    else if (random.chance(0.5)) sim.network.cut(a.endpoint.address, sim.beaconEndpoint.address)
    else sim.network.heal(a.endpoint.address, sim.beaconEndpoint.address)
  } else if (what === 51) sim.network.heal(a.endpoint.address, b.endpoint.address)
  else if (what === 52) node.rebind({ address: node.endpoint.address, port: 5_000 + random.below(10_000) })
  else if (what === 53) node.turn((now) => node.core.askName(now, 'agent-b', { onName: () => {} }))
  else if (what === 55) node.turn((now) => node.core.link.handleDatagram(now, random.bytes(random.below(80))))
  else if (what === 56) {
    node.turn(() => node.core.link.handleRoom(false))
    sim.world.after(random.below(500), () => node.turn(() => node.core.link.handleRoom(true)))
  } else if (what === 54)
    for (const entry of node.state.trust.pending) node.turn((now) => node.core.approveTrust(now, entry.nodeId))
}

for (let seed = 1; seed <= 12; seed++) {
  test(`random commands, datagrams and packets break no invariant (seed ${seed})`, () => {
    const sim = new SimOverlay({
      seed,
      path: { delayMs: 10, jitterMs: 20, lossRate: 0.03, duplicateRate: 0.02, corruptRate: 0.005 },
    })
    const records = sim.record()
    const [a, b] = [
      sim.node('agent-a', { trust: ['agent-b'], transport: (['udp', 'auto', 'tcp'] as const)[seed % 3] }),
      sim.node('agent-b', { trust: ['agent-a'], public: seed % 3 === 0 }),
    ]
    const puppet = new Puppet(sim, 1)
    sim.run(3_000)
    const streams: SimStream[] = []
    for (const node of [a, b])
      for (const port of [80, 81])
        node.listen(port, (stream) => {
          stream.echo = sim.random.chance(0.5)
          streams.push(stream)
        })
    const { random } = sim
    for (let round = 0; round < 600; round++) {
      if (random.chance(0.6)) randomCommand(random, sim, a, b, streams)
      if (random.chance(0.5)) {
        const [node, sources] = random.chance(0.5)
          ? [a, [b.endpoint, puppet.endpoint]]
          : [b, [a.endpoint, puppet.endpoint]]
        const known = records.slice(-300)
        sim.network.inject(
          [STRANGER, sim.beaconEndpoint, ...sources][random.below(4)]!,
          node.endpoint,
          randomDatagram(random, known),
        )
      }
      if (random.chance(0.5)) nonsense(random, puppet, random.chance(0.5) ? a : b)
      if (random.chance(0.02)) puppet.knock(random.chance(0.5) ? a : b)
      if (random.chance(0.02)) puppet.forget()
      if (random.chance(0.05)) puppet.redrawPrefix()
      sim.run(random.chance(0.02) ? 20_000 * random.next() : 100 * random.next())
      for (const node of [a, b]) checkState(node.state)
    }
    assert.equal(streams.filter((stream) => stream.opened > 1).length, 0, 'no dial opens twice')
    sim.registry.silent = false
    sim.run(120_000)
    for (const stream of streams)
      assert.notEqual(
        stream.dial !== undefined &&
          stream.state === 'dialling' &&
          stream.node.alive &&
          !stream.dial.cancelled &&
          stream.born === stream.node.lives,
        true,
        'no dial waits forever',
      )
  })
}

test('ten thousand random datagrams from a stranger get no answer from a private node and leave no state', () => {
  const sim = new SimOverlay({ seed: 9 })
  const records = sim.record()
  const [a, b] = sim.pair()
  b.listen(80)
  a.dial('agent-b', 80)
  sim.run(2_000)
  const known = records.filter(({ bytes }) => !Buffer.from(bytes).includes(Buffer.from([0x50, 0x49, 0x4c, 0x53])))
  const before = b.state.peers.size
  for (let i = 0; i < 10_000; i++) {
    const bytes = randomDatagram(sim.random, known)
    if (bytes.length >= 8) Buffer.from(bytes.buffer, bytes.byteOffset).writeUInt32BE(50_000 + sim.random.below(100), 4) // no one whom b trusts
    sim.network.inject(STRANGER, b.endpoint, bytes, i / 10)
  }
  sim.run(5_000)
  assert.equal(records.filter(({ to }) => to.address === STRANGER.address).length, 0)
  assert.equal(b.state.peers.size, before)
})
