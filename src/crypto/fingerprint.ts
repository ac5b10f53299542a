/** The short form in which people compare keys, the same in logs, messages, tables and JSON. */
import { createHash } from 'node:crypto'
import { fromBase64 } from '../base/bytes.ts'

/**
 * The first 80 bits of the SHA-256 of an Ed25519 public key, as `3f2a-9c01-77de-10ab-4c5e`. Finding another key with
 * the same fingerprint takes 2^80 key generations; with four digits it would take a second.
 */
export function fingerprintOf(publicKey: Uint8Array): string {
  const digits = createHash('sha256')
    .update(publicKey)
    .digest('hex')
    .slice(0, GROUPS * 4)
  return digits.match(/.{4}/g)!.join('-')
}

/** Of a key in base64, as records hold it; undefined if it is unknown ('') or malformed. */
export function fingerprintOfText(publicKey: string): string | undefined {
  const key = fromBase64(publicKey)
  return key === undefined || key.length === 0 ? undefined : fingerprintOf(key)
}

const GROUPS = 5
