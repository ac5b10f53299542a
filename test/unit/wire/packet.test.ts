/** packets.json, with the portable and the native checksum; then cases without vectors. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { crc32 as nativeCrc32 } from 'node:zlib'
import { parseAddress } from '../../../src/base/address.ts'
import { concatBytes, toHex } from '../../../src/base/bytes.ts'
import { crc32 as portableCrc32 } from '../../../src/wire/crc32.ts'
import {
  createPacketHeader,
  decodePacket,
  encodePacket,
  MAX_PACKET_PAYLOAD,
  PACKET_HEADER_BYTES,
  type PacketFault,
  type PacketHeader,
} from '../../../src/wire/packet.ts'
import { hex, loadVectors, payloadOf, sha256Hex, type PayloadRule } from '../../vectors/load.ts'

const vectors = loadVectors<PacketVectors>('packets')
const FAULTS: Readonly<Record<string, PacketFault>> = {
  too_short: 'too_short',
  truncated: 'truncated',
  checksum_mismatch: 'bad_checksum',
  unsupported_version: 'bad_version',
}

for (const [name, crc32] of [
  ['portable', portableCrc32],
  ['native', nativeCrc32],
] as const) {
  test(`every packet of the vectors is encoded and decoded exactly (${name} checksum)`, () => {
    for (const vector of vectors.valid) {
      const payload = payloadBytes(vector)
      const header = headerOf(vector.fields)
      const out = new Uint8Array(PACKET_HEADER_BYTES + payload.length)
      out.set(payload, PACKET_HEADER_BYTES)
      assert.equal(encodePacket(out, 0, header, crc32), out.length, vector.name)
      if (vector.packet_hex !== undefined) assert.equal(toHex(out), vector.packet_hex, vector.name)
      if (vector.header_hex !== undefined)
        assert.equal(toHex(out.subarray(0, PACKET_HEADER_BYTES)), vector.header_hex, vector.name)
      assert.equal(sha256Hex(out), vector.sha256, vector.name)

      const decoded = createPacketHeader()
      assert.equal(decodePacket(out, decoded, crc32), undefined, vector.name)
      assert.deepEqual(decoded, header, vector.name)
      assert.equal(sha256Hex(out), vector.sha256, `${vector.name}: decoding must not change the bytes`)
    }
  })

  test(`every invalid packet of the vectors is refused for the recorded reason, untouched (${name} checksum)`, () => {
    for (const vector of vectors.invalid) {
      const bytes = hex(vector.input_hex)
      const header = createPacketHeader()
      assert.equal(decodePacket(bytes, header, crc32), FAULTS[vector.reject], vector.name)
      assert.equal(toHex(bytes), vector.input_hex, vector.name)
      assert.deepEqual(header, createPacketHeader(), vector.name)
    }
  })
}

test('bytes after the packet are ignored and not covered by the checksum', () => {
  for (const vector of vectors.accepted_with_trailing_bytes) {
    const bytes = hex(vector.input_hex)
    const header = createPacketHeader()
    assert.equal(decodePacket(bytes, header, portableCrc32), undefined)
    assert.deepEqual(header, headerOf(vector.fields))
    assert.equal(
      toHex(bytes.subarray(PACKET_HEADER_BYTES, PACKET_HEADER_BYTES + header.payloadLength)),
      vector.payload_hex,
    )
    assert.equal(toHex(bytes), vector.input_hex)
  }
})

test("a payload too long for the length field is the caller's bug", () => {
  const out = new Uint8Array(MAX_PACKET_PAYLOAD + PACKET_HEADER_BYTES + 10)
  for (const { payload_length: payloadLength } of vectors.encode_errors) {
    assert.throws(() => encodePacket(out, 0, { ...createPacketHeader(), payloadLength }, portableCrc32), RangeError)
  }
})

test("a packet that does not fit its buffer is the caller's bug", () => {
  const header = { ...createPacketHeader(), payloadLength: 10 }
  assert.throws(() => encodePacket(new Uint8Array(43), 0, header, portableCrc32), RangeError)
  assert.throws(() => encodePacket(new Uint8Array(50), 7, header, portableCrc32), RangeError)
})

test('a packet is encoded in place anywhere in a buffer, and nothing around it changes', () => {
  const vector = vectors.valid.find((candidate) => candidate.payload_hex === '41')
  assert.ok(vector)
  const out = new Uint8Array(100).fill(0xee)
  out[20 + PACKET_HEADER_BYTES] = 0x41
  const length = encodePacket(out, 20, headerOf(vector.fields), portableCrc32)
  const expected = concatBytes(
    new Uint8Array(20).fill(0xee),
    hex(vector.packet_hex ?? ''),
    new Uint8Array(80 - length).fill(0xee),
  )
  assert.equal(toHex(out), toHex(expected))
})

test('the portable checksum equals the native one for every length, offset and seed', () => {
  assert.equal(portableCrc32(new TextEncoder().encode('123456789')), 0xcbf43926)
  const bytes = payloadOf({ mul: 31, add: 17, length: 1500 })
  for (let length = 0; length < 70; length++) {
    for (let at = 0; at < 9; at++) {
      const part = bytes.subarray(at, at + length)
      assert.equal(portableCrc32(part), nativeCrc32(part))
    }
  }
  assert.equal(portableCrc32(bytes.subarray(700), portableCrc32(bytes.subarray(0, 700))), nativeCrc32(bytes))
  assert.equal(portableCrc32(bytes, 0xffff_ffff), nativeCrc32(bytes, 0xffff_ffff))
})

interface Fields {
  flags: number
  protocol: number
  src: string
  dst: string
  src_port: number
  dst_port: number
  seq: number
  ack: number
  window: number
  payload_length: number
}
interface ValidPacket {
  name: string
  fields: Fields
  payload_hex?: string
  payload_rule?: PayloadRule
  packet_hex?: string
  header_hex?: string
  sha256: string
}
interface PacketVectors {
  valid: ValidPacket[]
  accepted_with_trailing_bytes: { input_hex: string; fields: Fields; payload_hex: string }[]
  invalid: { name: string; input_hex: string; reject: string }[]
  encode_errors: { payload_length: number }[]
}

function payloadBytes(vector: ValidPacket): Uint8Array {
  return vector.payload_rule === undefined ? hex(vector.payload_hex ?? '') : payloadOf(vector.payload_rule)
}

function headerOf(fields: Fields): PacketHeader {
  const src = parseAddress(fields.src)
  const dst = parseAddress(fields.dst)
  assert.ok(src !== undefined && dst !== undefined)
  return {
    flags: fields.flags,
    protocol: fields.protocol,
    payloadLength: fields.payload_length,
    srcNetwork: src.network,
    srcNode: src.node,
    dstNetwork: dst.network,
    dstNode: dst.node,
    srcPort: fields.src_port,
    dstPort: fields.dst_port,
    seq: fields.seq,
    ack: fields.ack,
    window: fields.window,
  }
}
