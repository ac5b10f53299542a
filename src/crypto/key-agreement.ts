/** X25519 (RFC 7748) and HKDF-SHA256 (RFC 5869): from two key pairs to the one AES-256 key of a tunnel (tunnel.md §2.2). */
import { x25519 } from '@noble/curves/ed25519.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'

/** @param privateKey Any 32 random bytes. @throws RangeError for any other length. */
export function x25519PublicKey (privateKey: Uint8Array): Uint8Array {
  return x25519.getPublicKey(checkedPrivate(privateKey))
}

/**
 * The same 32 bytes at both ends and for both directions.
 * 'low_order': the peer's key has the wrong length or would force a secret anybody can know (RFC 7748 §6.1).
 */
export function agreeSessionKey (privateKey: Uint8Array, peerPublic: Uint8Array): Uint8Array | 'low_order' {
  checkedPrivate(privateKey)
  if (peerPublic.length !== KEY_BYTES) return 'low_order'
  let shared: Uint8Array
  try {
    shared = x25519.getSharedSecret(privateKey, peerPublic)
  } catch {
    return 'low_order'
  }
  const key = hkdf(sha256, shared, undefined, INFO, KEY_BYTES)
  shared.fill(0)
  return key
}

function checkedPrivate (privateKey: Uint8Array): Uint8Array {
  if (privateKey.length !== KEY_BYTES) throw new RangeError(`an X25519 key has ${KEY_BYTES} bytes, got ${privateKey.length}`)
  return privateKey
}

const KEY_BYTES = 32
const INFO = new TextEncoder().encode('pilot-tunnel-v1')
