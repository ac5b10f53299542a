/**
 * The overlay packet (addressing-and-packets.md §3), big-endian:
 *
 *   0 version:flags (4 bits each)   2 payload length (2)   10 destination network (2)   18 destination port (2)
 *   1 protocol                      4 source network (2)   12 destination node (4)      20 sequence (4)
 *                                   6 source node (4)      16 source port (2)           24 acknowledgment (4)
 *   28 window (2)   30 CRC-32 over header (this field zero) and payload (4)   34 payload
 *
 * Hot path: one header object is reused for every packet, and payloads stay where they are.
 */
import { readU16, readU32, writeU16, writeU32 } from '../base/bytes.ts'
import type { NodeId } from '../base/types.ts'
import type { Crc32 } from './crc32.ts'

/** Mutable on purpose: a decoder or a sender owns one and reuses it. */
export interface PacketHeader {
  flags: number // FLAG_*, 0..15
  protocol: number // PROTOCOL_*, 0..255
  payloadLength: number // bytes, 0..65535
  srcNetwork: number
  srcNode: NodeId
  dstNetwork: number
  dstNode: NodeId
  srcPort: number
  dstPort: number
  seq: number
  ack: number
  window: number
}

/** In the order of the checks. */
export type PacketFault = 'too_short' | 'truncated' | 'bad_checksum' | 'bad_version'

export const PACKET_HEADER_BYTES = 34
export const MAX_PACKET_PAYLOAD = 65_535

/** Position of the protocol in an encoded packet. */
export const PROTOCOL_AT = 1
export const PROTOCOL_STREAM = 1
export const PROTOCOL_DATAGRAM = 2
export const PROTOCOL_CONTROL = 3

export const FLAG_SYN = 1
export const FLAG_ACK = 2
export const FLAG_FIN = 4
export const FLAG_RST = 8

export function createPacketHeader(): PacketHeader {
  return {
    flags: 0,
    protocol: 0,
    payloadLength: 0,
    srcNetwork: 0,
    srcNode: 0,
    dstNetwork: 0,
    dstNode: 0,
    srcPort: 0,
    dstPort: 0,
    seq: 0,
    ack: 0,
    window: 0,
  }
}

/** Of a packet of at least PACKET_HEADER_BYTES. */
export function sourcePort(bytes: Uint8Array): number {
  return readU16(bytes, 16)
}
export function destinationPort(bytes: Uint8Array): number {
  return readU16(bytes, 18)
}

/** The packet's checksum was not computed (SYN option UNCHECKED). One packet in 2^32 really has this checksum. */
export function isUnchecked(bytes: Uint8Array): boolean {
  return bytes.length >= PACKET_HEADER_BYTES && readU32(bytes, CHECKSUM_AT) === 0
}

/**
 * Checks `bytes` (§3.1) and fills `header`; the payload is bytes[34 .. 34 + payloadLength), anything after it is
 * ignored. On a fault `header` is untouched. `bytes` is modified temporarily, and restored on return.
 * @param crc32 undefined: the checksum is not checked.
 */
export function decodePacket(
  bytes: Uint8Array,
  header: PacketHeader,
  crc32: Crc32 | undefined,
): PacketFault | undefined {
  if (bytes.length < PACKET_HEADER_BYTES) return 'too_short'
  const payloadLength = readU16(bytes, LENGTH_AT)
  const total = PACKET_HEADER_BYTES + payloadLength
  if (bytes.length < total) return 'truncated'
  if (crc32 !== undefined && !isIntact(bytes, total, crc32)) return 'bad_checksum'
  const first = bytes[0]!
  if (first >>> 4 !== VERSION) return 'bad_version'
  header.flags = first & 0x0f
  header.protocol = bytes[1]!
  header.payloadLength = payloadLength
  header.srcNetwork = readU16(bytes, 4)
  header.srcNode = readU32(bytes, 6)
  header.dstNetwork = readU16(bytes, 10)
  header.dstNode = readU32(bytes, 12)
  header.srcPort = readU16(bytes, 16)
  header.dstPort = readU16(bytes, 18)
  header.seq = readU32(bytes, 20)
  header.ack = readU32(bytes, 24)
  header.window = readU16(bytes, 28)
  return undefined
}

function isIntact(bytes: Uint8Array, total: number, crc32: Crc32): boolean {
  const checksum = readU32(bytes, CHECKSUM_AT)
  writeU32(bytes, CHECKSUM_AT, 0)
  const computed = crc32(bytes.length === total ? bytes : bytes.subarray(0, total))
  writeU32(bytes, CHECKSUM_AT, checksum)
  return computed === checksum
}

/**
 * Writes header and checksum around a payload that is already at out[at + 34 .. at + 34 + payloadLength).
 * @param crc32 undefined: the checksum is left at 0.
 * @returns The length of the packet, bytes.
 * @throws RangeError if the payload is longer than 65535 bytes or `out` cannot hold the packet: the caller's bug.
 */
export function encodePacket(out: Uint8Array, at: number, header: PacketHeader, crc32: Crc32 | undefined): number {
  const payloadLength = header.payloadLength
  const total = PACKET_HEADER_BYTES + payloadLength
  if (payloadLength > MAX_PACKET_PAYLOAD)
    throw new RangeError(`a packet holds at most 65535 bytes, got ${payloadLength}`)
  if (at + total > out.length) throw new RangeError(`no room for ${total} bytes at ${at} of ${out.length}`)
  out[at] = (VERSION << 4) | (header.flags & 0x0f)
  out[at + 1] = header.protocol
  writeU16(out, at + LENGTH_AT, payloadLength)
  writeU16(out, at + 4, header.srcNetwork)
  writeU32(out, at + 6, header.srcNode)
  writeU16(out, at + 10, header.dstNetwork)
  writeU32(out, at + 12, header.dstNode)
  writeU16(out, at + 16, header.srcPort)
  writeU16(out, at + 18, header.dstPort)
  writeU32(out, at + 20, header.seq)
  writeU32(out, at + 24, header.ack)
  writeU16(out, at + 28, header.window)
  writeU32(out, at + CHECKSUM_AT, 0)
  if (crc32 !== undefined)
    writeU32(out, at + CHECKSUM_AT, crc32(at === 0 && out.length === total ? out : out.subarray(at, at + total)))
  return total
}

const VERSION = 1
const LENGTH_AT = 2
const CHECKSUM_AT = 30
