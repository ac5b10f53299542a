/** Many streams, long silences, and what is left at the end: bounded work, few packets, no leaks. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_PREFIXES } from '../../src/proto/tunnel/constants.ts'
import { FLAG_ACK, FLAG_SYN, PROTOCOL_CONTROL } from '../../src/wire/packet.ts'
import { SimOverlay } from './simulator/overlay.ts'
import { Puppet } from './simulator/puppet.ts'
import type { SimNode } from './simulator/sim-node.ts'
import type { SimStream } from './simulator/sim-stream.ts'

/** What must be zero once everything is over. */
function leftovers(node: SimNode): object {
  const { state: context } = node
  const peers = [...context.peers.values()]
  return {
    streams: context.streams,
    ofPeers: peers.reduce(
      (sum, peer) => sum + peer.streams.size + peer.ready.size + peer.control.size + peer.dials.size,
      0,
    ),
    ready: context.readyPeers.size,
    news: context.news.size,
    events: context.events.size,
    receiveBytes: context.streamShared.receiveBudget.usedBytes,
    sendBytes: context.streamShared.sendBudget.usedBytes,
  }
}

const NOTHING = { streams: 0, ofPeers: 0, ready: 0, news: 0, events: 0, receiveBytes: 0, sendBytes: 0 }

test('64 KB chunks on many streams are sent as full segments, and the last bytes of each are not held back', () => {
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 1 } })
  const [a, b] = sim.pair({ a: { maxDatagram: 65_507 }, b: { maxDatagram: 65_507 } })
  b.listen(80)
  const streams = Array.from({ length: 16 }, () => a.dial('agent-b', 80))
  sim.until('open', 10_000, () => streams.every(({ state }) => state === 'open'))
  sim.run(1_000) // packet sizes are found
  const sent = sim.record()
  const write = (times: number): void => {
    for (const stream of streams) stream.write(sim.random.bytes(65_536))
    if (times > 1) sim.world.after(0, () => write(times - 1)) // in the next turn, like a socket's next read
  }
  write(20)
  sim.until('all of it', 10_000, () => b.accepted.every(({ receivedBytes }) => receivedBytes === 20 * 65_536))
  const short = sent.filter(
    ({ from, bytes }) => from.address === a.endpoint.address && bytes.length > 1_000 && bytes.length < 61_440,
  )
  assert.ok(short.length <= 16, `${short.length} short ones: each stream has one, the last`)
})

for (const seed of [1, 2]) {
  test(`after streams have ended in every way nothing is left, and the nodes fall silent (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 10, jitterMs: 10, lossRate: 0.02 } })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.echo = true
    })
    b.listen(81, (stream) => {
      sim.world.after(30 + sim.random.below(300), () => stream.reset())
    })
    b.listenAndRefuse(82)
    const streams = Array.from({ length: 200 }, (_, i) => a.dial('agent-b', 80 + (i % 4)))
    for (const stream of streams) {
      stream.write(sim.random.bytes(sim.random.below(30_000)))
      const fate = sim.random.below(4)
      if (fate === 0) stream.shutdown()
      else
        sim.world.after(sim.random.below(2_000), () =>
          fate === 1 ? stream.reset() : fate === 2 ? stream.cancel() : stream.shutdown(),
        )
    }
    sim.run(90_000)
    assert.deepEqual([leftovers(a), leftovers(b)], [NOTHING, NOTHING])
    const before = sim.network.sent
    const [wakesA, wakesB] = [a.wakes, b.wakes]
    sim.run(600_000)
    const perMinute = (sim.network.sent - before) / 10
    assert.ok(perMinute <= 16, `${perMinute} datagrams per minute between two idle nodes`)
    assert.ok((a.wakes - wakesA + b.wakes - wakesB) / 600 < 2, 'no busy timers')
    sim.run(120_000)
    assert.equal(a.state.peers.size + b.state.peers.size, 0, 'silent peers are forgotten')
    assert.ok(a.spins + b.spins <= streams.length, 'an already expired deadline occurs at most once per stream')
  })

  test(`2,000 idle streams cost nothing, and an active one among them costs the same as alone (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.echo = true
    })
    const talk = (): number[] => {
      const before = [a.heapPops + b.heapPops, a.wakes + b.wakes, sim.network.sent]
      streams[0]!.write(sim.random.bytes(200_000))
      sim.run(2_000)
      return [a.heapPops + b.heapPops - before[0]!, a.wakes + b.wakes - before[1]!, sim.network.sent - before[2]!]
    }
    const streams = [a.dial('agent-b', 80)]
    sim.until('open', 5_000, () => streams[0]!.state === 'open')
    for (let i = 0; i < 6; i++) talk() // until the congestion window has grown to what this takes
    const alone = talk()
    for (let i = 1; i < 2_000; i++) streams.push(a.dial('agent-b', 80))
    for (const stream of streams) stream.write(Buffer.from('x'))
    sim.until('all open', 30_000, () => streams.every((stream) => stream.receivedBytes > 0))
    sim.run(10_000)
    const among = talk()
    for (let i = 0; i < 3; i++)
      assert.ok(among[i]! <= 1.5 * alone[i]! + 20, `${among.join()} among 2,000, ${alone.join()} alone`)
    const idle = [a.heapPops + b.heapPops, sim.network.sent]
    sim.run(60_000)
    assert.ok(a.heapPops + b.heapPops - idle[0]! < 60, `${a.heapPops + b.heapPops - idle[0]!} timers in an idle minute`)
    assert.ok(sim.network.sent - idle[1]! <= 40, `${sim.network.sent - idle[1]!} datagrams in an idle minute`)
    for (const stream of streams) stream.shutdown()
    sim.until('all over', 30_000, () => streams.every((stream) => stream.over))
    sim.run(30_000)
    assert.deepEqual([leftovers(a), leftovers(b)], [NOTHING, NOTHING])
  })

  test(`streams that die with unread bytes return their share of the receive budget (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.reading = false
    })
    const streams = Array.from({ length: 10 }, () => a.dial('agent-b', 80))
    for (const stream of streams) stream.write(sim.random.bytes(100_000))
    sim.run(2_000)
    assert.ok(b.state.streamShared.receiveBudget.usedBytes > 500_000)
    for (const stream of streams) stream.reset()
    sim.until('all told', 5_000, () => b.accepted.every((stream) => stream.over))
    for (const stream of b.accepted) stream.reset() // as OverlayStream.destroy does
    sim.run(30_000)
    assert.equal(b.state.streamShared.receiveBudget.usedBytes, 0)
  })

  test(`a peer that runs out of nonce prefixes gets one new key, and frames pass again (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const a = sim.node('agent-a')
    const puppet = new Puppet(sim, seed)
    sim.until('registered', 5_000, () => a.registered)
    puppet.onStreamPacket = ({ flags, seq, srcPort, dstPort }) => {
      if (flags === FLAG_SYN)
        puppet.send({ flags: FLAG_SYN | FLAG_ACK, srcPort: dstPort, dstPort: srcPort, seq: 0, ack: (seq + 1) >>> 0 })
    }
    const stream = a.dial('puppet', 80)
    sim.until('open', 5_000, () => stream.state === 'open')
    const auths: string[] = []
    sim.network.audits.push(({ from, bytes }) => {
      const view = Buffer.from(bytes)
      if (from.address === a.endpoint.address && view.toString('latin1', 0, 4) === 'PILA')
        auths.push(view.toString('hex', 8, 40))
    })
    let pongs = 0
    const ping = (): void => puppet.sendRaw({ protocol: PROTOCOL_CONTROL, srcPort: 9, seq: 7 }, new Uint8Array(8))
    for (let i = 0; i < MAX_PREFIXES + 40; i++) {
      // like the reference: a new prefix after every key exchange it accepts
      puppet.redrawPrefix()
      ping()
      sim.run(50)
    }
    sim.run(2_000)
    puppet.packets.length = 0
    ping()
    sim.run(100)
    for (const { header } of puppet.packets)
      if (header.protocol === PROTOCOL_CONTROL && header.flags === FLAG_ACK) pongs += 1
    assert.equal(pongs, 1, 'the ping is answered')
    assert.ok(new Set(auths).size <= 2, `${new Set(auths).size} different keys were shown`)
  })
}

test('besides 10,000 open streams to one port, 2,000 more per second come and go indefinitely', () => {
  // Ended streams answer repeated FINs for five seconds: with the open ones that is more than there are ports.
  const sim = new SimOverlay({ seed: 1 })
  const [a, b] = sim.pair()
  b.listen(80, (stream) => {
    stream.echo = true
  })
  const open: SimStream[] = []
  for (let i = 0; i < 10; i++) {
    const batch = Array.from({ length: 1_000 }, () => a.dial('agent-b', 80))
    for (const stream of batch) stream.write(Buffer.from('x'))
    sim.run(200)
    open.push(...batch)
  }
  assert.ok(
    open.every((stream) => stream.receivedBytes === 1),
    'all open',
  )
  let lasting = 0
  for (let i = 0; i < 160; i++) {
    const batch = Array.from({ length: 100 }, () => a.dial('agent-b', 80))
    for (const stream of batch) {
      stream.write(Buffer.from('y'))
      stream.shutdown()
    }
    sim.run(50)
    lasting += batch.filter((stream) => stream.receivedBytes === 1 && stream.end === 'finished').length
  }
  assert.equal(lasting, 16_000)
  for (const stream of open) stream.write(Buffer.from('z'))
  sim.run(1_000)
  assert.ok(
    open.every((stream) => stream.receivedBytes === 2 && !stream.over),
    'the open ones are unharmed',
  )
  assert.equal(a.state.streams <= 16_384 && b.state.streams <= 16_384, true)
})

for (const seed of [1, 29]) {
  test(`10,000 streams over a path with loss, duplication and reordering all end complete (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 15, jitterMs: 20, lossRate: 0.03, duplicateRate: 0.02 } })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.echo = true
    })
    const streams: SimStream[] = []
    for (let i = 0; i < 10; i++) {
      const batch = Array.from({ length: 1_000 }, () => a.dial('agent-b', 80))
      for (const stream of batch) stream.write(Buffer.from('x'))
      sim.run(200)
      streams.push(...batch)
    }
    sim.until('all are open', 30_000, () => streams.every((stream) => stream.receivedBytes === 1))
    for (const [index, stream] of streams.entries()) {
      stream.write(Buffer.alloc(index % 100, 'y'))
      stream.shutdown()
    }
    sim.until('all are over', 120_000, () => streams.every((stream) => stream.over))
    assert.deepEqual(new Set(streams.map((stream) => stream.end)), new Set(['finished']))
    for (const [index, stream] of streams.entries())
      assert.equal(stream.data.toString(), `x${'y'.repeat(index % 100)}`, `stream ${index}`)
    sim.run(90_000)
    assert.deepEqual([leftovers(a), leftovers(b)], [NOTHING, NOTHING])
  })
}

test('a port is reused after its stream was reset, even if the peer missed the reset', () => {
  const sim = new SimOverlay({ seed: 2 })
  const [a, b] = sim.pair()
  b.listen(80, (stream) => {
    stream.echo = true
  })
  const first = a.dial('agent-b', 80)
  sim.until('open', 5_000, () => first.state === 'open')
  for (let i = 0; i < 17; i++) {
    const batch = Array.from({ length: 1_000 }, () => a.dial('agent-b', 80))
    for (const stream of batch) stream.write(Buffer.from('x'))
    sim.run(200)
    assert.ok(
      batch.every((stream) => stream.receivedBytes === 1),
      `batch ${i}`,
    )
    for (const stream of batch) stream.reset()
    sim.run(400)
  }
  first.write(Buffer.from('y'))
  sim.run(1_000)
  assert.equal(first.receivedBytes, 1)
})
