/** Single values of the configuration: what is valid, and how that is said in an error. */
import { isIP } from 'node:net'
import { parseEndpoint } from '../base/types.ts'
import { beaconTargets, listOf, parseFingerprint } from '../runtime/net/endpoints.ts'
import { parseProxy } from '../runtime/net/proxy.ts'
import { parseListen, parsePort } from '../gateway/model/listen.ts'
import { LOCALHOST } from '../gateway/model/map-spec.ts'

export const TRANSPORTS = ['auto', 'udp', 'tcp'] as const
export const TRANSPORT_FORM = 'auto, udp or tcp'
export const PROXY_FORM = 'auto, off, or a URL as "http://proxy.example:3128"'
export const FINGERPRINT_FORM = 'the SHA-256 of a certificate: 64 hex digits'

/** `80`, `"8000-8010"` or `"53/udp"` as first and last port; undefined for anything else. */
export function parsePortRange(
  value: number | string,
): { readonly first: number; readonly last: number; readonly protocol: 'tcp' | 'udp' } | undefined {
  const [, from, to, protocol] = /^(\d+)(?:-(\d+))?(?:\/(tcp|udp))?$/.exec(String(value)) ?? []
  const first = parsePort(from ?? '')
  const last = parsePort(to ?? from ?? '')
  return first === undefined || last === undefined || last < first
    ? undefined
    : { first, last, protocol: protocol === 'udp' ? 'udp' : 'tcp' }
}

/** Scheme, host and port, as in a browser's `Origin`. */
export function isOrigin(value: string): boolean {
  return URL.canParse(value) && new URL(value).origin === value
}

export function isWebUrl(value: string): boolean {
  return URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)
}

export function isLabel(value: string): boolean {
  return /^[\w.:-]{1,64}$/.test(value)
}

/** Where a mapping listens: a port alone means localhost, as in a map spec; an address alone is for several ports. */
export function parseLocal(value: number | string): { readonly address: string; readonly port: number } | undefined {
  const written = String(value)
  if (isIP(written) > 0) return { address: written, port: 0 }
  const port = parsePort(written, 0)
  return port === undefined ? parseListen(written) : { address: LOCALHOST, port }
}

/** `host:port`, perhaps behind `tls://`. */
export function isRegistry(value: string): boolean {
  return listOf(value).every((one) => isHostPort(one.replace(/^tls:\/\//, '')))
}

export function isBeacons(value: string): boolean {
  try {
    const { udp, wss } = beaconTargets(value)
    return [...udp, ...wss].every(({ port }) => port > 0)
  } catch {
    return false
  }
}

/** `auto`, `off` or a URL. */
export function isProxy(value: string): boolean {
  if (value === 'auto' || isProxyOff(value)) return true
  try {
    parseProxy(value)
    return true
  } catch {
    return false
  }
}

export function isProxyOff(value: string): boolean {
  return /^(off|none|no|false|direct)$/.test(value)
}

export function isFingerprint(value: string): boolean {
  return parseFingerprint(value) !== undefined
}

/** A host name or address and a port that can be dialled. */
export function isHostPort(value: string): boolean {
  return (parseEndpoint(value)?.port ?? 0) > 0
}

/** A literal address and a port that others can send to. */
export function isFixedEndpoint(value: string): boolean {
  return (parseListen(value)?.port ?? 0) > 0
}
