/** Keys of the native port. What a session seals through it goes by the number of its key; this is for everything else. */
import { AEAD_TAG_BYTES, type AeadKey, type CryptoProvider } from '../../crypto/aead.ts'

export type NativeKeyClass = new (sealing: Uint8Array, opening: Uint8Array) => NativeKeyHandle

/** Its key is gone when it is collected. */
export interface NativeKeyHandle {
  readonly id: number
  seal(nonce: Uint8Array, aad: Uint8Array, plain: Uint8Array, out: Uint8Array, at: number): boolean
  open(nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array, out: Uint8Array): boolean
}

export function nativeCrypto(Handle: NativeKeyClass): CryptoProvider {
  return { name: 'native', aead: (key, opening = key) => new NativeAeadKey(new Handle(key, opening)) }
}

export class NativeAeadKey implements AeadKey {
  /** Never used again for another key. */
  readonly id: number
  readonly #handle: NativeKeyHandle

  constructor(handle: NativeKeyHandle) {
    this.#handle = handle
    this.id = handle.id
    keys.set(this.id, new WeakRef(this))
    gone.register(this, this.id)
  }

  /** The key with this number; undefined if no session has it any more. */
  static of(id: number): NativeAeadKey | undefined {
    return keys.get(id)?.deref()
  }

  seal(nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, out: Uint8Array, at: number): number {
    if (!this.#handle.seal(nonce, aad, plaintext, out, at)) throw new RangeError('the sealed frame does not fit')
    return plaintext.length + AEAD_TAG_BYTES
  }

  sealApart(nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, pieces: Uint8Array[]): void {
    const sealed = new Uint8Array(plaintext.length + AEAD_TAG_BYTES)
    this.seal(nonce, aad, plaintext, sealed, 0)
    pieces.push(sealed)
  }

  open(nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    if (sealed.length < AEAD_TAG_BYTES) return undefined
    const plaintext = new Uint8Array(sealed.length - AEAD_TAG_BYTES)
    return this.#handle.open(nonce, aad, sealed, plaintext) ? plaintext : undefined
  }

  prepare(): void {} // a nonce costs nothing to set here
}

const keys = new Map<number, WeakRef<NativeAeadKey>>()
const gone = new FinalizationRegistry<number>((id) => keys.delete(id))
