/**
 * The identity of a node: an Ed25519 key pair (RFC 8032), its file format, and verification of others' signatures.
 * node:crypto handles keys, signing and verification (the first public key costs noble 50 ms); noble judges whether a
 * public key is fit to be an identity.
 */
import { sign, verify, type KeyObject } from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'
import { equalBytes, fromBase64, toBase64 } from '../base/bytes.ts'
import { importPrivateKey, importPublicKey, publicKeyOf } from './raw-keys.ts'

/** A key pair that can sign but never reveals its private half, however it is printed or serialised. */
export interface Identity {
  readonly publicKey: Uint8Array // 32 bytes; do not write into it
  readonly publicKeyBase64: string
  /** @returns 64 bytes, owned by the caller. */
  sign(message: Uint8Array): Uint8Array
}

/** @param seed The 32-byte private seed; copied. @throws RangeError for any other length. */
export function createIdentity(seed: Uint8Array): Identity {
  if (seed.length !== SEED_BYTES) throw new RangeError(`an Ed25519 seed has ${SEED_BYTES} bytes, got ${seed.length}`)
  return new SeededIdentity(seed)
}

/**
 * True only for a valid signature by a fit key; never throws. Keys of small order (for which one signature fits
 * every message) and keys not in canonical form are refused, which node:crypto alone would not do.
 * @param wasJudged the key was found fit before: judging it costs more than verifying, and few keys fit into the cache.
 */
export function verifySignature(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  wasJudged = false,
): boolean {
  if (publicKey.length !== KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false
  const key = importedKey(publicKey, wasJudged)
  if (key === 'unfit') return false
  try {
    return verify(null, message, key, signature)
  } catch {
    return false
  }
}

/** Judges and imports a key before its first signature, which then costs a quarter. @returns false for an unfit one. */
export function prepareKey(publicKey: Uint8Array): boolean {
  return publicKey.length === KEY_BYTES && importedKey(publicKey, false) !== 'unfit'
}

export type IdentityFileFault = 'not_json' | 'bad_private_key' | 'bad_public_key' | 'key_mismatch'

/**
 * Reads the text of identity.json (trust.md §1.2). Both stored copies of the public key must be the one derived from
 * the seed: the reference only compares the copies with each other, and may then sign with a key that no one can
 * verify.
 * @returns The 32-byte seed, or what is wrong.
 */
export function parseIdentityFile(text: string): Uint8Array | IdentityFileFault {
  const file = parseObject(text)
  if (file === undefined) return 'not_json'
  const privateKey = decodeKey(file['private_key'])
  if (privateKey?.length !== SEED_BYTES + KEY_BYTES) return 'bad_private_key'
  const publicKey = decodeKey(file['public_key'])
  if (publicKey?.length !== KEY_BYTES) return 'bad_public_key'
  const seed = privateKey.slice(0, SEED_BYTES)
  const derived = publicKeyOf(importPrivateKey('Ed25519', seed))
  if (!equalBytes(derived, publicKey) || !equalBytes(derived, privateKey.subarray(SEED_BYTES))) return 'key_mismatch'
  return seed
}

/** The text of identity.json, byte for byte as the reference writes it: two spaces, no newline at the end. */
export function formatIdentityFile(seed: Uint8Array): string {
  const publicKey = publicKeyOf(importPrivateKey('Ed25519', seed))
  const privateKey = new Uint8Array(SEED_BYTES + KEY_BYTES)
  privateKey.set(seed, 0)
  privateKey.set(publicKey, SEED_BYTES)
  return JSON.stringify({ private_key: toBase64(privateKey), public_key: toBase64(publicKey) }, undefined, 2)
}

class SeededIdentity implements Identity {
  readonly publicKey: Uint8Array
  readonly publicKeyBase64: string
  readonly #privateKey: KeyObject

  constructor(seed: Uint8Array) {
    this.#privateKey = importPrivateKey('Ed25519', seed)
    this.publicKey = publicKeyOf(this.#privateKey)
    this.publicKeyBase64 = toBase64(this.publicKey)
  }

  sign(message: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, message, this.#privateKey))
  }

  toJSON(): { publicKey: string } {
    return { publicKey: this.publicKeyBase64 }
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `Identity(${this.publicKeyBase64})`
  }
}

/** Importing a key costs as much as a verification, and judging it costs more: both are done once per key. */
function importedKey(publicKey: Uint8Array, wasJudged: boolean): KeyObject | 'unfit' {
  const name = toBase64(publicKey)
  const known = importedKeys.get(name)
  if (known !== undefined) {
    importedKeys.delete(name) // re-inserted below: a Map keeps insertion order, so the first entry is the least used
    importedKeys.set(name, known)
    return known
  }
  const imported = wasJudged || isFit(publicKey) ? importKey(publicKey) : 'unfit'
  if (importedKeys.size >= MAX_IMPORTED_KEYS) {
    for (const oldest of importedKeys.keys()) {
      importedKeys.delete(oldest)
      break
    }
  }
  importedKeys.set(name, imported)
  return imported
}

function importKey(publicKey: Uint8Array): KeyObject | 'unfit' {
  try {
    return importPublicKey('Ed25519', publicKey)
  } catch {
    return 'unfit'
  }
}

/** A point on the curve, in its one canonical encoding (RFC 8032 §5.1.3), not of order 1, 2, 4 or 8. */
function isFit(publicKey: Uint8Array): boolean {
  try {
    return !ed25519.Point.fromBytes(publicKey, false).isSmallOrder()
  } catch {
    return false
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

function decodeKey(value: unknown): Uint8Array | undefined {
  return typeof value === 'string' ? fromBase64(value) : undefined
}

const SEED_BYTES = 32
const KEY_BYTES = 32
const SIGNATURE_BYTES = 64
const MAX_IMPORTED_KEYS = 1024 // the least recently used is evicted; a miss costs only 0.3 ms

const importedKeys = new Map<string, KeyObject | 'unfit'>()
