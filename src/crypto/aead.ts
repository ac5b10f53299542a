/**
 * AES-256-GCM (NIST SP 800-38D) with 12-byte nonces and 16-byte tags, twice: node:crypto for speed, noble for hosts
 * without it and as the oracle the other is tested against. Nonces are the caller's duty: never one twice per key.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { gcm } from '@noble/ciphers/aes.js'

/** What sealing adds behind the ciphertext, bytes. */
export const AEAD_TAG_BYTES = 16

export interface AeadKey {
  /**
   * Writes ciphertext and tag at out[at ..), which may overlap `plaintext`.
   * @returns Bytes written: plaintext.length + 16.
   */
  seal (nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, out: Uint8Array, at: number): number
  /** As `seal`, but appends ciphertext and tag, fresh arrays, to `pieces`: nothing is copied. */
  sealApart (nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, pieces: Uint8Array[]): void
  /**
   * @param sealed Ciphertext followed by the tag.
   * @returns The plaintext, a fresh array owned by the caller; undefined when the tag does not fit, and then nothing
   *   of the plaintext has been handed out.
   */
  open (nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined
}

export interface CryptoProvider {
  readonly name: 'node' | 'portable'
  /** @param key 32 bytes; copied. @throws RangeError for any other length. */
  aead (key: Uint8Array): AeadKey
}

export const nodeCrypto: CryptoProvider = {
  name: 'node',
  aead: (key) => new NodeAeadKey(checkedKey(key)),
}

export const portableCrypto: CryptoProvider = {
  name: 'portable',
  aead: (key) => new PortableAeadKey(checkedKey(key)),
}

class NodeAeadKey implements AeadKey {
  readonly #key: KeyObject

  constructor (key: Uint8Array) {
    this.#key = createSecretKey(key)
  }

  seal (nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, out: Uint8Array, at: number): number {
    const cipher = createCipheriv(CIPHER, this.#key, nonce, TAG_OPTIONS)
    cipher.setAAD(aad)
    out.set(cipher.update(plaintext), at)
    cipher.final() // GCM is a stream mode: nothing is left, but the tag exists only after this
    out.set(cipher.getAuthTag(), at + plaintext.length)
    return plaintext.length + AEAD_TAG_BYTES
  }

  sealApart (nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, pieces: Uint8Array[]): void {
    const cipher = createCipheriv(CIPHER, this.#key, nonce, TAG_OPTIONS)
    cipher.setAAD(aad)
    pieces.push(cipher.update(plaintext))
    cipher.final()
    pieces.push(cipher.getAuthTag())
  }

  open (nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    const length = sealed.length - AEAD_TAG_BYTES
    if (length < 0) return undefined
    const decipher = createDecipheriv(CIPHER, this.#key, nonce, TAG_OPTIONS)
    decipher.setAAD(aad)
    decipher.setAuthTag(sealed.subarray(length))
    const plaintext = decipher.update(sealed.subarray(0, length))
    try {
      decipher.final()
    } catch {
      return undefined
    }
    return plaintext
  }
}

class PortableAeadKey implements AeadKey {
  readonly #key: Uint8Array

  constructor (key: Uint8Array) {
    this.#key = key.slice()
  }

  seal (nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, out: Uint8Array, at: number): number {
    const sealed = gcm(this.#key, nonce, aad).encrypt(plaintext)
    out.set(sealed, at)
    return sealed.length
  }

  sealApart (nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, pieces: Uint8Array[]): void {
    const sealed = gcm(this.#key, nonce, aad).encrypt(plaintext)
    pieces.push(sealed.subarray(0, plaintext.length), sealed.subarray(plaintext.length))
  }

  open (nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    if (sealed.length < AEAD_TAG_BYTES) return undefined
    try {
      return gcm(this.#key, nonce, aad).decrypt(sealed)
    } catch {
      return undefined
    }
  }
}

function checkedKey (key: Uint8Array): Uint8Array {
  if (key.length !== KEY_BYTES) throw new RangeError(`an AES-256 key has ${KEY_BYTES} bytes, got ${key.length}`)
  return key
}

const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const TAG_OPTIONS = { authTagLength: AEAD_TAG_BYTES } as const // without it node accepts a tag of 4 bytes
