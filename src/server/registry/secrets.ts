/** Tokens that people share: compared without telling how much of a guess was right, kept only as their hash. */
import { createHash, timingSafeEqual } from 'node:crypto'

export function sameSecret(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected))
}

/** What the store keeps of a token; empty for no token. */
export function hashSecret(secret: string): string {
  return secret === '' ? '' : digest(secret).toString('hex')
}

/** False where no token was set. */
export function matchesHash(given: string, hash: string): boolean {
  return hash !== '' && timingSafeEqual(digest(given), Buffer.from(hash.padEnd(64, '0').slice(0, 64), 'hex'))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
