/** Packets without a checksum: only in streams where both sides agreed, and never towards a peer that did not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from '../../src/wire/crc32.ts'
import {
  PACKET_HEADER_BYTES,
  createPacketHeader,
  decodePacket,
  encodePacket,
  isUnchecked,
} from '../../src/wire/packet.ts'
import { SimOverlay } from './simulator/overlay.ts'

test('two pilotgates omit it except in SYNs, and the data arrives unchanged', () => {
  const sim = new SimOverlay({ seed: 1 })
  const [a, b] = sim.pair()
  const sums = { zero: 0, computed: 0 }
  for (const node of [a, b]) {
    const { handleDatagram } = node.core
    node.core.handleDatagram = function (now, bytes, source, opened) {
      if (opened !== undefined && opened.packet[1] === 1) sums[isUnchecked(opened.packet) ? 'zero' : 'computed'] += 1
      handleDatagram.call(this, now, bytes, source, opened)
    }
  }
  b.listen(80, (stream) => {
    stream.echo = true
  })
  const stream = a.dial('agent-b', 80)
  const payload = sim.random.bytes(300_000)
  stream.write(payload)
  stream.shutdown()
  sim.until('the echo', 30_000, () => stream.over)
  assert.ok(stream.data.equals(payload))
  assert.ok(sums.zero > 100, JSON.stringify(sums))
  assert.ok(sums.computed >= 1 && sums.computed <= 4, `${JSON.stringify(sums)}: the SYN, and packets that crossed it`)
  assert.equal(b.state.counters['packet_bad_checksum'] ?? 0, 0)
})

test('a packet with a wrong checksum is dropped, and a checksum of 0 is valid only if agreed', () => {
  const header = createPacketHeader()
  header.protocol = 1
  header.payloadLength = 3
  const packet = new Uint8Array(PACKET_HEADER_BYTES + 3)
  encodePacket(packet, 0, header, undefined)
  assert.equal(isUnchecked(packet), true)
  assert.equal(decodePacket(packet, createPacketHeader(), crc32), 'bad_checksum')
  assert.equal(decodePacket(packet, createPacketHeader(), undefined), undefined)
  encodePacket(packet, 0, header, crc32)
  assert.equal(isUnchecked(packet), false)
  assert.equal(decodePacket(packet, createPacketHeader(), crc32), undefined)
})
