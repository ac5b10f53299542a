/** HMAC-SHA256 (RFC 2104, FIPS 198-1), and a comparison that does not reveal how much of a guess was right. */
import { createHmac, timingSafeEqual } from 'node:crypto'

/** 32 bytes. */
export function hmac(key: Uint8Array, message: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac('sha256', key).update(message).digest())
}

export function isHmac(key: Uint8Array, message: Uint8Array, mac: Uint8Array): boolean {
  return mac.length === MAC_BYTES && timingSafeEqual(hmac(key, message), mac)
}

const MAC_BYTES = 32
