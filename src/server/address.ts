/**
 * One canonical text per IP address, whatever the operating system reports: a dual-stack socket reports IPv4 as
 * `::ffff:a.b.c.d`.
 */
import type { Endpoint } from '../base/types.ts'
import { isIP, isIPv6 } from 'node:net'
import { PilotError } from '../base/errors.ts'
import { parseEndpoint } from '../base/types.ts'
import { decodeIp, encodeIp } from '../wire/ip-address.ts'

/** Canonical text; anything that is not an IP address is returned unchanged. */
export function canonicalAddress(text: string): string {
  const bytes = encodeIp(text)
  return bytes === undefined ? text : decodeIp(bytes, 0, bytes.length === 4 ? 4 : 16)
}

/** Where to listen. `localhost` is 127.0.0.1; other names are rejected, since they may have several addresses. */
export function parseListenAddress(text: string): Endpoint {
  const endpoint = parseEndpoint(text)
  const address = endpoint?.address === 'localhost' ? '127.0.0.1' : endpoint?.address
  if (endpoint === undefined || address === undefined || isIP(address) === 0) {
    throw new PilotError(
      'USAGE',
      `"${text}" is not an address to listen on: expected ip:port, such as 127.0.0.1:9000`,
      { listen: text },
    )
  }
  return { address, port: endpoint.port }
}

/** The family of the socket that can be bound there. */
export function udpFamily(address: string): 'udp4' | 'udp6' {
  return isIPv6(address) ? 'udp6' : 'udp4'
}
