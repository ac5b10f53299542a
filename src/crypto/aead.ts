/**
 * AES-256-GCM (NIST SP 800-38D) with 12-byte nonces and 16-byte tags, twice: node:crypto for speed, noble for hosts
 * without it and as the oracle the other is tested against. Nonces are the caller's responsibility: never use one twice
 * with the same key.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type CipherGCM, type DecipherGCM } from 'node:crypto'
import { gcm } from '@noble/ciphers/aes.js'
import { equalBytes } from '../base/bytes.ts'

/** Bytes that sealing adds after the ciphertext. */
export const AEAD_TAG_BYTES = 16

export interface AeadKey {
  /**
   * Writes ciphertext and tag at out[at ..), which may overlap `plaintext`.
   * @returns Bytes written: plaintext.length + 16.
   */
  seal(nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, out: Uint8Array, at: number): number
  /** Like `seal`, but appends ciphertext and tag, as fresh arrays, to `pieces`: nothing is copied. */
  sealApart(nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, pieces: Uint8Array[]): void
  /**
   * @param sealed Ciphertext followed by the tag.
   * @returns The plaintext, a fresh array owned by the caller; undefined if the tag does not match; no plaintext is
   *   released then.
   */
  open(nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined
  /**
   * Prepares the ciphers for the next nonces in both directions, if they continue the count: a third of the cost of a
   * small packet, paid while the answer is in transit. Any other nonce costs the same as before.
   */
  prepare(): void
}

export interface CryptoProvider {
  readonly name: 'node' | 'portable' | 'native'
  /** @param key 32 bytes; copied. @param opening what the other end seals with, if that is another. @throws RangeError for any other length. */
  aead(key: Uint8Array, opening?: Uint8Array): AeadKey
}

export const nodeCrypto: CryptoProvider = {
  name: 'node',
  aead: (key, opening = key) => new NodeAeadKey(checkedKey(key), checkedKey(opening)),
}

export const portableCrypto: CryptoProvider = {
  name: 'portable',
  aead: (key, opening = key) => new PortableAeadKey(checkedKey(key), checkedKey(opening)),
}

class NodeAeadKey implements AeadKey {
  readonly #sealing: CipherAhead<CipherGCM>
  readonly #opening: CipherAhead<DecipherGCM>

  constructor(sealing: Uint8Array, opening: Uint8Array) {
    const [ours, theirs] = [createSecretKey(sealing), createSecretKey(opening)]
    this.#sealing = new CipherAhead((nonce) => createCipheriv(CIPHER, ours, nonce, TAG_OPTIONS))
    this.#opening = new CipherAhead((nonce) => createDecipheriv(CIPHER, theirs, nonce, TAG_OPTIONS))
  }

  seal(nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, out: Uint8Array, at: number): number {
    const cipher = this.#sealing.take(nonce, aad)
    out.set(cipher.update(plaintext), at)
    cipher.final() // GCM is a stream mode: no output remains, but the tag exists only after this
    out.set(cipher.getAuthTag(), at + plaintext.length)
    return plaintext.length + AEAD_TAG_BYTES
  }

  sealApart(nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, pieces: Uint8Array[]): void {
    const cipher = this.#sealing.take(nonce, aad)
    pieces.push(cipher.update(plaintext))
    cipher.final()
    pieces.push(cipher.getAuthTag())
  }

  open(nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    const length = sealed.length - AEAD_TAG_BYTES
    if (length < 0) return undefined
    const decipher = this.#opening.take(nonce, aad)
    decipher.setAuthTag(sealed.subarray(length))
    const plaintext = decipher.update(sealed.subarray(0, length))
    try {
      decipher.final()
    } catch {
      return undefined
    }
    return plaintext
  }

  prepare(): void {
    this.#sealing.prepare()
    this.#opening.prepare()
  }
}

/** Cipher objects, each for one nonce and used once; the one for the next nonce may be created in advance. */
class CipherAhead<Cipher extends CipherGCM | DecipherGCM> {
  readonly #make: (nonce: Uint8Array) => Cipher
  readonly #nonce = new Uint8Array(NONCE_BYTES) // that of #ready, otherwise the last one used
  #aad: Uint8Array | undefined // undefined: none used yet
  #ready: Cipher | undefined

  constructor(make: (nonce: Uint8Array) => Cipher) {
    this.#make = make
  }

  take(nonce: Uint8Array, aad: Uint8Array): Cipher {
    const ready = this.#ready
    this.#ready = undefined
    if (ready !== undefined && equalBytes(nonce, this.#nonce) && equalBytes(aad, this.#aad!)) return ready
    this.#nonce.set(nonce)
    if (this.#aad === undefined || !equalBytes(aad, this.#aad)) this.#aad = aad.slice()
    return this.#begin()
  }

  prepare(): void {
    if (this.#ready !== undefined || this.#aad === undefined) return
    for (let i = NONCE_BYTES - 1; i >= NONCE_COUNTER_AT; i--) {
      this.#nonce[i] = this.#nonce[i]! + 1
      if (this.#nonce[i] !== 0) break
    }
    this.#ready = this.#begin()
  }

  #begin(): Cipher {
    const cipher = this.#make(this.#nonce)
    cipher.setAAD(this.#aad!)
    return cipher
  }
}

class PortableAeadKey implements AeadKey {
  readonly #sealing: Uint8Array
  readonly #opening: Uint8Array

  constructor(sealing: Uint8Array, opening: Uint8Array) {
    this.#sealing = sealing.slice()
    this.#opening = opening.slice()
  }

  seal(nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, out: Uint8Array, at: number): number {
    const sealed = gcm(this.#sealing, nonce, aad).encrypt(plaintext)
    out.set(sealed, at)
    return sealed.length
  }

  prepare(): void {} // it keeps no state between two nonces

  sealApart(nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, pieces: Uint8Array[]): void {
    const sealed = gcm(this.#sealing, nonce, aad).encrypt(plaintext)
    pieces.push(sealed.subarray(0, plaintext.length), sealed.subarray(plaintext.length))
  }

  open(nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    if (sealed.length < AEAD_TAG_BYTES) return undefined
    try {
      return gcm(this.#opening, nonce, aad).decrypt(sealed)
    } catch {
      return undefined
    }
  }
}

function checkedKey(key: Uint8Array): Uint8Array {
  if (key.length !== KEY_BYTES) throw new RangeError(`an AES-256 key has ${KEY_BYTES} bytes, got ${key.length}`)
  return key
}

const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const NONCE_BYTES = 12
const NONCE_COUNTER_AT = 4 // a random prefix, then a counter (tunnel.md §3.1)
const TAG_OPTIONS = { authTagLength: AEAD_TAG_BYTES } as const // without it, Node accepts a tag of 4 bytes
