/**
 * What may stand behind the target of an expose spec, and who may be named in an allow-list. Above: specs.ts.
 * `80=3000,allow=key:…,max=100,rate=50,for=2h,once`
 */
import { parsePeerName } from '../../base/address.ts'
import { fromBase64 } from '../../base/bytes.ts'
import type { ExposeSpec, Limits } from './types.ts'

type Terms = Pick<ExposeSpec, 'limits' | 'forMs' | 'once'>

/** Reads one option into `terms`. @returns false when it is none of ours, or what is wrong with it. */
export function readTerm(option: string, terms: { -readonly [K in keyof Terms]: Terms[K] }): boolean | string {
  if (option === 'once') {
    terms.once = true
    return true
  }
  const [, name, value] = /^([a-z-]+)=(.*)$/s.exec(option) ?? []
  if (name === 'for') {
    const ms = parseDuration(value!)
    if (ms === undefined) return `"${option}": ${DURATION_FORM}`
    terms.forMs = ms
    return true
  }
  const limit = LIMIT_OPTIONS.find(([written]) => written === name)?.[1]
  if (limit === undefined) return false
  const number = /^\d{1,12}$/.test(value!) ? Number(value) : 0
  if (number < 1) return `"${option}": a whole number from 1`
  terms.limits = { ...terms.limits, [limit]: number }
  return true
}

/** What `readTerm` reads, in a fixed order. */
export function formatTerms({ limits, forMs, once }: Terms): string[] {
  return [
    ...LIMIT_OPTIONS.flatMap(([written, limit]) =>
      limits?.[limit] === undefined ? [] : [`${written}=${limits[limit]}`],
    ),
    ...(forMs === undefined ? [] : [`for=${formatDuration(forMs)}`]),
    ...(once === true ? ['once'] : []),
  ]
}

/** `90s`, `10m`, `2h`, `1d` as ms; undefined when it is not that, or more than MAX_DURATION_MS. */
export function parseDuration(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,7})([smhd])$/.exec(text) ?? []
  const ms = Number(number) * (UNITS_MS[unit ?? ''] ?? 0)
  return ms > 0 && ms <= MAX_DURATION_MS ? ms : undefined
}

/** In the largest unit that divides it. */
export function formatDuration(ms: number): string {
  const [unit, size] = Object.entries(UNITS_MS).findLast(([, each]) => ms % each === 0) ?? ['s', 1_000]
  return `${ms / size}${unit}`
}

/** Who an entry of an allow-list means; undefined when it does not read. */
export type Allowed =
  | { readonly kind: 'trusted' }
  | { readonly kind: 'invited' } // nobody but by a ticket
  | { readonly kind: 'peer'; readonly peer: string } // hostname, address or node id
  | { readonly kind: 'key'; readonly key: string } // base64, Ed25519
  | { readonly kind: 'network'; readonly network: number }
  | { readonly kind: 'tag'; readonly tag: string }

export function parseAllow(text: string): Allowed | undefined {
  if (text === TRUSTED) return { kind: 'trusted' }
  if (text === INVITED) return { kind: 'invited' }
  const [, prefix, rest] = /^(key|net|tag):(.*)$/s.exec(text) ?? []
  switch (prefix) {
    case 'key': {
      const bytes = fromBase64(rest!)
      return bytes?.length === 32 ? { kind: 'key', key: rest! } : undefined
    }
    case 'net':
      return /^\d{1,5}$/.test(rest!) && Number(rest) <= 0xffff ? { kind: 'network', network: Number(rest) } : undefined
    case 'tag':
      return isTag(rest!) ? { kind: 'tag', tag: rest! } : undefined
    default:
      return parsePeerName(text) === undefined ? undefined : { kind: 'peer', peer: withoutBrackets(text) }
  }
}

/** A tag as the registry takes it. */
export function isTag(text: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(text)
}

/** The tag of `tag:NAME`; undefined when it is not that. */
export function tagOf(text: string): string | undefined {
  const allowed = text.startsWith('tag:') ? parseAllow(text) : undefined
  return allowed?.kind === 'tag' ? allowed.tag : undefined
}

/** Whoever holds a ticket for the exposure. A ticket lets in whatever the list says; alone, this lets in nobody else. */
export const INVITED = 'invited'

/** Every trusted peer. */
export const TRUSTED = 'trusted'
export const ALLOW_FORM = 'a hostname, an address as 0:0000.0000.0004, a node id, key:BASE64, net:ID or tag:NAME'
export const TAG_FORM = 'a tag: lower-case letters, digits and inner hyphens, at most 32'
export const DURATION_FORM = 'a duration as 90s, 10m, 2h or 1d, at most 24d'

function withoutBrackets(text: string): string {
  return text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
}

const LIMIT_OPTIONS: ReadonlyArray<readonly [string, keyof Limits]> = [
  ['max', 'connections'],
  ['max-per-peer', 'connectionsPerPeer'],
  ['rate', 'newPerSecond'],
  ['rate-per-peer', 'newPerSecondPerPeer'],
  ['bytes', 'bytesPerSecond'],
  ['bytes-per-peer', 'bytesPerSecondPerPeer'],
]
const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
/** The longest that one timer of the runtime waits. */
const MAX_DURATION_MS = 24 * 86_400_000
