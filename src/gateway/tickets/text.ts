/**
 * A ticket as text, and the proof of holding it (docs/tickets.md). Pure; above: tickets.ts.
 *
 * `pgt1_` and base64url of: version 1 · expiry u32 (Unix s) · node u32 · Ed25519 key 32 · protocol u8 (6 TCP, 17 UDP) ·
 * port u16 · secret 16 · fingerprint (u8 length 0 or 32, bytes) · service, registry, beacon (u8 length, UTF-8 each) ·
 * the first four bytes of the SHA-256 of all that, against typing errors. Numbers are big-endian.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { fromHex, fromStrictUtf8, toBase64Url, toHex } from '../../base/bytes.ts'
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'

export interface Ticket {
  readonly expires: number // Unix s
  readonly node: NodeId // of the inviter
  readonly key: Uint8Array // its Ed25519 key, the only one to be trusted
  readonly protocol: 'tcp' | 'udp'
  readonly port: number // overlay port of the service
  readonly service: string // name of the exposure
  readonly registry: string // host:port, or tls://host:port
  readonly fingerprint: string | undefined // of its TLS certificate, hex
  readonly beacon: string // host:port
  readonly secret: Uint8Array // 16 bytes, valid for one node
}

export function formatTicket(ticket: Ticket): string {
  const head = Buffer.alloc(9)
  head[0] = VERSION
  head.writeUInt32BE(ticket.expires, 1)
  head.writeUInt32BE(ticket.node, 5)
  const port = Buffer.from([ticket.protocol === 'tcp' ? TCP : UDP, ticket.port >> 8, ticket.port & 0xff])
  const fingerprint = ticket.fingerprint === undefined ? new Uint8Array() : fromHex(ticket.fingerprint)!
  const texts = [ticket.service, ticket.registry, ticket.beacon].map((text) => sized(Buffer.from(text)))
  const body = Buffer.concat([head, ticket.key, port, ticket.secret, sized(fingerprint), ...texts])
  return `${TICKET_PREFIX}${Buffer.concat([body, checksum(body)]).toString('base64url')}`
}

/** Of a list of addresses, separated by commas, the first ones, as many as a ticket holds; never none. */
export function fittingTicket(list: string): string {
  let text = list
  while (Buffer.byteLength(text) > MAX_TEXT_BYTES && text.includes(',')) text = text.slice(0, text.lastIndexOf(','))
  return text
}

/** @throws PilotError TICKET_INVALID. Expiry is not checked. */
export function parseTicket(text: string): Ticket {
  const ticket =
    text.startsWith(TICKET_PREFIX) && text.length <= MAX_TICKET_CHARS
      ? read(Buffer.from(text.slice(TICKET_PREFIX.length), 'base64url'))
      : undefined
  if (ticket === undefined || formatTicket(ticket) !== text)
    throw new PilotError('TICKET_INVALID', 'this is not a ticket, or only part of one')
  return ticket
}

/** What the guest presents instead of the secret: valid only for this guest's key and this inviter. */
export function proofOf(secret: Uint8Array, guestKey: Uint8Array, inviterKey: Uint8Array): string {
  const mac = createHmac('sha256', secret).update('pilot-ticket:').update(guestKey).update(inviterKey).digest()
  return `${PROOF_PREFIX}${toBase64Url(mac.subarray(0, PROOF_BYTES))}`
}

/** Has the form of a proof, valid or not. */
export function isProof(text: string): boolean {
  return text.startsWith(PROOF_PREFIX)
}

/** In constant time. */
export function sameProof(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}

function read(bytes: Buffer): Ticket | undefined {
  if (bytes.length < MIN_BYTES || bytes[0] !== VERSION) return undefined
  const body = bytes.subarray(0, -CHECK_BYTES)
  if (!checksum(body).equals(bytes.subarray(-CHECK_BYTES))) return undefined
  let at = FIXED_BYTES
  const parts: Buffer[] = []
  for (let index = 0; index < 4; index++) {
    const length = body[at] ?? body.length
    if (at + 1 + length > body.length) return undefined
    parts.push(body.subarray(at + 1, at + 1 + length))
    at += 1 + length
  }
  const [service, registry, beacon] = parts.slice(1).map((part) => fromStrictUtf8(part))
  const [fingerprint, port] = [parts[0]!, body.readUInt16BE(42)]
  if (
    at !== body.length ||
    !service ||
    !registry ||
    !beacon ||
    port === 0 ||
    (fingerprint.length !== 0 && fingerprint.length !== 32)
  )
    return undefined
  return {
    expires: body.readUInt32BE(1),
    node: body.readUInt32BE(5),
    key: Uint8Array.from(body.subarray(9, 41)),
    protocol: body[41] === UDP ? 'udp' : 'tcp',
    port,
    secret: Uint8Array.from(body.subarray(44, FIXED_BYTES)),
    fingerprint: fingerprint.length === 0 ? undefined : toHex(fingerprint),
    service,
    registry,
    beacon,
  }
}

function sized(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(bytes.length), bytes])
}

function checksum(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest().subarray(0, CHECK_BYTES)
}

const MAX_TEXT_BYTES = 255 // its length is one byte
export const TICKET_PREFIX = 'pgt1_'
export const SECRET_BYTES = 16
const PROOF_PREFIX = 'pgt1:'
const PROOF_BYTES = 24 // 192 bits: with the prefix 37 characters, of the 128 that a justification may have
const VERSION = 1
const TCP = 6
const UDP = 17
const FIXED_BYTES = 60 // up to the fingerprint's length
const CHECK_BYTES = 4
const MIN_BYTES = FIXED_BYTES + 4 + CHECK_BYTES
/** Four fields of 255 bytes and the rest, in base64url; a usual one has 230. */
const MAX_TICKET_CHARS = 1_500
