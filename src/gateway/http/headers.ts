/**
 * Which headers of a request or response are forwarded. Connection-specific ones are dropped (RFC 9110 §7.6.1), and
 * only we identify the caller: every incoming name that a backend could read as `Pilot-…` is removed, whatever its case
 * and punctuation, because CGI and its successors map both `-` and `_` to the same variable.
 */
import type { OutgoingHttpHeaders } from 'node:http'
import { ipOf } from '../model/known-peer.ts'
import type { KnownPeer } from '../model/known-peer.ts'
import { locationFor, originFor } from './host-rewrite.ts'

/** Names and values in turn, as Node's rawHeaders. */
export type RawHeaders = readonly string[]

/** Headers by name. No prototype: a header may be called `constructor` or `__proto__`. */
export type Fields = Record<string, string | string[]>

/**
 * For an HTTP/1.1 request: names as the client wrote them, values of repeated names as lists, no framing except
 * `content-length`. That name and `host` are in lower case here, because Node and http-proxy expect that.
 */
export function requestHeaders(raw: RawHeaders, caller: KnownPeer | undefined, presents?: string): Fields {
  const named = connectionNames(raw)
  const kept = collect(
    raw,
    (lower) =>
      !HOP_BY_HOP.has(lower) &&
      !named.has(lower) &&
      !isReserved(lower) &&
      !(caller !== undefined && tellsOrigin(lower)),
    (name, lower) => (FRAMING.has(lower) ? lower : name),
  )
  if (listOf(raw, 'te').some((coding) => /^trailers\b/i.test(coding))) kept['te'] = 'trailers'
  if (caller !== undefined)
    Object.assign(kept, callerHeaders(caller), originHeaders(caller, String(kept['host'] ?? '')))
  if (presents !== undefined) present(kept, 'host', presents)
  return kept
}

/** One entry per name, whatever its case; the first spelling wins unless `spell` chooses another. */
export function collect(
  raw: RawHeaders,
  keep: (lower: string) => boolean = () => true,
  spell: (name: string, lower: string) => string = (_name, lower) => lower,
): Fields {
  const fields = Object.create(null) as Fields
  const spelt = new Map<string, string>() // lower case → spelling in `fields`
  for (const [name, value] of pairs(raw)) {
    const lower = name.toLowerCase()
    if (!keep(lower)) continue
    const known = spelt.get(lower)
    if (known === undefined) {
      const spelling = spell(name, lower)
      spelt.set(lower, spelling)
      fields[spelling] = value
    } else fields[known] = [fields[known]!, value].flat()
  }
  return fields
}

/** For an HTTP/2 request: pseudo headers included, symbols (which values are sensitive) too. */
export function requestHeaders2(
  headers: Readonly<Record<string, unknown>>,
  caller: KnownPeer | undefined,
  presents?: string,
): OutgoingHttpHeaders {
  const kept = without(
    headers,
    (name) => HOP_BY_HOP_2.has(name) || isReserved(name) || (caller !== undefined && tellsOrigin(name)),
  )
  if (kept[':authority'] !== undefined) delete kept['host'] // two spellings could differ, and the wrong one be believed
  if (caller !== undefined)
    Object.assign(
      kept,
      lowerCase(callerHeaders(caller)),
      originHeaders(caller, String(kept[':authority'] ?? kept['host'] ?? '')),
    )
  if (presents !== undefined) present(kept, kept[':authority'] === undefined ? 'host' : ':authority', presents)
  return kept as OutgoingHttpHeaders
}

/** The server sees its own address, whatever the client called it. */
function present(fields: Record<string | symbol, unknown>, host: string, presents: string): void {
  const authority = String(fields[host] ?? '')
  const origin = Object.keys(fields).find((name) => name.toLowerCase() === 'origin')
  if (origin !== undefined) fields[origin] = originFor(String(fields[origin]), authority, presents)
  fields[host] = presents
}

export function requestTrailers2(headers: Readonly<Record<string, unknown>>): OutgoingHttpHeaders {
  return without(
    headers,
    (name) => NEVER_IN_TRAILERS.has(name) || isReserved(name) || tellsOrigin(name),
  ) as OutgoingHttpHeaders
}

/** Trailers of a request. */
export function requestTrailers(raw: RawHeaders): [string, string][] {
  return pairs(raw).filter(
    ([name]) =>
      !isReserved(name.toLowerCase()) && !tellsOrigin(name.toLowerCase()) && !NEVER_IN_TRAILERS.has(name.toLowerCase()),
  )
}

/** Of a response, names and values in turn. `chunked`: the body is forwarded in chunks, so trailers can follow. */
export function responseHeaders(raw: RawHeaders, chunked: boolean, redirect?: Redirect): string[] {
  const named = connectionNames(raw)
  const fields = pairs(raw)
  if (redirect !== undefined)
    for (const field of fields) if (field[0].toLowerCase() === 'location') field[1] = redirect(field[1])
  return fields
    .filter(([name]) => {
      const lower = name.toLowerCase()
      if (lower === 'trailer') return chunked
      return !HOP_BY_HOP.has(lower) && !named.has(lower)
    })
    .flat()
}

/** Replaces a `Location` of the service. */
export type Redirect = (location: string) => string

/** Under host=rewrite; otherwise a `Location` stays as it is. */
export function redirectOf(authority: string | undefined, presents: string | undefined): Redirect | undefined {
  if (authority === undefined || presents === undefined) return undefined
  return (location) => locationFor(location, authority, presents)
}

/** Whether a backend could take this (lower-case) name for one of ours. */
export function isReserved(name: string): boolean {
  return folded(name).startsWith('pilot-')
}

/** Unknown values are left out. */
export function callerHeaders({ nodeId, address, key, hostname, path }: KnownPeer): Record<string, string> {
  return {
    'Pilot-Node': String(nodeId),
    'Pilot-Address': address,
    ...(key === null ? {} : { 'Pilot-Key': key }),
    ...(hostname === null ? {} : { 'Pilot-Hostname': hostname }),
    ...(path === null ? {} : { 'Pilot-Path': path }),
  }
}

export function pairs(raw: RawHeaders): [string, string][] {
  return Array.from({ length: raw.length >> 1 }, (_, index) => [raw[2 * index]!, raw[2 * index + 1]!])
}

/** The elements of a list header, trimmed. */
export function listOf(raw: RawHeaders, name: string): string[] {
  return pairs(raw)
    .filter(([own]) => own.toLowerCase() === name)
    .flatMap(([, value]) => value.split(','))
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** Headers named in `Connection` belong to the connection too, but no one may remove `Host` or the length that way. */
function connectionNames(raw: RawHeaders): ReadonlySet<string> {
  return new Set(
    listOf(raw, 'connection')
      .map((name) => name.toLowerCase())
      .filter((name) => !NEEDED.has(name)),
  )
}

/** Only we say where a request comes from: a peer's claim about that is worth no more than its claim of identity. */
function tellsOrigin(name: string): boolean {
  const plain = folded(name)
  return ORIGIN_NAMES.has(plain) || plain.startsWith('x-forwarded-') || plain.startsWith('x-remote-')
}

/** CGI and its successors map every character except letters and digits to the same one. */
function folded(name: string): string {
  return name.replace(/[^a-z0-9]+/g, '-').replace(/^-/, '')
}

function originHeaders(caller: KnownPeer, host: string): Record<string, string> {
  return {
    'x-forwarded-for': ipOf(caller.nodeId),
    'x-forwarded-proto': 'http',
    ...(host === '' ? {} : { 'x-forwarded-host': host }),
  }
}

function without(
  headers: Readonly<Record<string, unknown>>,
  drop: (name: string) => boolean,
): Record<string | symbol, unknown> {
  const kept = Object.assign(Object.create(null), headers) as Record<string | symbol, unknown>
  for (const name of Object.keys(kept)) if (drop(name)) delete kept[name]
  return kept
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'expect', // answered by us
])
/** HTTP/2 has no others, or nghttp2 refuses them. */
const HOP_BY_HOP_2: ReadonlySet<string> = new Set(['proxy-authorization', 'proxy-authenticate', 'expect'])
/** Headers that servers and frameworks read as the client's address or name. */
const ORIGIN_NAMES: ReadonlySet<string> = new Set([
  'forwarded',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-original-forwarded-for',
  'x-envoy-external-address',
  'true-client-ip',
  'cf-connecting-ip',
  'fastly-client-ip',
  'remote-user',
])
const FRAMING: ReadonlySet<string> = new Set(['host', 'content-length'])
const NEEDED: ReadonlySet<string> = new Set(['host', 'content-length', 'content-type', 'te', 'close', 'upgrade'])
/** RFC 9110 §6.5.1: headers that affect framing, routing or access are not allowed in trailers. */
const NEVER_IN_TRAILERS: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'content-range',
  'authorization',
  'cookie',
])
