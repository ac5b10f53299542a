/**
 * X25519 (RFC 7748) and HKDF-SHA256 (RFC 5869): from two key pairs to the AES-256 key of a tunnel (tunnel.md §2.2), or keys.
 * Both run in node:crypto: in JavaScript X25519 takes 2 to 7 ms and HKDF up to 4, several times in each first connection.
 */
import { diffieHellman, hkdfSync, type KeyObject } from 'node:crypto'
import { hmac } from './mac.ts'
import { importPrivateKey, importPublicKey, publicKeyOf } from './raw-keys.ts'

/** @param privateKey Any 32 random bytes; do not write into them afterwards. @throws RangeError for any other length. */
export function x25519PublicKey(privateKey: Uint8Array): Uint8Array {
  return publicKeyOf(imported(privateKey))
}

/**
 * The same bytes at both ends.
 * 'low_order': the peer's key has the wrong length or would force a secret that anyone can know (RFC 7748 §6.1).
 * @param info What the key is for (RFC 5869 §3.2): other bytes, another key.
 * @param length Bytes; the first 32 are the same whatever it is.
 */
export function agreeSessionKey(
  privateKey: Uint8Array,
  peerPublic: Uint8Array,
  info: Uint8Array = TUNNEL_INFO,
  length = KEY_BYTES,
): Uint8Array | 'low_order' {
  const ours = imported(privateKey)
  if (peerPublic.length !== KEY_BYTES) return 'low_order'
  let shared: Uint8Array
  try {
    const theirs = importPublicKey('X25519', peerPublic)
    shared = new Uint8Array(diffieHellman({ privateKey: ours, publicKey: theirs })) // refuses an all-zero result
  } catch {
    return 'low_order'
  }
  const key = new Uint8Array(hkdfSync('sha256', shared, NO_SALT, info, length))
  shared.fill(0)
  return key
}

/**
 * What only the holder of a session's proof can say of a new key (extensions.md §6), 16 bytes.
 * @param challenge What it signs for that key: it names both ends.
 */
export function continuationOf(proof: Uint8Array, challenge: Uint8Array): Uint8Array {
  return hmac(proof, challenge).subarray(0, CONTINUATION_BYTES)
}

/** Importing takes up to 0.4 ms (Node 20), and a tunnel needs its key two or three times: it is done once. */
function imported(privateKey: Uint8Array): KeyObject {
  let key = importedKeys.get(privateKey)
  if (key === undefined) {
    key = importPrivateKey('X25519', privateKey)
    importedKeys.set(privateKey, key)
  }
  return key
}

/** Keyed by the array itself, so that a key object is released together with its array. */
const importedKeys = new WeakMap<Uint8Array, KeyObject>()

const KEY_BYTES = 32
const CONTINUATION_BYTES = 16
const NO_SALT = new Uint8Array(0)
const TUNNEL_INFO = new TextEncoder().encode('pilot-tunnel-v1')
