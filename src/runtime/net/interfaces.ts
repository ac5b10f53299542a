/**
 * This machine's network interfaces: their addresses, and the largest datagram they carry without fragmentation. The
 * system may refuse the list at any time (no free descriptor, a sandbox, Android): then it is empty, and the node does
 * without LAN addresses.
 */
import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import type { Endpoint } from '../../base/types.ts'
import { isLoopback } from '../../base/types.ts'
import type { OwnNetwork } from '../../proto/node/options.ts'
import { reachOf } from '../../proto/path/targets.ts'

/** Where a socket on `local` can be reached on our interfaces; a socket bound to one address, only there. */
export function ownNetwork(local: Endpoint): OwnNetwork {
  const lanEndpoints: Endpoint[] = []
  const worldEndpoints: Endpoint[] = []
  const ownEndpoints: Endpoint[] = []
  for (const { address, internal } of interfaceAddresses()) {
    const isV6 = address.includes(':')
    const carries = local.address === '::' || (local.address === '0.0.0.0' ? !isV6 : local.address === address)
    if (!carries) continue
    const endpoint = { address, port: local.port }
    ownEndpoints.push(endpoint)
    if (internal) continue
    if (!isV6 && PRIVATE.test(address)) lanEndpoints.push(endpoint) // tunnel.md §6.1
    else if (isV6 && reachOf(address) === 'world') worldEndpoints.push(endpoint)
  }
  return { lanEndpoints, worldEndpoints, ownEndpoints }
}

/** Equal as long as our addresses are the same. Undefined: the system refuses the list right now. */
export function networkFingerprint(): string | undefined {
  const addresses = interfaceAddresses()
  return addresses.length === 0 ? undefined : addresses.map(({ name, address }) => `${name} ${address}`).join(' ')
}

/**
 * UDP payload that goes to `endpoint` as one IP packet, bytes, according to the interface that the system would use. A
 * smaller MTU further along shows as an unanswered probe.
 */
export function maxDatagramTo(endpoint: Endpoint): number {
  if (isLoopback(endpoint.address)) return UDP_MAX_PAYLOAD
  const headers = endpoint.address.includes(':') ? IPV6_UDP_HEADERS : IPV4_UDP_HEADERS
  const from = sourceAddressFor(endpoint)
  const own = interfaceAddresses().find(({ address }) => address === from)
  if (own?.internal === true) return UDP_MAX_PAYLOAD // an address of this machine
  return Math.min(own === undefined ? ETHERNET_MTU : mtuOf(own.name), UDP_MAX_PAYLOAD) - headers
}

/**
 * The address that the system would send from, undefined without a route: that of a socket connected there, which sends
 * nothing.
 */
export function sourceAddressFor({ address, port }: Endpoint): string | undefined {
  const isV6 = address.includes(':')
  try {
    const socket = createSocket({
      type: isV6 ? 'udp6' : 'udp4',
      lookup: (host, _options, callback) => callback(null, host, isV6 ? 6 : 4), // synchronous, so that connecting need not wait
    })
    try {
      socket.on('error', () => {})
      socket.bind(0)
      socket.connect(port === 0 ? 9 : port, address)
      return socket.address().address
    } finally {
      socket.close()
    }
  } catch {
    return undefined // no route there, or no descriptor
  }
}

export interface InterfaceAddress {
  readonly name: string
  readonly address: string
  readonly internal: boolean
  readonly bindable: string // the address, with its zone if link-local
}

/** Empty when the system refuses the list. */
export function interfaceAddresses(): InterfaceAddress[] {
  try {
    return Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
      (addresses ?? []).map(({ address, internal, scopeid = 0 }) => ({
        name,
        address,
        internal,
        bindable: scopeid === 0 ? address : `${address}%${name}`,
      })),
    )
  } catch {
    return []
  }
}

function mtuOf(name: string): number {
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
