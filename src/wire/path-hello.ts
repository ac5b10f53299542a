/**
 * The addresses and NAT types that two pilotgates exchange in the payload of a control ping (docs/nat.md):
 *
 *   "PGH1"  mapping(1) filtering(1) count(1)  count x [ kind(1) ipLength(1) ip port(2) ]
 *
 * Other peers echo it like any ping and ignore it. The ping is authenticated by its tunnel.
 */
import { readU16, readU32, writeU16, writeU32 } from '../base/bytes.ts'
import type { Endpoint } from '../base/types.ts'
import { decodeIp, encodeIp } from './ip-address.ts'

/** How a node's NAT maps and filters (RFC 4787 §4, §5), as numbers on the wire: see the tables below. */
export type NatMapping =
  | 'unknown'
  | 'none'
  | 'endpoint-independent'
  | 'address-dependent'
  | 'address-and-port-dependent'
export type NatFiltering = 'unknown' | 'port-independent' | 'address-and-port-dependent'

/** `public`: as seen from outside; `lan`: on its own network; `seen`: where the sender sees the receiver. */
export type HelloKind = 'public' | 'lan' | 'seen'

export interface PathHello {
  readonly mapping: NatMapping
  readonly filtering: NatFiltering
  readonly endpoints: ReadonlyArray<{ readonly kind: HelloKind; readonly endpoint: Endpoint }>
}

/** Endpoints that are not literal addresses, and those beyond MAX_HELLO_ENDPOINTS, are left out. */
export function encodePathHello(hello: PathHello): Uint8Array {
  const entries = hello.endpoints
    .flatMap(({ kind, endpoint }) => {
      const ip = encodeIp(endpoint.address)
      return ip === undefined ? [] : [{ kind, ip, port: endpoint.port }]
    })
    .slice(0, MAX_HELLO_ENDPOINTS)
  const out = new Uint8Array(HEADER_BYTES + entries.reduce((sum, { ip }) => sum + 4 + ip.length, 0))
  writeU32(out, 0, MAGIC)
  out[4] = MAPPINGS.indexOf(hello.mapping)
  out[5] = FILTERINGS.indexOf(hello.filtering)
  out[6] = entries.length
  let at = HEADER_BYTES
  for (const { kind, ip, port } of entries) {
    out[at] = KINDS.indexOf(kind)
    out[at + 1] = ip.length
    out.set(ip, at + 2)
    writeU16(out, at + 2 + ip.length, port)
    at += 4 + ip.length
  }
  return out
}

/**
 * @returns undefined for anything else, which most pings carry. Unknown kinds and numbers are skipped: a newer peer may
 *   have them.
 */
export function decodePathHello(payload: Uint8Array): PathHello | undefined {
  if (payload.length < HEADER_BYTES || readU32(payload, 0) !== MAGIC) return undefined
  const count = payload[6]!
  if (count > MAX_HELLO_ENDPOINTS) return undefined
  const endpoints: Array<{ kind: HelloKind; endpoint: Endpoint }> = []
  let at = HEADER_BYTES
  for (let i = 0; i < count; i++) {
    const ipLength = payload[at + 1]
    if ((ipLength !== 4 && ipLength !== 16) || payload.length < at + 4 + ipLength) return undefined
    const kind = KINDS[payload[at]!]
    if (kind !== undefined)
      endpoints.push({
        kind,
        endpoint: { address: decodeIp(payload, at + 2, ipLength), port: readU16(payload, at + 2 + ipLength) },
      })
    at += 4 + ipLength
  }
  return { mapping: MAPPINGS[payload[4]!] ?? 'unknown', filtering: FILTERINGS[payload[5]!] ?? 'unknown', endpoints }
}

/** A node with more addresses than this sends the first ones. */
export const MAX_HELLO_ENDPOINTS = 16

const MAGIC = 0x50474831 // PGH1
const HEADER_BYTES = 7
const MAPPINGS: readonly NatMapping[] = [
  'unknown',
  'none',
  'endpoint-independent',
  'address-dependent',
  'address-and-port-dependent',
]
const FILTERINGS: readonly NatFiltering[] = ['unknown', 'port-independent', 'address-and-port-dependent']
const KINDS: readonly HelloKind[] = ['public', 'lan', 'seen']
