/** The pieces every byte passes through, each compared with a reference measured at the same time. */
import { createHash } from 'node:crypto'
import { nodeCrypto } from '../../src/crypto/aead.ts'
import { crc32 } from '../../src/wire/crc32.ts'
import { PACKET_HEADER_BYTES, createPacketHeader, decodePacket, encodePacket } from '../../src/wire/packet.ts'
import { carry } from './streams.ts'

/** js: arithmetic and memory of this engine. native: calls into OpenSSL, as the cipher makes them. */
export type ReferenceName = 'js' | 'native'

export interface Case {
  readonly name: string
  readonly against: ReferenceName
  /** @returns how many units it processed. */
  readonly work: () => number
}

// In front, for once: the lists below are made from them.
const DATA = new Uint8Array(65_536).map((_, i) => i * 31)
const SCRATCH = new Uint8Array(1_024)
const COPY = new Uint8Array(1_024)
const KEY = new Uint8Array(32).fill(7)
const NONCE = new Uint8Array(12).fill(1)
const AAD = new Uint8Array(4).fill(2)

export const REFERENCES: Readonly<Record<ReferenceName, () => number>> = { js: mix, native: hash }

export const CASES: readonly Case[] = [
  { name: 'packet encode', against: 'js', work: encoder(1_152) },
  { name: 'packet decode', against: 'js', work: decoder(1_152) },
  { name: 'CRC-32, 1152 B', against: 'js', work: times(200, () => crc32(DATA.subarray(0, 1_152))) },
  ...[64, 1_152, 1_400, 8_900, 60_000].flatMap((bytes): Case[] => [
    { name: `seal, ${bytes} B`, against: 'native', work: sealer(bytes) },
    { name: `open, ${bytes} B`, against: 'native', work: opener(bytes) },
  ]),
  { name: 'stream, packets of 1400 B', against: 'js', work: () => carry(8_000_000, 1_400, 0) },
  { name: 'stream, packets of 1400 B, 1 % lost', against: 'js', work: () => carry(4_000_000, 1_400, 100) },
  { name: 'stream, packets of 60000 B', against: 'js', work: () => carry(40_000_000, 60_000, 0) },
]

/** A fixed amount of integer arithmetic, array access and copying, all of it ours to keep as it is. */
function mix(): number {
  let state = 1
  for (let round = 0; round < 50; round++) {
    for (let i = 0; i < 1_024; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
      SCRATCH[i] = DATA[state >>> 21]! ^ state
    }
    COPY.set(SCRATCH)
  }
  SCRATCH[0] = state
  return 50
}

function hash(): number {
  for (let i = 0; i < 100; i++) createHash('sha256').update(DATA.subarray(0, 1_024)).digest()
  return 100
}

function times(count: number, once: () => unknown): () => number {
  return () => {
    for (let i = 0; i < count; i++) once()
    return count
  }
}

function encoder(bytes: number): () => number {
  const [out, header] = [
    new Uint8Array(PACKET_HEADER_BYTES + bytes),
    {
      ...createPacketHeader(),
      protocol: 1,
      payloadLength: bytes,
      srcNode: 1,
      dstNode: 2,
      srcPort: 50_000,
      dstPort: 80,
    },
  ]
  return times(1_000, () => encodePacket(out, 0, header, noChecksum))
}

function decoder(bytes: number): () => number {
  const out = new Uint8Array(PACKET_HEADER_BYTES + bytes)
  const header = { ...createPacketHeader(), protocol: 1, payloadLength: bytes }
  encodePacket(out, 0, header, noChecksum)
  return times(1_000, () => {
    if (decodePacket(out, header, noChecksum) !== undefined) throw new Error('the packet does not decode')
  })
}

/** The checksum has its own case. */
function noChecksum(): number {
  return 0
}

function sealer(bytes: number): () => number {
  const [key, out, plaintext] = [nodeCrypto.aead(KEY), new Uint8Array(bytes + 16), DATA.subarray(0, bytes)]
  return times(bytes > 10_000 ? 20 : 100, () => key.seal(NONCE, AAD, plaintext, out, 0))
}

function opener(bytes: number): () => number {
  const [key, sealed] = [nodeCrypto.aead(KEY), new Uint8Array(bytes + 16)]
  key.seal(NONCE, AAD, DATA.subarray(0, bytes), sealed, 0)
  return times(bytes > 10_000 ? 20 : 100, () => {
    if (key.open(NONCE, AAD, sealed) === undefined) throw new Error('the frame does not open')
  })
}
