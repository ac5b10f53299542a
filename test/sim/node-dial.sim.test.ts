/** Dialling: lost packets, simultaneous dials, and unusual answers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FLAG_ACK, FLAG_RST, FLAG_SYN } from '../../src/wire/packet.ts'
import { REFUSAL_MS } from '../../src/proto/node/constants.ts'
import { HANDSHAKE_LIMIT_MS } from '../../src/proto/tunnel/constants.ts'
import { SimOverlay } from './simulator/overlay.ts'
import { Puppet } from './simulator/puppet.ts'

const BEACON = '198.51.100.1'

for (const seed of [1, 2]) {
  for (let lost = 0; lost < 14; lost++) {
    test(`a dial succeeds within 4 s although datagram ${lost} between the two is lost (seed ${seed})`, () => {
      const sim = new SimOverlay({ seed })
      const [a, b] = sim.pair()
      b.listen(80, (stream) => {
        stream.echo = true
      })
      let count = 0
      sim.network.drops = ({ from, to }) => from.address !== BEACON && to.address !== BEACON && count++ === lost
      const stream = a.dial('agent-b', 80)
      stream.write(Buffer.from('hello'))
      stream.shutdown()
      sim.until('echo', 4_000, () => stream.readEnded)
      assert.equal(stream.data.toString(), 'hello')
      sim.until('end', 10_000, () => stream.over && b.accepted[0]!.over)
      assert.equal(stream.end, 'finished')
      assert.equal(b.accepted.length, 1)
    })
  }

  test(`both sides dial at the same instant and both streams work (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 20, jitterMs: 5 } })
    const [a, b] = sim.pair()
    for (const node of [a, b])
      node.listen(80, (stream) => {
        stream.echo = true
      })
    const streams = [a.dial('agent-b', 80), b.dial('agent-a', 80)]
    for (const stream of streams) {
      stream.write(sim.random.bytes(50_000))
      stream.shutdown()
    }
    sim.until('both echoes', 10_000, () => streams.every((stream) => stream.over))
    for (const stream of streams) assert.deepEqual([stream.end, stream.receivedBytes], ['finished', 50_000])
  })

  test(`500 dials at once all open, and each reaches the other side once (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 10, lossRate: 0.01 } })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.echo = true
    })
    const streams = Array.from({ length: 500 }, () => a.dial('agent-b', 80))
    for (const stream of streams) {
      stream.write(Buffer.from('x'))
      stream.shutdown()
    }
    sim.until('all echoes', 20_000, () => streams.every((stream) => stream.over))
    assert.ok(streams.every((stream) => stream.end === 'finished' && stream.opened === 1 && stream.receivedBytes === 1))
    assert.equal(b.accepted.length, 500)
  })

  test(`a dial to a killed node fails as unreachable within the handshake limit (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    b.kill()
    const stream = a.dial('agent-b', 80)
    sim.until('failure', HANDSHAKE_LIMIT_MS + 500, () => stream.over)
    assert.equal(stream.failure, 'PEER_UNREACHABLE')
  })

  test(`a port without a listener refuses immediately, and so does a listener that rejects (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    b.listenAndRefuse(81)
    const streams = [a.dial('agent-b', 80), a.dial('agent-b', 81)]
    sim.until('refusals', 1_000, () => streams.every((stream) => stream.over))
    for (const stream of streams) assert.equal(stream.failure, 'refused')
    sim.run(30_000)
    assert.equal(a.state.streams + b.state.streams, 0)
  })

  test(`a dial answered from an older connection is retried once, and opens once (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const a = sim.node('agent-a')
    const puppet = new Puppet(sim, 1)
    sim.until('registered', 5_000, () => a.registered)
    let syns = 0
    const ports = new Set<number>()
    puppet.onStreamPacket = ({ flags, seq, srcPort, dstPort }) => {
      if (flags !== FLAG_SYN) return
      ports.add(srcPort)
      syns += 1
      const stale = ports.size === 1 // like a reference daemon that still knows the first port (stream.md Q9)
      puppet.send({
        flags: FLAG_SYN | FLAG_ACK,
        srcPort: dstPort,
        dstPort: srcPort,
        seq: 0,
        ack: stale ? 12_345 : (seq + 1) >>> 0,
      })
    }
    const stream = a.dial('puppet', 80)
    sim.run(30_000)
    assert.equal(stream.opened, 1, 'the application sees one stream')
    assert.equal(stream.state, 'open')
    assert.equal(ports.size, 2, `${ports.size} ports were tried, with ${syns} SYNs`)
  })
}

test("a RST ends the dialler's stream as reset by the peer", () => {
  const sim = new SimOverlay({ seed: 1 })
  const a = sim.node('agent-a')
  const puppet = new Puppet(sim, 1)
  sim.until('registered', 5_000, () => a.registered)
  puppet.onStreamPacket = ({ flags, seq, srcPort, dstPort }) => {
    if (flags === FLAG_SYN)
      puppet.send({ flags: FLAG_SYN | FLAG_ACK, srcPort: dstPort, dstPort: srcPort, seq: 0, ack: (seq + 1) >>> 0 })
    else puppet.send({ flags: FLAG_RST, srcPort: dstPort, dstPort: srcPort })
  }
  const stream = a.dial('puppet', 80)
  sim.until('reset', 5_000, () => stream.over)
  assert.equal(stream.end, 'reset_by_peer')
})

test('dials made after trust ended but before the keys did do not wait forever', () => {
  const sim = new SimOverlay({ seed: 1 })
  const [a, b] = sim.pair()
  const ping = a.dial('agent-b') // a tunnel, and nothing yet that shows whether SYNs must be paced
  sim.until('connected', 5_000, () => ping.state === 'open')
  a.turn((now) => a.core.revokeTrust(now, b.nodeId))
  const dials = Array.from({ length: 30 }, () => a.dial(String(b.nodeId), 80))
  sim.run(60_000)
  assert.equal(dials.filter((dial) => !dial.over).length, 0)
})

test('response times do not reveal whether a port is not exposed or merely not to this peer', () => {
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 10 } })
  const [a, b] = sim.pair()
  b.listenAndRefuse(80)
  const refuse = b.core.refuse.bind(b.core)
  let thinkMs = 2 // an access list is read after the SYN has come
  b.core.refuse = (_now, view) => sim.world.after(thinkMs, () => b.turn((now) => refuse(now, view)))
  const answerMs = (port: number): number => {
    const [began, stream] = [sim.world.nowMs, a.dial('agent-b', port)]
    sim.until('refused', 5_000, () => stream.over)
    assert.equal(stream.failure, 'refused')
    return Math.round((sim.world.nowMs - began) * 1_000) / 1_000
  }
  answerMs(81) // the tunnel
  assert.equal(answerMs(80), answerMs(81))
  assert.equal(answerMs(81), 20 + REFUSAL_MS)
  thinkMs = 50
  assert.ok(answerMs(80) >= 70, 'a slower decision is answered as soon as it is made')
})
