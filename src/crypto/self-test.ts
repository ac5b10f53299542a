/** Known answers before first use: which of the two AES-256-GCM implementations may carry traffic on this host. */
import { concatBytes, equalBytes, fromHex } from '../base/bytes.ts'
import { nodeCrypto, portableCrypto, type CryptoProvider } from './aead.ts'

/** The fast one if it passes, otherwise the portable one. @throws Error if neither does: then nothing may be sent. */
export function chooseCrypto(): CryptoProvider {
  const nodeTrouble = selfTest(nodeCrypto)
  if (nodeTrouble === undefined) return nodeCrypto
  const portableTrouble = selfTest(portableCrypto)
  if (portableTrouble === undefined) return portableCrypto
  throw new Error(`AES-256-GCM works nowhere on this host: node: ${nodeTrouble}; portable: ${portableTrouble}`)
}

/** @returns What is wrong, or undefined: both known answers, every refusal, and agreement with the portable twin. */
export function selfTest(provider: CryptoProvider): string | undefined {
  try {
    for (const answer of KNOWN_ANSWERS) {
      const trouble = checkKnownAnswer(provider, answer)
      if (trouble !== undefined) return `${answer.name}: ${trouble}`
    }
    return checkAgreement(provider)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function checkKnownAnswer(provider: CryptoProvider, answer: KnownAnswer): string | undefined {
  const key = provider.aead(hex(answer.key))
  const nonce = hex(answer.nonce)
  const aad = hex(answer.aad)
  const plaintext = hex(answer.plaintext)
  const expected = concatBytes(hex(answer.ciphertext), hex(answer.tag))
  const sealed = new Uint8Array(expected.length)
  if (key.seal(nonce, aad, plaintext, sealed, 0) !== expected.length || !equalBytes(sealed, expected))
    return 'sealed wrongly'
  const opened = key.open(nonce, aad, expected)
  if (opened === undefined || !equalBytes(opened, plaintext)) return 'opened wrongly'
  if (key.open(nonce, aad, expected.subarray(0, expected.length - 12)) !== undefined) return 'accepted a cut tag'
  sealed[sealed.length - 1]! ^= 1
  if (key.open(nonce, aad, sealed) !== undefined) return 'accepted a wrong tag'
  return undefined
}

/** Longer than one block and not a multiple of it, so that counting and the last block are covered too. */
function checkAgreement(provider: CryptoProvider): string | undefined {
  const pattern = Uint8Array.from({ length: 111 }, (_, i) => (i * 7) & 0xff)
  const ours = provider.aead(pattern.subarray(0, 32))
  const other = portableCrypto.aead(pattern.subarray(0, 32))
  const nonce = pattern.subarray(32, 44)
  const sealed = new Uint8Array(pattern.length + 16)
  ours.seal(nonce, nonce, pattern, sealed, 0)
  const opened = other.open(nonce, nonce, sealed)
  return opened !== undefined && equalBytes(opened, pattern) ? undefined : 'disagrees with the portable implementation'
}

function hex(text: string): Uint8Array {
  const bytes = fromHex(text)
  if (bytes === undefined) throw new RangeError(`not hex: ${text}`)
  return bytes
}

interface KnownAnswer {
  readonly name: string
  readonly key: string
  readonly nonce: string
  readonly aad: string
  readonly plaintext: string
  readonly ciphertext: string
  readonly tag: string
}

/** McGrew and Viega, The Galois/Counter Mode of Operation, appendix B. */
const KNOWN_ANSWERS: readonly KnownAnswer[] = [
  {
    name: 'GCM test case 14',
    key: '00'.repeat(32),
    nonce: '00'.repeat(12),
    aad: '',
    plaintext: '00'.repeat(16),
    ciphertext: 'cea7403d4d606b6e074ec5d3baf39d18',
    tag: 'd0d1c8a799996bf0265b98b5d48ab919',
  },
  {
    name: 'GCM test case 16',
    key: 'feffe9928665731c6d6a8f9467308308'.repeat(2),
    nonce: 'cafebabefacedbaddecaf888',
    aad: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    plaintext:
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72' +
      '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
    ciphertext:
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa' +
      '8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662',
    tag: '76fc6ece0f4e1768cddf8853bb2d551b',
  },
]
