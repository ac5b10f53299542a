/** Parses endpoints that people write. */
import type { Endpoint } from '../../base/types.ts'
import { PilotError } from '../../base/errors.ts'
import { parseEndpoint } from '../../base/types.ts'

/** How to reach a registry, and how to authenticate it. */
export interface RegistryTarget extends Endpoint {
  readonly tls: boolean
  readonly fingerprint: string | undefined // lower-case hex SHA-256 of its certificate; then nothing else is checked
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

const TLS_SCHEME = 'tls://'
