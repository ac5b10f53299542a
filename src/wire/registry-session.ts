/**
 * Sessions with our registry (extensions.md §7): the two messages that open one, what is signed for it, and the text of
 * a request that its code covers. A signature of the older kind (registry-messages.ts) names no registry, no time and
 * not all of the request; anyone who sees one can replay it anywhere.
 */
import { fromBase64, toBase64, utf8 } from '../base/bytes.ts'

export const SESSION_HELLO = 'session_hello'
export const SESSION_OPEN = 'session_open'
/** Of X25519 keys, Ed25519 keys and certificate fingerprints. */
const KEY_BYTES = 32
export const SESSION_NONCE_BYTES = 16

/** The registry's answer to a hello. */
export interface SessionOffer {
  readonly nonce: Uint8Array // of this connection
  readonly ephemeral: Uint8Array // the registry's X25519 key for this connection
}

/** Everything that both ends of a session know about it. */
export interface SessionTerms {
  /** SHA-256 of the certificate that the client was shown; undefined: plain TCP. */
  readonly certificate: Uint8Array | undefined
  readonly nonce: Uint8Array
  readonly clientEphemeral: Uint8Array
  readonly registryEphemeral: Uint8Array
  readonly identity: Uint8Array // the client's Ed25519 key
}

export function sessionHello(ephemeral: Uint8Array): object {
  return { type: SESSION_HELLO, ephemeral: toBase64(ephemeral) }
}

export function sessionOpen(terms: SessionTerms, signature: Uint8Array): object {
  return {
    type: SESSION_OPEN,
    public_key: toBase64(terms.identity),
    ...(terms.certificate !== undefined && { certificate: toBase64(terms.certificate) }),
    signature: toBase64(signature),
  }
}

export function sessionOffer({ nonce, ephemeral }: SessionOffer): object {
  return { type: 'session_hello_ok', nonce: toBase64(nonce), ephemeral: toBase64(ephemeral) }
}

export function parseSessionOffer(reply: object): SessionOffer | undefined {
  const nonce = bytesOf(ownField(reply, 'nonce'), SESSION_NONCE_BYTES)
  const ephemeral = sessionKey(ownField(reply, 'ephemeral'))
  if (ownField(reply, 'type') !== 'session_hello_ok' || nonce === undefined || ephemeral === undefined) return undefined
  return { nonce, ephemeral }
}

/** 32 bytes in base64, or undefined. */
export function sessionKey(value: unknown): Uint8Array | undefined {
  return bytesOf(value, KEY_BYTES)
}

/**
 * The transcript that the client signs and that the session key is derived from: "pilotgate-registry-v1"
 * certificate(32, or zeros) nonce(16) client ephemeral(32) registry ephemeral(32) identity(32), 165 bytes.
 */
export function sessionTranscript(terms: SessionTerms): Uint8Array {
  const parts = [
    CONTEXT,
    terms.certificate ?? NO_CERTIFICATE,
    terms.nonce,
    terms.clientEphemeral,
    terms.registryEphemeral,
    terms.identity,
  ]
  const out = new Uint8Array(CONTEXT.length + 4 * KEY_BYTES + SESSION_NONCE_BYTES)
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** No request of ours is: its canonical text would take more stack than there is, for 30,000 levels in one frame. */
export function isNestedTooDeeply(request: object, levels = MAX_NESTING): boolean {
  return Object.values(request).some(
    (value) => typeof value === 'object' && value !== null && (levels === 1 || isNestedTooDeeply(value, levels - 1)),
  )
}

/** The bytes that `mac` covers: the request without it, as JSON without spaces, the fields of every object by name. */
export function canonicalRequest(request: object): Uint8Array {
  return utf8(canonicalJson(request, 'mac'))
}

/** Like JSON.stringify except for the order, so parsing and writing it again gives the same text. */
function canonicalJson(value: unknown, without?: string): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const fields: string[] = []
  for (const [name, field] of Object.entries(value).sort(byName))
    if (field !== undefined && name !== without) fields.push(`${JSON.stringify(name)}:${canonicalJson(field)}`)
  return `{${fields.join(',')}}`
}

/** By UTF-16 code units, whatever the locale. */
function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function bytesOf(value: unknown, length: number): Uint8Array | undefined {
  const bytes = typeof value === 'string' ? fromBase64(value) : undefined
  return bytes?.length === length ? bytes : undefined
}

function ownField(object: object, name: string): unknown {
  return Object.hasOwn(object, name) ? (object as Record<string, unknown>)[name] : undefined
}

/** Levels of lists and objects in a request. */
const MAX_NESTING = 16
const CONTEXT = utf8('pilotgate-registry-v1')
const NO_CERTIFICATE = new Uint8Array(KEY_BYTES)
