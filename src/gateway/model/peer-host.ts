/**
 * Which peer a host name of a URL, a proxy request or a DNS question means: `alice`, `alice.pilot`,
 * `alice.pilot.localhost`, an overlay address, a node id, or the loopback address of a peer. Used by the front, the
 * proxy, DNS and the package.
 */
import { isIPv4 } from 'node:net'
import { parsePeerName, withoutBrackets } from '../../base/address.ts'

/** @param nameOfAddress the peer behind a 127.77.x.y of ours. @returns undefined for every other host. */
export function peerOfHost(
  host: string,
  domain: string,
  nameOfAddress: (address: string) => string | undefined,
): string | undefined {
  const lower = host.toLowerCase().replace(/\.$/, '')
  if (isIPv4(lower)) return nameOfAddress(lower)
  const address = withoutBrackets(host)
  if (parsePeerName(address.toUpperCase())?.kind === 'address') return address.toUpperCase()
  const label = withoutDomain(lower, domain)
  return label !== undefined && parsePeerName(label) !== undefined ? label : undefined
}

/** The single label before the domain, or the text itself if it is a single label. */
function withoutDomain(name: string, domain: string): string | undefined {
  const label = nameBelow(name, domain) ?? name
  return label === '' || label.includes('.') ? undefined : label
}

/** The part before the domain, in lower case; undefined if the host is not below it. */
export function nameBelow(host: string, domain: string): string | undefined {
  const lower = host.toLowerCase().replace(/\.$/, '')
  const suffix = [`.${domain}.localhost`, `.${domain}`].find((each) => lower.endsWith(each))
  return suffix === undefined ? undefined : lower.slice(0, -suffix.length)
}

/** Default. */
export const DEFAULT_DOMAIN = 'pilot'
/** The port of a URL without one. */
export const HTTP_PORT = 80
