/**
 * An attacker that sees every datagram and sends anything, and strangers. Neither may disturb streams or fill tables.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LOOK_UPS_PER_SECOND, MAX_STRANGERS } from '../../src/proto/node/constants.ts'
import { encodeAuthFrame } from '../../src/wire/tunnel-frames.ts'
import { Puppet } from './simulator/puppet.ts'
import type { Datagram } from './simulator/network.ts'
import { SimOverlay } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'

const EVE = { address: '192.0.2.66', port: 666 }

/** Replays every datagram between the two `times` times, up to `withinMs` later, from its origin or from elsewhere. */
function replayAll(sim: SimOverlay, records: readonly Datagram[], times: number, withinMs: number): void {
  for (const { from, to, bytes } of records) {
    for (let i = 0; i < times; i++) {
      const source = sim.random.chance(0.5) ? from : EVE
      sim.network.inject(source, to, bytes, 1 + sim.random.next() * withinMs)
    }
  }
}

function connectedPair(seed: number): { sim: SimOverlay; a: SimNode; b: SimNode; records: Datagram[] } {
  const sim = new SimOverlay({ seed, path: { delayMs: 10, jitterMs: 5 } })
  const records = sim.record()
  const [a, b] = sim.pair()
  b.listen(80, (stream) => {
    stream.echo = true
  })
  return { sim, a, b, records }
}

for (const seed of [1, 2, 3, 4]) {
  test(`replaying everything, from anywhere, disturbs no stream and adds no state (seed ${seed})`, () => {
    const { sim, a, b, records } = connectedPair(seed)
    const first = a.dial('agent-b', 80)
    first.write(sim.random.bytes(20_000))
    sim.until('first echo', 5_000, () => first.receivedBytes === 20_000)
    const restarts = a.eventsOf('peer').length + b.eventsOf('peer').length
    replayAll(sim, records.slice(), 3, 20_000)
    for (let i = 0; i < 20; i++) {
      sim.run(1_000)
      first.write(sim.random.bytes(5_000))
    }
    sim.until('the rest', 5_000, () => first.receivedBytes === 120_000)
    assert.equal(first.end, undefined)
    assert.equal(b.accepted.length, 1, 'an old SYN opens nothing')
    assert.equal(a.eventsOf('peer').length + b.eventsOf('peer').length, restarts, 'no peer seems to have restarted')
    assert.equal(a.state.peers.size, 1)
    assert.equal(b.state.peers.size, 1)
  })

  test(`frames from before a peer's restart, replayed with its old keys, change nothing (seed ${seed})`, () => {
    const { sim, a, b, records } = connectedPair(seed)
    const old = a.dial('agent-b', 80)
    old.write(sim.random.bytes(20_000))
    sim.until('first echo', 5_000, () => old.receivedBytes === 20_000)
    const before = records.filter(({ to }) => to.address === a.endpoint.address)
    b.restart()
    sim.until('registered again', 5_000, () => b.registered)
    sim.until('the old stream ends', 30_000, () => old.over)
    const stream = a.dial('agent-b', 80)
    stream.write(sim.random.bytes(1_000))
    sim.until('second echo', 10_000, () => stream.receivedBytes === 1_000)
    sim.run(15_000) // nothing is kept for frames in flight any more
    const restarts = a.eventsOf('peer').filter(({ state }) => state === 'restarted').length
    replayAll(sim, before, 3, 10_000)
    for (let i = 0; i < 20; i++) {
      sim.run(1_000)
      stream.write(sim.random.bytes(1_000))
    }
    sim.until('all of it', 5_000, () => stream.receivedBytes === 21_000)
    assert.equal(
      a.eventsOf('peer').filter(({ state }) => state === 'restarted').length,
      restarts,
      'old keys are not used again',
    )
    assert.equal(stream.end, undefined)
  })

  test(`with one bit wrong in one of fifty datagrams, everything still arrives intact (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 10, corruptRate: 0.02 } })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.echo = true
    })
    const sent = sim.random.bytes(500_000)
    const stream = a.dial('agent-b', 80)
    stream.write(sent)
    stream.shutdown()
    sim.until('end', 60_000, () => stream.over)
    assert.deepEqual(stream.data, Buffer.from(sent))
  })
}

test('a stranger that dials a private node gets no datagram from it', () => {
  const sim = new SimOverlay({ seed: 1 })
  const [a, b] = sim.pair()
  const eve = sim.node('eve')
  sim.until('registered', 5_000, () => eve.registered)
  b.listen(80)
  const toEve = sim.record()
  const streams = [eve.dial(String(b.nodeId), 80), eve.dial('agent-b', 80)]
  sim.until('refused', 20_000, () => streams.every((stream) => stream.over))
  const frame = eve.random.bytes(200)
  for (const magic of ['PILS', 'PILA', 'PILK', 'PILT', 'PILP']) {
    frame.set(Buffer.from(magic))
    Buffer.from(frame.buffer).writeUInt32BE(eve.nodeId, 4)
    sim.network.inject(eve.endpoint, b.endpoint, frame)
  }
  sim.run(20_000)
  assert.deepEqual(
    toEve.filter(({ from, to }) => from.address === b.endpoint.address && to.address === eve.endpoint.address),
    [],
  )
  assert.equal(b.state.peers.size, 0)
  assert.equal(a.state.peers.size, 0)
})

test('PILA from unregistered nodes do not lock a public node against a real one', () => {
  const sim = new SimOverlay({ seed: 1 })
  const b = sim.node('agent-b', { public: true })
  const c = sim.node('agent-c')
  sim.until('registered', 5_000, () => b.registered && c.registered)
  b.listen(80, (stream) => {
    stream.echo = true
  })
  for (let i = 0; i < 2 * MAX_STRANGERS; i++) {
    const frame = {
      sender: 1_000_000 + i,
      x25519: sim.random.bytes(32),
      ed25519: sim.random.bytes(32),
      signature: sim.random.bytes(64),
    }
    sim.network.inject(EVE, b.endpoint, encodeAuthFrame(frame), i)
  }
  sim.run(5_000)
  const stream = c.dial('agent-b', 80)
  stream.write(Buffer.from('hello'))
  sim.until('echo', 10_000, () => stream.receivedBytes === 5)
})

test('datagrams in the name of random nodes leave no peers behind at a public node', () => {
  const sim = new SimOverlay({ seed: 1 })
  const b = sim.node('agent-b', { public: true })
  sim.until('registered', 5_000, () => b.registered)
  for (let i = 0; i < 3_000; i++) {
    const frame = sim.random.bytes(136)
    frame.set(Buffer.from(i % 2 === 0 ? 'PILA' : 'PILS'))
    sim.network.inject(EVE, b.endpoint, frame, i / 10)
  }
  sim.run(10_000)
  const during = b.state.peers.size
  sim.run(700_000)
  assert.equal(b.state.peers.size, 0, `some of ${during} peers are never forgotten`)
})

test('an unnamed peer that constantly offers new keys does not use up our registry look-ups', () => {
  const sim = new SimOverlay({ seed: 1 })
  const b = sim.node('agent-b', { public: true })
  const eve = new Puppet(sim, 66, '')
  sim.until('registered', 5_000, () => b.registered)
  eve.knock(b)
  sim.run(1_000)
  const lookUps = (): number => sim.registry.requests.filter((type) => type === 'lookup').length
  const before = lookUps()
  for (let i = 0; i < 500; i++) {
    eve.forget()
    eve.knock(b)
    sim.run(20)
  }
  // 10 s of LOOK_UPS_PER_SECOND, and those saved up
  assert.ok(lookUps() - before <= 11 * LOOK_UPS_PER_SECOND, `${lookUps() - before} questions`)
})

test('a key exchange replayed from many addresses displaces no candidate and causes no traffic to them', () => {
  const { sim, a, b, records } = connectedPair(1)
  const stream = a.dial('agent-b', 80)
  stream.write(Buffer.from('x'))
  sim.until('echo', 5_000, () => stream.receivedBytes === 1)
  const isPila = ({ from, to, bytes }: Datagram): boolean =>
    from.address === a.endpoint.address && to.address === b.endpoint.address && bytes[0] === 0x50 && bytes[3] === 0x41
  const frame = records.find(isPila)!.bytes
  const { paths } = b.peer(a)!
  const named = [7_000, 7_001, 7_002, 7_003].map((port) =>
    paths.addCandidate({ address: '203.0.113.1', port }, 'direct')!,
  )
  for (let i = 0; i < 500; i++) {
    const source = { address: `192.0.2.${100 + (i % 100)}`, port: 5_000 + i }
    sim.network.inject(source, b.endpoint, frame.slice(), 10 * i)
  }
  sim.run(6_000)
  for (const path of named) assert.ok(paths.all().includes(path), `${path.endpoint.port} is gone`)
  const aimed = records.filter(
    ({ from, to }) => from.address === b.endpoint.address && /^192\.0\.2\.1\d\d$/.test(to.address),
  )
  assert.deepEqual(aimed, [])
})
