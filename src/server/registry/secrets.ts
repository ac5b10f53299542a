/** Tokens that people share: compared in constant time, kept only as hashes. */
import { createHash, timingSafeEqual } from 'node:crypto'

export function sameSecret(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected))
}

/** The stored form of a token; empty for no token. */
export function hashSecret(secret: string): string {
  return secret === '' ? '' : digest(secret).toString('hex')
}

/** False if no token was set. */
export function matchesHash(given: string, hash: string): boolean {
  return hash !== '' && timingSafeEqual(digest(given), Buffer.from(hash.padEnd(64, '0').slice(0, 64), 'hex'))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
