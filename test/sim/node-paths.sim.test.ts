/**
 * Paths between two nodes that open, close, move and shrink during a transfer. Nothing may be lost or stuck for long.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RTO_MAX_MS } from '../../src/proto/stream/constants.ts'
import { Beacon } from '../../src/server/beacon/beacon.ts'
import { SimOverlay } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'
import type { SimStream } from './simulator/sim-stream.ts'

const A = '203.0.113.1'
const B = '203.0.113.2'

/** Bytes trickle continuously, so that a stall shows in the echo's `received`. */
function trickling(sim: SimOverlay, a: SimNode): SimStream {
  const stream = a.dial('agent-b', 80)
  sim.until('open', 10_000, () => stream.state === 'open')
  const next = (): void => {
    stream.write(new Uint8Array(2_000))
    if (!stream.over) sim.world.after(100, next)
  }
  next()
  return stream
}

function pathKind(node: SimNode, other: SimNode): string {
  return node.peer(other)?.paths.current?.kind ?? 'none'
}

function echoPair(sim: SimOverlay): [SimNode, SimNode] {
  const [a, b] = sim.pair()
  b.listen(80, (stream) => {
    stream.echo = true
  })
  return [a, b]
}

test('a stream that refuses the relay ends with that reason at both ends within 12 s of losing the last direct path; an idle one survives', () => {
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 10 } })
  const [a] = echoPair(sim)
  const b = sim.nodes[1]!
  const [busy, idle, any] = [trickling(sim, a), a.dial('agent-b', 80), trickling(sim, a)]
  sim.until('open', 5_000, () => idle.state === 'open')
  for (const { stream } of [busy, idle]) a.core.refuseRelay(stream!)
  sim.run(1_000)
  sim.network.cut(A, B)
  sim.until('the busy one ends', 12_000, () => busy.over)
  assert.equal(busy.end, 'relay_only')
  sim.run(1_000)
  assert.deepEqual(
    b.accepted.map(({ end }) => end).filter((end) => end !== undefined),
    ['reset_by_peer'],
    'the RST may take the relay',
  )
  assert.equal(pathKind(a, b), 'relay')
  sim.run(20_000)
  assert.deepEqual([idle.over, any.over], [false, false])
  sim.network.heal(A, B)
  sim.until('direct', 60_000, () => pathKind(a, b) === 'direct')
  idle.write(Buffer.from('hello'))
  sim.until('echo', 5_000, () => idle.receivedBytes === 5)
  any.close()
})

for (const seed of [1, 2, 3]) {
  test(`without a direct path the relay carries a whole transfer; once a direct path opens, it takes over within a minute (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 10, jitterMs: 3 } })
    sim.network.cut(A, B)
    const [a, b] = echoPair(sim)
    const sent = sim.random.bytes(300_000)
    const stream = a.dial('agent-b', 80)
    stream.write(sent)
    sim.until('echo by relay', 10_000, () => stream.receivedBytes === sent.length)
    assert.deepEqual([pathKind(a, b), pathKind(b, a)], ['relay', 'relay'])
    sim.network.heal(A, B)
    sim.until('direct', 60_000, () => pathKind(a, b) === 'direct' && pathKind(b, a) === 'direct')
    stream.write(sent)
    sim.until('echo directly', 5_000, () => stream.receivedBytes === 2 * sent.length)
    assert.deepEqual(stream.data, Buffer.concat([sent, sent]))
  })

  for (const oneWay of [false, true]) {
    test(`a direct path that dies ${oneWay ? 'in one direction' : 'in both'} is replaced by the relay within 10 s, and nothing is lost (seed ${seed})`, () => {
      const sim = new SimOverlay({ seed, path: { delayMs: 10, rateBps: 20e6 } })
      const [a, b] = echoPair(sim)
      const sent = sim.random.bytes(2_000_000)
      const stream = a.dial('agent-b', 80)
      sim.until('open', 5_000, () => stream.state === 'open')
      stream.write(sent)
      sim.run(300)
      sim.network.cut(A, B, oneWay)
      const before = stream.receivedBytes
      sim.run(10_000)
      assert.ok(stream.receivedBytes > before + 10_000, `${stream.receivedBytes - before} bytes in 10 s after the cut`)
      sim.until('all of it', 60_000, () => stream.receivedBytes === sent.length)
      assert.deepEqual(stream.data, Buffer.from(sent))
      sim.network.heal(A, B)
      sim.until('direct again', 60_000, () => pathKind(a, b) === 'direct')
    })
  }

  for (const who of ['the dialler', 'the listener'] as const) {
    for (const relay of [true, false]) {
      test(`${who} gets another endpoint in the middle: bytes flow again within 6 s ${relay ? 'with' : 'without'} a relay (seed ${seed})`, () => {
        const sim = new SimOverlay({ seed })
        const [a, b] = echoPair(sim)
        const stream = trickling(sim, a)
        sim.run(2_000)
        if (!relay) for (const host of [A, B]) sim.network.cut(host, sim.beaconEndpoint.address)
        const moving = who === 'the dialler' ? a : b
        moving.rebind({ address: moving.endpoint.address, port: 55_555 })
        sim.run(6_000)
        const before = stream.receivedBytes
        sim.run(1_000)
        assert.ok(stream.receivedBytes > before, `no data in the seventh second; the stream: ${stream.end ?? 'open'}`)
        sim.run(30_000)
        assert.equal(stream.end, undefined)
      })
    }
  }

  test(`the beacon restarts without any state: a stream through it continues within 6 s (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    sim.network.cut(A, B)
    const [a] = echoPair(sim)
    const stream = trickling(sim, a)
    sim.run(2_000 + 1_000 * seed)
    sim.beacon = new Beacon()
    sim.run(6_000)
    const before = stream.receivedBytes
    sim.run(1_000)
    assert.ok(stream.receivedBytes > before, 'no data in the seventh second')
    sim.run(30_000)
    assert.equal(stream.end, undefined)
  })

  for (const ms of [2_500, 4_000, 7_000]) {
    test(`the relay is away for ${ms} ms, and there is no other path: data flows again within 6 s (seed ${seed})`, () => {
      const sim = new SimOverlay({ seed })
      sim.network.cut(A, B)
      const [a] = echoPair(sim)
      const stream = trickling(sim, a)
      sim.run(1_000 + 400 * seed)
      for (const host of [A, B]) sim.network.cut(host, sim.beaconEndpoint.address)
      sim.run(ms)
      for (const host of [A, B]) sim.network.heal(host, sim.beaconEndpoint.address)
      sim.run(RTO_MAX_MS + 1_000)
      let before = stream.receivedBytes
      for (let second = 7; second < 20; second++) {
        sim.run(1_000)
        assert.ok(stream.receivedBytes > before, `no data in second ${second} after it came back`)
        before = stream.receivedBytes
      }
      assert.equal(stream.end, undefined)
    })
  }

  for (const who of ['the dialler', 'the listener'] as const) {
    test(`${who} gets another endpoint while only the relay carries: bytes flow again within 8 s (seed ${seed})`, () => {
      const sim = new SimOverlay({ seed })
      sim.network.cut(A, B)
      const [a, b] = echoPair(sim)
      const stream = trickling(sim, a)
      sim.run(2_000 + 1_000 * seed)
      const moving = who === 'the dialler' ? a : b
      moving.rebind({ address: moving.endpoint.address, port: 55_555 })
      sim.run(8_000) // for three of them the beacon does not yet believe an id at another address
      const before = stream.receivedBytes
      sim.run(1_000)
      assert.ok(stream.receivedBytes > before, 'no data in the ninth second')
      sim.run(30_000)
      assert.equal(stream.end, undefined)
    })
  }

  test(`the path shrinks to 1280 bytes while large segments are in flight: all of it still arrives (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 10, rateBps: 50e6 } })
    const [a] = echoPair(sim)
    const sent = sim.random.bytes(3_000_000)
    const stream = a.dial('agent-b', 80)
    sim.until('open', 5_000, () => stream.state === 'open')
    stream.write(sent)
    sim.run(300)
    sim.network.setDefaults({ delayMs: 10, rateBps: 50e6, maxDatagram: 1_252 })
    sim.until('all of it', 60_000, () => stream.receivedBytes === sent.length || stream.over)
    assert.equal(stream.end, undefined)
    assert.deepEqual(stream.data, Buffer.from(sent))
  })

  test(`a relay with a smaller MTU than the direct path takes over without losing data in transit (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 5, rateBps: 100e6 } })
    for (const host of [A, B])
      sim.network.setPath(host, sim.beaconEndpoint.address, { delayMs: 10, rateBps: 50e6, maxDatagram: 1_472 })
    const [a, b] = sim.pair({ a: { maxDatagram: 8_972 }, b: { maxDatagram: 8_972 } })
    b.listen(80, (stream) => {
      stream.echo = true
    })
    const sent = sim.random.bytes(3_000_000)
    const stream = a.dial('agent-b', 80)
    sim.until('open', 5_000, () => stream.state === 'open')
    sim.run(200)
    stream.write(sent)
    sim.run(100)
    sim.network.cut(A, B)
    sim.until('all of it', 60_000, () => stream.receivedBytes === sent.length || stream.over)
    assert.equal(stream.end, undefined)
    assert.deepEqual(stream.data, Buffer.from(sent))
  })
}
