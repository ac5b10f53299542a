/**
 * Quirks of the reference daemon that take two nodes to show (stream.md §6, tunnel.md §3 to §6), one test each. Those
 * of a single stream are in test/unit/proto/stream/plain-peer.test.ts; docs/quirks.md maps quirks to tests.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FLAG_ACK, FLAG_RST, FLAG_SYN } from '../../src/wire/packet.ts'
import { GIVE_UP_MS } from '../../src/proto/stream/constants.ts'
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

/** A public Go node and a public node of ours: only streams matter here. */
function setting(seed: number, delayMs = 10): Setting {
  const sim = new SimOverlay({ seed, path: { delayMs } })
  const go = new SimGoNode(sim, 1, 'go-a', true)
  const ours = sim.node('ours', { public: true })
  ours.listen(80, (stream) => {
    stream.echo = true
  })
  sim.until('both registered', 10_000, () => ours.registered && go.nodeId !== 0)
  return { sim, ours, go }
}

function opened(sim: SimOverlay, stream: SimStream, ms = 40_000): SimStream {
  sim.until('open', ms, () => stream.state === 'open')
  return stream
}

/** A puppet that plays a daemon's stream by hand. */
function withPuppet(): { sim: SimOverlay; ours: SimNode; puppet: Puppet } {
  const sim = new SimOverlay({ seed: 1 })
  const ours = sim.node('ours', { public: true })
  const puppet = new Puppet(sim, 1)
  sim.until('registered', 5_000, () => ours.registered)
  return { sim, ours, puppet }
}

function magicOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1', 0, 4)
}

test('Q11: a stream accepted by a daemon may be written to at once, without waiting for its third packet', () => {
  const { sim, ours, puppet } = withPuppet()
  ours.listen(81, (stream) => stream.write(Buffer.from('greeting')))
  puppet.knock(ours)
  sim.run(200)
  puppet.send({ flags: FLAG_SYN, srcPort: 50_000, dstPort: 81, seq: 0, window: 512 })
  sim.run(200) // no ACK of ours ever follows
  assert.ok(puppet.packets.some(({ payload }) => Buffer.from(payload).toString() === 'greeting'))
  puppet.onStreamPacket = ({ flags, seq, srcPort, dstPort }) => {
    if (flags === FLAG_SYN)
      for (const [at, bytes] of [
        [undefined, undefined],
        [1, 'early'],
      ] as const) {
        puppet.send(
          {
            flags: at === undefined ? FLAG_SYN | FLAG_ACK : FLAG_ACK,
            srcPort: dstPort,
            dstPort: srcPort,
            seq: at ?? 0,
            ack: (seq + 1) >>> 0,
            window: 512,
          },
          bytes === undefined ? undefined : Buffer.from(bytes),
        )
      }
  }
  const stream = opened(sim, ours.dial('puppet', 80))
  sim.until('what came right after the SYN-ACK', 1_000, () => stream.data.toString() === 'early')
})

test('Q15: an early segment is answered by one pure ACK, and while nothing arrives there is none', () => {
  const { sim, ours, puppet } = withPuppet()
  ours.listen(81, () => {})
  puppet.knock(ours)
  sim.run(200)
  puppet.send({ flags: FLAG_SYN, srcPort: 50_000, dstPort: 81, seq: 0, window: 512 })
  sim.run(200)
  puppet.packets.length = 0
  const early = 40
  for (let i = 1; i <= early; i++)
    puppet.send(
      { flags: FLAG_ACK, srcPort: 50_000, dstPort: 81, seq: 1 + i * 100, ack: 0, window: 512 },
      Buffer.alloc(100, i),
    )
  sim.run(1_000)
  const pure = puppet.packets.filter(
    ({ header, payload }) => header.flags === FLAG_ACK && payload.length === 0 && header.ack === 1,
  )
  assert.ok(pure.length >= 3, 'a fast retransmission needs three')
  assert.ok(pure.length <= early, `${pure.length} for ${early} segments`)
  puppet.packets.length = 0
  sim.run(5_000)
  assert.ok(
    puppet.packets.filter(({ header }) => header.flags === FLAG_ACK).length <= 1,
    'and none while nothing arrives',
  )
})

test('Q17: a daemon that has forgotten our stream stays silent; the stream ends all the same', () => {
  const { sim, ours, go } = setting(1)
  const stream = opened(sim, ours.dial(String(go.nodeId), 7))
  go.turn(() => go.node.streams.clear()) // the tunnel stays
  stream.write(Buffer.from('anyone there?'))
  sim.until('the end', GIVE_UP_MS + 5_000, () => stream.over)
  assert.equal(stream.end, 'timed_out')
})

test('Q20: in-order data from a daemon is acknowledged well within its 200 ms retransmission timeout', () => {
  const { sim, ours, go } = setting(1, 1)
  ours.listen(81, (stream) => {
    stream.reading = false
  }) // even while no one reads
  const stream = go.dial(ours.nodeId, 81)
  sim.until('open', 5_000, () => stream.state === 'ESTABLISHED')
  for (let i = 0; i < 50; i++) {
    go.write(stream, Buffer.alloc(700, i))
    sim.run(300)
  }
  assert.equal(stream.unackedBytes, 0)
  assert.equal(stream.retransmissions, 0)
})

test('Q21: we wait for a daemon whose loops stall for seconds on its registry', () => {
  const { sim, ours, go } = setting(1)
  const silentUntil = sim.world.nowMs + 3_000
  sim.network.drops = ({ to, bytes }) =>
    to.port === go.endpoint.port &&
    to.address === go.endpoint.address &&
    sim.world.nowMs < silentUntil &&
    magicOf(bytes) === 'PILA'
  const stream = opened(sim, ours.dial(String(go.nodeId), 7), 6_000)
  const later = sim.world.nowMs + 3_500
  sim.network.drops = ({ to }) => to.address === go.endpoint.address && sim.world.nowMs < later
  stream.write(Buffer.from('hello'))
  sim.until('the echo', 20_000, () => stream.receivedBytes === 5)
  assert.equal(stream.end, undefined)
})

test('Q22: streams survive our new keys and new address', () => {
  const { sim, ours, go } = setting(1)
  const stream = opened(sim, ours.dial(String(go.nodeId), 7))
  const inbound = go.dial(ours.nodeId, 80)
  sim.until('open', 40_000, () => inbound.state === 'ESTABLISHED')
  ours.roam({ address: '203.0.113.99', port: 4_999 })
  sim.run(2_000)
  stream.write(Buffer.from('hello'))
  go.write(inbound, Buffer.from('hello'))
  sim.until('both echoes', 10_000, () => stream.receivedBytes === 5 && inbound.receivedBytes === 5)
})

test("Q23: a RST right after the SYN-ACK means the daemon's queue is full: we dial once more after a pause, unnoticed", () => {
  for (const [busy, opens] of [
    [1, 1],
    [2, 0],
  ] as const) {
    const { sim, ours, puppet } = withPuppet()
    const syns: number[] = []
    const ports = new Set<number>()
    puppet.onStreamPacket = ({ flags, seq, srcPort, dstPort }) => {
      if (flags !== FLAG_SYN) return
      ports.add(srcPort)
      syns.push(sim.world.nowMs)
      puppet.send({
        flags: FLAG_SYN | FLAG_ACK,
        srcPort: dstPort,
        dstPort: srcPort,
        seq: 0,
        ack: (seq + 1) >>> 0,
        window: 512,
      })
      if (ports.size <= busy) puppet.send({ flags: FLAG_RST, srcPort: dstPort, dstPort: srcPort })
    }
    const stream = ours.dial('puppet', 80)
    sim.run(5_000)
    assert.equal(ports.size, 2)
    assert.ok(syns[1]! - syns[0]! >= 250, `${syns[1]! - syns[0]!} ms between`)
    assert.equal(stream.end, opens === 1 ? undefined : 'reset_by_peer')
    assert.equal(stream.state === 'open' && stream.end === undefined ? 1 : 0, opens)
  }
})

for (let lost = 0; lost < 8; lost++) {
  test(`Q-T1: a dial reaches a Go node within 6 s although datagram ${lost} between the two is lost, even its single answer to a key`, () => {
    const { sim, ours, go } = setting(1)
    let count = 0
    sim.network.drops = ({ from, to }) =>
      (from.address === go.endpoint.address || to.address === go.endpoint.address) &&
      from.port !== 9_001 &&
      to.port !== 9_001 &&
      count++ === lost
    const stream = opened(sim, ours.dial(String(go.nodeId), 7), 6_000)
    stream.write(Buffer.from('hello'))
    sim.until('the echo', 10_000, () => stream.receivedBytes === 5)
  })
}

test('tunnel §4.1: every answer of a Go node is lost for 2 s; a fresh key makes it answer again', () => {
  const { sim, ours, go } = setting(1)
  const until = sim.world.nowMs + 2_000
  const keys = new Set<string>()
  sim.network.audits.push(({ to, bytes }) => {
    if (to.address === go.endpoint.address && magicOf(bytes) === 'PILA')
      keys.add(Buffer.from(bytes.subarray(8, 40)).toString('hex'))
  })
  sim.network.drops = ({ from, bytes }) =>
    from.address === go.endpoint.address && magicOf(bytes) === 'PILA' && sim.world.nowMs < until
  const stream = opened(sim, ours.dial(String(go.nodeId), 7), 6_000)
  assert.equal(stream.end, undefined)
  assert.ok(keys.size >= 2, `${keys.size} keys were shown`)
})

test('tunnel §3: we follow a Go node that draws new prefixes under one key, counting from 1 each time', () => {
  const { sim, ours, go } = setting(1)
  const stream = opened(sim, ours.dial(String(go.nodeId), 7))
  for (let round = 1; round <= 20; round++) {
    ours.turn((now) => ours.state.peers.get(go.nodeId)!.tunnel.showKey(now)) // a PILA it knows: it draws a prefix
    ours.turn((now) => ours.core.handleTimeout(now))
    sim.run(1_500)
    stream.write(Buffer.from('x'))
    sim.until(`echo ${round}`, 5_000, () => stream.receivedBytes === round)
  }
  assert.equal(ours.state.counters['sealed_replay'] ?? 0, 0)
})

test('tunnel §2, §4.5: PILT and PILK, from a Go node or anyone, are only counted', () => {
  const { sim, ours, go } = setting(1)
  const records = sim.record()
  for (const magic of ['PILT', 'PILK']) {
    const frame = Buffer.concat([Buffer.from(magic), Buffer.alloc(80, 1)])
    ours.turn((now) => ours.core.handleDatagram(now, frame, go.endpoint))
  }
  sim.run(100)
  assert.equal(ours.state.counters['plaintext_refused'], 1)
  assert.equal(ours.state.counters['unauthenticated_key_refused'], 1)
  assert.deepEqual(
    records.filter(({ to }) => to.address === go.endpoint.address),
    [],
  )
})

test('tunnel §4.3: a Go node reached directly is never sent a key over the relay, whatever fails', () => {
  const { sim, ours, go } = setting(1)
  const stream = opened(sim, ours.dial(String(go.nodeId), 7))
  const relayed: string[] = []
  sim.network.audits.push(({ from, bytes }) => {
    if (from.address === ours.endpoint.address && bytes[0] === 0x05)
      relayed.push(Buffer.from(bytes).toString('latin1', 9, 13))
  })
  const until = sim.world.nowMs + 8_000 // how long the direct path is dead
  sim.network.drops = ({ from, to }) =>
    sim.world.nowMs < until &&
    [from.address, to.address].includes(go.endpoint.address) &&
    [from.address, to.address].includes(ours.endpoint.address)
  stream.write(Buffer.from('hello'))
  sim.until('the echo, by relay or later', 30_000, () => stream.receivedBytes === 5 || stream.over)
  assert.equal(stream.end, undefined)
  assert.equal(go.node.counts['auth_other_path'] ?? 0, 0, 'it would have refused it')
  assert.ok(!relayed.includes('PILA'), relayed.join(' '))
})
