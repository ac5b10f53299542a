/**
 * Raw 32-byte keys of Ed25519 and X25519 as node:crypto's key objects, and back (RFC 8410).
 * A private key is imported as PKCS #8: as a JWK it would need its public half too, which Node 24 and later compare.
 * A public key is imported and exported as a JWK, which is several times faster than DER.
 */
import { createPrivateKey, createPublicKey, type KeyObject, type PrivateKeyInput } from 'node:crypto'
import { fromBase64, toBase64Url } from '../base/bytes.ts'

export type Curve = 'Ed25519' | 'X25519'

/** @param privateKey 32 bytes; copied. @throws RangeError for any other length. */
export function importPrivateKey(curve: Curve, privateKey: Uint8Array): KeyObject {
  if (privateKey.length !== KEY_BYTES)
    throw new RangeError(`an ${curve} private key has ${KEY_BYTES} bytes, got ${privateKey.length}`)
  const prefix = PKCS8_PREFIX[curve]
  const key = new Uint8Array(prefix.length + KEY_BYTES)
  key.set(prefix)
  key.set(privateKey, prefix.length)
  try {
    return createPrivateKey({ key, format: 'der', type: 'pkcs8' } as PrivateKeyInput) // its type lists fewer kinds of bytes than it accepts
  } finally {
    key.fill(0)
  }
}

/** @throws For a length other than 32. The caller judges whether the key is fit for use. */
export function importPublicKey(curve: Curve, publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: curve, x: toBase64Url(publicKey) }, format: 'jwk' })
}

/** @returns The 32 bytes of the public half. */
export function publicKeyOf(privateKey: KeyObject): Uint8Array {
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' })
  return fromBase64(`${x!.replaceAll('-', '+').replaceAll('_', '/')}=`)!
}

const KEY_BYTES = 32

/** Everything of the PKCS #8 structure before the key itself (RFC 8410 §7); the OIDs are 1.3.101.112 and .110. */
const PKCS8_PREFIX: Readonly<Record<Curve, readonly number[]>> = {
  Ed25519: [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20],
  X25519: [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20],
}
