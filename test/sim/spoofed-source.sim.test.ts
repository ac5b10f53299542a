/** A peer forges a third party's address on its frames: our answers must not flood that address. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint } from '../../src/base/types.ts'
import { FLAG_ACK, FLAG_SYN, PROTOCOL_CONTROL } from '../../src/wire/packet.ts'
import { encodeAnswer, encodeDiscoverReply } from '../../src/wire/beacon-messages.ts'
import { SimOverlay } from './simulator/overlay.ts'
import { Puppet } from './simulator/puppet.ts'

const VICTIM: Endpoint = { address: '192.0.2.99', port: 99 }

for (const seed of [1, 2, 3]) {
  test(`a victim whose address a peer forges gets at most three times what the peer spends (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 10 } })
    const ours = sim.node('ours', { public: true })
    const peer = new Puppet(sim, 1)
    sim.until('registered', 5_000, () => ours.registered)
    ours.listen(80, (stream) => stream.write(sim.random.bytes(8_000_000)))
    let [received, spent] = [0, 0]
    sim.network.attach(VICTIM, (bytes) => {
      received += bytes.length
    })
    peer.knock(ours)
    sim.run(500)
    peer.send({ flags: FLAG_SYN, srcPort: 50_000, dstPort: 80, seq: 0 })
    let ack = 0
    peer.onStreamPacket = ({ flags, seq }, payload) => {
      if ((flags & FLAG_SYN) !== 0) ack = (seq + 1) >>> 0
      else if (peer.spoofedSource === undefined && payload.length > 0) ack = (seq + payload.length) >>> 0
      if (peer.spoofedSource === undefined) peer.send({ flags: FLAG_ACK, srcPort: 50_000, dstPort: 80, seq: 1, ack })
    }
    sim.run(300)
    const pings = (): number => peer.packets.findLast(({ header }) => header.protocol === PROTOCOL_CONTROL)!.header.seq
    assert.ok(ack > 0 && pings() > 0, 'the stream is open, and the peer has seen our pings')
    peer.spoofedSource = VICTIM
    peer.answersPings = false
    const frame = (): void => {
      spent += 70
    }
    for (let i = 0; i < 4_000; i++) {
      ack = (ack + 2_304) >>> 0 // for bytes it never saw
      peer.send({ flags: FLAG_ACK, srcPort: 50_000, dstPort: 80, seq: 1, ack })
      frame()
      if (i % 10 === 0) {
        // and the answer to a ping it never saw
        const seq = (pings() + 1 + (i % 200) / 10) >>> 0
        peer.sendRaw(
          { protocol: PROTOCOL_CONTROL, flags: FLAG_ACK, dstPort: 1, seq, ack: (seq + 1) >>> 0 },
          new Uint8Array(0),
        )
        frame()
      }
      sim.run(2)
    }
    assert.ok(received > 0, 'the attack does not reach the victim at all')
    assert.ok(received <= 3 * spent + 8_000, `${received} bytes for ${spent}`)
  })
}

test('a peer that really moved is followed at its full rate a round trip later', () => {
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 20 } })
  const [a, b] = sim.pair()
  const bytes = sim.random.bytes(4_000_000)
  b.listen(80, (stream) => stream.write(bytes))
  const stream = a.dial('agent-b', 80)
  sim.until('a part of it', 10_000, () => stream.receivedBytes > 500_000)
  a.rebind({ address: '203.0.113.77', port: 7_777 })
  sim.until('the rest', 10_000, () => stream.receivedBytes === bytes.length)
  assert.equal(b.peer(a)?.paths.current?.endpoint.address, '203.0.113.77')
})

for (const seed of [1, 2, 3])
  test(`a discover reply forged in the beacon's name moves no node (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 10 } })
    const [a, b] = sim.pair()
    const forged = { address: '203.0.113.9', port: 7_777 }
    const unasked = a.state.counters['beacon_reply_unasked'] ?? 0
    const answer = { transaction: sim.random.bytes(8), secondPort: 9_002, isFromSecond: false }
    for (let i = 0; i < 300; i++) {
      for (const bytes of [encodeDiscoverReply(forged), encodeAnswer(forged, answer)])
        sim.network.inject(sim.beaconEndpoint, a.endpoint, bytes, sim.random.below(200))
      sim.run(200) // over several questions
    }
    assert.deepEqual(a.state.beacon.observed, a.endpoint)
    assert.ok((a.state.counters['beacon_reply_unasked'] ?? 0) >= unasked + 590)
    const paths = b.peer(a)?.paths.all() ?? []
    assert.ok(!paths.some(({ endpoint }) => endpoint.address === forged.address), 'the peer was sent there')
  })
