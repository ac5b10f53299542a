/**
 * X25519 (RFC 7748) and HKDF-SHA256 (RFC 5869): from two key pairs to the one AES-256 key of a tunnel (tunnel.md §2.2).
 * Both run in node:crypto: in JavaScript X25519 takes 2 to 7 ms and HKDF up to 4, several times in each first connection.
 */
import { createPrivateKey, createPublicKey, diffieHellman, hkdfSync, type KeyObject } from 'node:crypto'
import { fromBase64, toBase64Url } from '../base/bytes.ts'

/** @param privateKey Any 32 random bytes. @throws RangeError for any other length. */
export function x25519PublicKey(privateKey: Uint8Array): Uint8Array {
  const { x } = createPublicKey(imported(privateKey)).export({ format: 'jwk' })
  return fromBase64(`${x!.replaceAll('-', '+').replaceAll('_', '/')}=`)!
}

/**
 * The same 32 bytes at both ends and for both directions.
 * 'low_order': the peer's key has the wrong length or would force a secret anybody can know (RFC 7748 §6.1).
 */
export function agreeSessionKey(privateKey: Uint8Array, peerPublic: Uint8Array): Uint8Array | 'low_order' {
  const ours = imported(privateKey)
  if (peerPublic.length !== KEY_BYTES) return 'low_order'
  let shared: Uint8Array
  try {
    const theirs = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: toBase64Url(peerPublic) }, format: 'jwk' })
    shared = new Uint8Array(diffieHellman({ privateKey: ours, publicKey: theirs })) // refuses an all-zero result
  } catch {
    return 'low_order'
  }
  const key = new Uint8Array(hkdfSync('sha256', shared, NO_SALT, INFO, KEY_BYTES))
  shared.fill(0)
  return key
}

function imported(privateKey: Uint8Array): KeyObject {
  if (privateKey.length !== KEY_BYTES)
    throw new RangeError(`an X25519 key has ${KEY_BYTES} bytes, got ${privateKey.length}`)
  const d = toBase64Url(privateKey)
  return createPrivateKey({ key: { kty: 'OKP', crv: 'X25519', d, x: d }, format: 'jwk' }) // of a private key only d is read
}

const KEY_BYTES = 32
const NO_SALT = new Uint8Array(0)
const INFO = new TextEncoder().encode('pilot-tunnel-v1')
