/**
 * Signed request envelopes of pilot daemons, as one of release 1.18 was seen to make and judge them:
 * `pilot-req-v1|ADDRESS|UNIX SECONDS|NONCE|BODY HASH|AUDIENCE`, whose text is signed with the node's Ed25519 key. The
 * address is 12 hex digits (network, node), the nonce 16, the hash of the body (SHA-256) 64, all lower case. Faults are
 * the words that daemons use.
 */
import type { OverlayAddress } from '../base/address.ts'

export interface RequestEnvelope {
  readonly address: OverlayAddress
  readonly unixSeconds: number
  readonly nonce: string
  readonly bodyHash: string
  readonly audience: string
}

/** @returns the text to sign, or what is wrong with it. */
export function formatEnvelope(envelope: RequestEnvelope): { readonly text: string } | string {
  const { address, unixSeconds, nonce, bodyHash, audience } = envelope
  const fault = nonceFault(nonce) ?? hashFault(bodyHash) ?? audienceFault(audience)
  if (fault !== undefined) return fault
  const node = hex(address.network, 4) + hex(address.node, 8)
  return { text: [DOMAIN, node, unixSeconds, nonce, bodyHash, audience].join('|') }
}

export function parseEnvelope(text: string): RequestEnvelope | string {
  const fields = text.split('|')
  if (fields.length !== FIELDS) return `reqsig: want ${FIELDS} fields, got ${fields.length}`
  const [domain, address, time, nonce, bodyHash, audience] = fields as [string, string, string, string, string, string]
  if (domain !== DOMAIN) return `reqsig: bad domain ${JSON.stringify(domain)}`
  if (!/^[0-9a-f]{12}$/.test(address)) return 'reqsig: address must be 12 lowercase hex chars'
  if (!/^[0-9]+$/.test(time)) return 'reqsig: timestamp: non-digit'
  if (/^0./.test(time)) return 'reqsig: timestamp: leading zero'
  if (time.length > MAX_TIME_DIGITS) return 'reqsig: timestamp: out of range'
  const fault = nonceFault(nonce) ?? hashFault(bodyHash) ?? audienceFault(audience)
  if (fault !== undefined) return fault
  return {
    address: { network: Number.parseInt(address.slice(0, 4), 16), node: Number.parseInt(address.slice(4), 16) },
    unixSeconds: Number(time),
    nonce,
    bodyHash,
    audience,
  }
}

function nonceFault(nonce: string): string | undefined {
  return /^[0-9a-f]{16}$/.test(nonce) ? undefined : 'reqsig: nonce must be 16 lowercase hex chars'
}

function hashFault(hash: string): string | undefined {
  return /^[0-9a-f]{64}$/.test(hash) ? undefined : 'reqsig: body hash must be 64 lowercase hex chars'
}

function audienceFault(audience: string): string | undefined {
  if (audience.length < 1 || audience.length > MAX_AUDIENCE_CHARS)
    return `reqsig: audience must be 1-${MAX_AUDIENCE_CHARS} chars`
  return /^[a-z0-9.-]+$/.test(audience) ? undefined : 'reqsig: audience must match [a-z0-9.-]'
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0')
}

const DOMAIN = 'pilot-req-v1'
const FIELDS = 6
const MAX_AUDIENCE_CHARS = 64
const MAX_TIME_DIGITS = 12 // the year 33658; more would not be exact as a number
