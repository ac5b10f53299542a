/**
 * A self-signed certificate for the registry, for clients that pin it by fingerprint (registry.md §1.5): X.509 v3 (RFC
 * 5280), ECDSA on P-256 with SHA-256 (RFC 5758), for localhost. Node can read certificates but not write them, so this
 * has the few DER (X.690) encodings needed.
 */
import { createHash, generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto'

export interface Certificate {
  readonly certPem: string // may hold a chain, the server's own first
  readonly keyPem: string
}

/** @param now Unix ms: valid from the day before, for ten years; pinning clients check neither. */
export function createCertificate(now: number): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = sequence(set(sequence(oid(ORGANISATION), utf8String('pilotgate'))))
  const content = sequence(
    tagged(0, integer(Uint8Array.of(2))), // version 3
    integer(Uint8Array.of(1, ...randomBytes(15))), // begins with 1: positive, and of fixed length
    ALGORITHM,
    name,
    sequence(time(now - DAY_MS), time(now + VALID_DAYS * DAY_MS)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(
      3,
      sequence(
        extension(BASIC_CONSTRAINTS, true, sequence()), // no authority
        extension(KEY_USAGE, true, bitString(Uint8Array.of(0x80), 7)), // digitalSignature
        extension(EXTENDED_KEY_USAGE, false, sequence(oid(SERVER_AUTH))),
        extension(
          SUBJECT_ALT_NAME,
          false,
          sequence(dnsName('localhost'), ipAddress([127, 0, 0, 1]), ipAddress([...new Uint8Array(15), 1])),
        ),
      ),
    ),
  )
  const der = sequence(content, ALGORITHM, bitString(sign('sha256', content, privateKey), 0))
  const base64 = Buffer.from(der)
    .toString('base64')
    .replace(/.{1,64}/g, '$&\n')
  const certPem = `-----BEGIN CERTIFICATE-----\n${base64}-----END CERTIFICATE-----\n`
  return { certPem, keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

/** What clients pin: lower-case hex SHA-256 of the DER of the leaf. @throws If the text holds no certificate. */
export function fingerprintOf(certPem: string): string {
  return createHash('sha256').update(new X509Certificate(certPem).raw).digest('hex')
}

function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts)
  const { length } = content
  const lengthBytes = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Uint8Array.of(tag, ...lengthBytes), content])
}

function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return der(0x30, ...parts)
}
function set(...parts: readonly Uint8Array[]): Uint8Array {
  return der(0x31, ...parts)
}
function integer(bytes: Uint8Array): Uint8Array {
  return der(0x02, bytes)
}
function oid(bytes: readonly number[]): Uint8Array {
  return der(0x06, Uint8Array.from(bytes))
}
function utf8String(text: string): Uint8Array {
  return der(0x0c, Buffer.from(text))
}
function tagged(number: number, content: Uint8Array): Uint8Array {
  return der(0xa0 + number, content)
}
function dnsName(text: string): Uint8Array {
  return der(0x82, Buffer.from(text))
}
function ipAddress(bytes: readonly number[]): Uint8Array {
  return der(0x87, Uint8Array.from(bytes))
}

/** @param unused Unused bits at the end of the last byte. */
function bitString(bytes: Uint8Array, unused: number): Uint8Array {
  return der(0x03, Uint8Array.of(unused), bytes)
}

/** UTCTime, which RFC 5280 requires until 2049. */
function time(unixMs: number): Uint8Array {
  const digits = new Date(unixMs).toISOString().replace(/[-:T]/g, '').slice(2, 14)
  return der(0x17, Buffer.from(`${digits}Z`))
}

function extension(id: readonly number[], critical: boolean, content: Uint8Array): Uint8Array {
  const flag = critical ? [der(0x01, Uint8Array.of(0xff))] : []
  return sequence(oid(id), ...flag, der(0x04, content))
}

const ORGANISATION = [0x55, 0x04, 0x0a] // 2.5.4.10
const ALGORITHM = sequence(oid([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])) // ecdsa-with-SHA256, 1.2.840.10045.4.3.2
const BASIC_CONSTRAINTS = [0x55, 0x1d, 0x13] // 2.5.29.19
const KEY_USAGE = [0x55, 0x1d, 0x0f] // 2.5.29.15
const EXTENDED_KEY_USAGE = [0x55, 0x1d, 0x25] // 2.5.29.37
const SERVER_AUTH = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01] // 1.3.6.1.5.5.7.3.1
const SUBJECT_ALT_NAME = [0x55, 0x1d, 0x11] // 2.5.29.17
const DAY_MS = 86_400_000
const VALID_DAYS = 3_650
