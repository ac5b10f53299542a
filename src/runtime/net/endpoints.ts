/** Parses endpoints that people write. */
import type { Endpoint } from '../../base/types.ts'
import { PilotError } from '../../base/errors.ts'
import { parseEndpoint } from '../../base/types.ts'
import type { ProxySettings } from './proxy.ts'
import { COMPAT_PATH } from '../../wire/compat-auth.ts'

/** How to reach a registry, and how to authenticate it. */
export interface RegistryTarget extends Endpoint {
  readonly tls: boolean
  readonly fingerprint: string | undefined // lower-case hex SHA-256 of its certificate; then nothing else is checked
}

/** And which way. */
export interface RegistryRoute extends RegistryTarget {
  readonly proxy: ProxySettings | undefined
}

/** A WebSocket to the rendezvous, by TLS. */
export interface WssTarget extends Endpoint {
  readonly path: string
}

export interface BeaconTargets {
  readonly udp: readonly Endpoint[]
  readonly wss: readonly WssTarget[]
}

/**
 * `host:port` is plain TCP, `tls://host:port` TLS with the usual checks; a fingerprint means TLS with that certificate
 * and no other check, as Go daemons pin.
 * @throws PilotError USAGE if either is malformed.
 */
export function registryTarget(text: string, fingerprint?: string): RegistryTarget {
  const bare = text.startsWith(TLS_SCHEME) ? text.slice(TLS_SCHEME.length) : text
  const endpoint = parseEndpoint(bare)
  const pin = fingerprint === undefined ? undefined : parseFingerprint(fingerprint)
  if (endpoint === undefined) throw new PilotError('USAGE', `--registry ${text}: expected host:port or tls://host:port`)
  if (fingerprint !== undefined && pin === undefined)
    throw new PilotError('USAGE', `the fingerprint ${fingerprint} of the registry: expected 64 hex digits`)
  return { ...endpoint, tls: bare !== text || pin !== undefined, fingerprint: pin }
}

/** Several, separated by commas, in the order in which to try them. @throws PilotError USAGE. */
export function registryTargets(text: string, fingerprint?: string): readonly RegistryTarget[] {
  return listOf(text).map((one) => registryTarget(one, fingerprint))
}

/**
 * Beacons, separated by commas: `host:port` by UDP, and `wss://host[:port][/path]` for networks that drop UDP. Without
 * any of the latter, the port of HTTPS at the same hosts is tried. @throws PilotError USAGE.
 */
export function beaconTargets(text: string): BeaconTargets {
  const all = listOf(text)
  const udp = all.filter((one) => !isWss(one)).map((one) => endpointOption(one, 'beacon'))
  const wss = all.filter(isWss).map(wssTarget)
  if (wss.length > 0) return { udp, wss }
  const hosts = [...new Set(udp.map(({ address }) => address))]
  return { udp, wss: hosts.map((address) => ({ address, port: HTTPS_PORT, path: COMPAT_PATH })) }
}

function wssTarget(text: string): WssTarget {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.hostname === '' || url.username !== '' || url.password !== '')
    throw new PilotError('USAGE', `--beacon ${text}: expected wss://host:port`)
  return {
    address: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? HTTPS_PORT : Number(url.port),
    path: url.pathname === '/' ? COMPAT_PATH : url.pathname,
  }
}

/** @throws PilotError USAGE. */
export function endpointOption(text: string, what: string): Endpoint {
  const endpoint = parseEndpoint(text)
  if (endpoint === undefined) throw new PilotError('USAGE', `--${what} ${text}: expected host:port`)
  return endpoint
}

/** 64 hex digits, with or without colons between the bytes. */
export function parseFingerprint(text: string): string | undefined {
  const bare = text.replaceAll(':', '').toLowerCase()
  return /^[0-9a-f]{64}$/.test(bare) ? bare : undefined
}

export function listOf(text: string): readonly string[] {
  return text.split(',').map((one) => one.trim())
}

function isWss(text: string): boolean {
  return text.startsWith('wss://')
}

const TLS_SCHEME = 'tls://'
const HTTPS_PORT = 443
