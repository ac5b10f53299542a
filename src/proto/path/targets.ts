/**
 * Which addresses others may make us send to. A hostile beacon, or a peer that lies about its endpoints, could make us
 * send to any host. So nothing goes to an address closer to us than the one who named it, or to an address that is not
 * a host.
 */

import { translatedIpv4 } from '../../wire/ip-address.ts'

export type Reach = 'nowhere' | 'host' | 'network' | 'world'

/** How far away the owner of an address, in canonical text, can be: on this machine, on our network, anywhere; or not a host at all. */
export function reachOf(address: string): Reach {
  if (address.includes(':')) return reachOfV6(address.toLowerCase())
  const [a, b] = address.split('.').map(Number) as [number, number]
  if (a === 127) return 'host'
  if (a === 0 || a >= 224) return 'nowhere' // this network, multicast, reserved, broadcast
  const isPrivate =
    a === 10 || (a === 172 && b >= 16 && b <= 31) || (a === 192 && b === 168) || (a === 169 && b === 254)
  return isPrivate || (a === 100 && b >= 64 && b <= 127) ? 'network' : 'world' // 100.64/10: RFC 6598, carriers' own
}

/** May we send to `target` because a host at `source` says so? */
export function mayAim(target: string, source: string): boolean {
  const reach = reachOf(target)
  return reach !== 'nowhere' && NEARNESS.indexOf(reach) >= NEARNESS.indexOf(reachOf(source))
}

function reachOfV6(address: string): Reach {
  if (address === '::1') return 'host'
  if (address === '::' || address.startsWith('ff')) return 'nowhere'
  const translated = translatedIpv4(address)
  if (translated !== undefined) return reachOf(translated)
  return /^f[cd]/.test(address) || /^fe[89a-f]/.test(address) ? 'network' : 'world'
}

const NEARNESS: readonly Reach[] = ['host', 'network', 'world']
