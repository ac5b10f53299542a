/** What this machine's network interfaces are: addresses on them, and how large a datagram they carry in one piece. */
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import type { Endpoint } from '../base/types.ts'
import { isLoopback } from '../base/types.ts'

/** Private and link-local IPv4 addresses of interfaces that are up, with our UDP port (tunnel.md §6.1). */
export function lanEndpoints (port: number): readonly Endpoint[] {
  const found: Endpoint[] = []
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { family, internal, address } of addresses ?? []) {
      if (family === 'IPv4' && !internal && PRIVATE.test(address)) found.push({ address, port })
    }
  }
  return found
}

/**
 * UDP payload that goes to `endpoint` as one IP packet, bytes. The route is not asked for: the smallest MTU of the
 * interfaces that are up is a safe answer for everything but loopback, where only the UDP limit counts.
 */
export function maxDatagramTo (endpoint: Endpoint): number {
  if (isLoopback(endpoint.address)) return UDP_MAX_PAYLOAD
  const headers = endpoint.address.includes(':') ? IPV6_UDP_HEADERS : IPV4_UDP_HEADERS
  return smallestMtu() - headers
}

function smallestMtu (): number {
  let smallest = ETHERNET_MTU
  let largest = 0
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (addresses === undefined || addresses.every(({ internal }) => internal)) continue
    const mtu = mtuOf(name)
    largest = Math.max(largest, mtu)
    smallest = Math.min(smallest, mtu)
  }
  // Jumbo frames are only believed in when every interface has them.
  return smallest === ETHERNET_MTU && largest > ETHERNET_MTU ? ETHERNET_MTU : smallest
}

function mtuOf (name: string): number {
  try {
    const mtu = Number(readFileSync(`/sys/class/net/${name}/mtu`, 'utf8'))
    return mtu >= IPV4_MIN_MTU ? mtu : ETHERNET_MTU
  } catch {
    return ETHERNET_MTU // not Linux, or gone meanwhile
  }
}

const PRIVATE = /^(10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.)/
const UDP_MAX_PAYLOAD = 65_507 // RFC 768 with the IPv4 header
const IPV4_UDP_HEADERS = 28
const IPV6_UDP_HEADERS = 48
const ETHERNET_MTU = 1_500
const IPV4_MIN_MTU = 576
