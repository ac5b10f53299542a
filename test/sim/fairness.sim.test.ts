/** Concurrent streams of one tunnel: the path is shared, and no stream waits behind another's backlog. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AEAD_TAG_BYTES } from '../../src/crypto/aead.ts'
import { createSlot } from '../../src/proto/node/datagram-slot.ts'
import { createPacketHeader, decodePacket } from '../../src/wire/packet.ts'
import { SimOverlay } from './simulator/overlay.ts'

const PATH = { delayMs: 10, rateBps: 50e6, queueBytes: 125_000 }
const MIB = 1_048_576

for (const seed of [1, 2, 3]) {
  test(`eight streams that send as much as they can get nearly equal shares (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: PATH })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.keep = false
    })
    const piece = sim.random.bytes(MIB)
    const streams = Array.from({ length: 8 }, () => a.dial('agent-b', 80))
    for (const stream of streams) for (let i = 0; i < 16; i++) stream.write(piece)
    sim.run(8_000)
    const got = b.accepted.map(({ receivedBytes }) => receivedBytes)
    const total = got.reduce((sum, bytes) => sum + bytes, 0)
    assert.equal(got.length, 8)
    assert.ok(total > 0.7 * 50e6 && total <= 50e6, `${total} of the 50e6 bytes that fit into eight seconds`)
    const fairness = total ** 2 / (8 * got.reduce((sum, bytes) => sum + bytes ** 2, 0)) // Jain's index: 1 when all are equal
    assert.ok(fairness > 0.85, `${fairness.toFixed(3)}: ${got.join()}`)
  })

  test(`a small request is answered within a few round trips while transfers fill the path (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: PATH })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.keep = false
    })
    b.listen(81, (stream) => {
      stream.echo = true
    })
    const piece = sim.random.bytes(MIB)
    for (let i = 0; i < 3; i++) {
      const bulk = a.dial('agent-b', 80)
      for (let j = 0; j < 32; j++) bulk.write(piece)
    }
    const talk = a.dial('agent-b', 81)
    sim.run(3_000)
    const waits: number[] = []
    for (let i = 1; i <= 20; i++) {
      const askedMs = sim.world.nowMs
      talk.write(sim.random.bytes(1_000))
      sim.until('the answer', 2_000, () => talk.receivedBytes === i * 1_000)
      waits.push(sim.world.nowMs - askedMs)
    }
    waits.sort((x, y) => x - y)
    assert.ok(
      b.accepted.some(({ receivedBytes }) => receivedBytes > 5 * MIB),
      'the transfers continue meanwhile',
    )
    // A 20 ms path and a 20 ms queue: one loss costs another round trip, waiting behind 90 MiB would cost 15 s.
    assert.ok(waits[10]! < 60, `median ${waits[10]} ms`)
    assert.ok(waits[19]! < 600, `worst ${waits[19]} ms`)
  })
}

test("a tunnel's streams take turns of several segments, so the peer acknowledges them together", () => {
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 1 } })
  const [a, b] = sim.pair()
  b.listen(80)
  const streams = Array.from({ length: 4 }, () => a.dial('agent-b', 80))
  sim.until('open', 10_000, () => streams.every(({ state }) => state === 'open'))
  sim.run(1_000)
  for (const { stream } of streams) a.core.write(sim.world.nowMs, stream!, sim.random.bytes(MIB))
  const [slot, header, ports] = [createSlot(), createPacketHeader(), [] as number[]]
  while (a.core.pollDatagram(sim.world.nowMs, slot)) {
    assert.equal(
      decodePacket(slot.buffer.subarray(slot.sealFrom, slot.length - AEAD_TAG_BYTES), header, undefined),
      undefined,
    )
    ports.push(header.srcPort)
  }
  assert.ok(ports.length >= 4 * 10, 'an initial window from each')
  const turns = ports.filter((port, i) => port !== ports[i - 1]).length
  assert.ok(turns <= 8, `${turns} turns for ${ports.length} segments of four streams`)
})
