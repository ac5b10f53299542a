/**
 * Which peer a host name of a URL, a proxy request or a DNS question means: `alice`, `alice.pilot`, `alice.pilot.localhost`,
 * an overlay address, a node id, or the loopback address that stands for a peer. Above: proxy.ts, dns-answers.ts.
 */
import { isIPv4 } from 'node:net'
import { parsePeerName } from '../../base/address.ts'

/** @param nameOfAddress the peer behind a 127.77.x.y of ours. @returns undefined for every host that is no peer's. */
export function peerOfHost(
  host: string,
  domain: string,
  nameOfAddress: (address: string) => string | undefined,
): string | undefined {
  const lower = host.toLowerCase().replace(/\.$/, '')
  if (isIPv4(lower)) return nameOfAddress(lower)
  const address = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  if (parsePeerName(address.toUpperCase())?.kind === 'address') return address.toUpperCase()
  const label = withoutDomain(lower, domain)
  return label !== undefined && parsePeerName(label) !== undefined ? label : undefined
}

/** The one label before the domain, or the text itself where it is one label. */
function withoutDomain(name: string, domain: string): string | undefined {
  const suffix = [`.${domain}.localhost`, `.${domain}`].find((each) => name.endsWith(each))
  const label = suffix === undefined ? name : name.slice(0, -suffix.length)
  return label === '' || label.includes('.') ? undefined : label
}
