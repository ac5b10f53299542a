/** IP addresses as the beacon protocol carries them: 4 or 16 bytes, and their canonical text (RFC 5952). */
import { readU16, toHex, writeU16 } from '../base/bytes.ts'
import type { Endpoint } from '../base/types.ts'
import { parseEndpoint } from '../base/types.ts'

/**
 * 4 bytes for IPv4 and for IPv4-mapped IPv6, otherwise 16; undefined if the text is not an address. A zone (`%eth0`) is
 * dropped: it has no meaning on another machine.
 */
export function encodeIp(text: string): Uint8Array | undefined {
  if (!text.includes(':')) return encodeIpv4(text)
  const zone = text.indexOf('%')
  const bytes = encodeIpv6(zone < 0 ? text : text.slice(0, zone))
  return bytes !== undefined && isMapped(bytes, 0) ? bytes.slice(12) : bytes
}

/** Canonical text of the 4 or 16 bytes at `at`; IPv4-mapped IPv6 reads as IPv4. */
export function decodeIp(bytes: Uint8Array, at: number, length: 4 | 16): string {
  if (length === 4) return formatIpv4(bytes, at)
  return isMapped(bytes, at) ? formatIpv4(bytes, at + 12) : formatIpv6(bytes, at)
}

/**
 * `ip:port` as someone else wrote it: canonical, so that it means what it looks like. Undefined for a name, which the system would
 * look up, for port 0 and for anything else.
 */
export function literalEndpoint(text: string): Endpoint | undefined {
  const endpoint = parseEndpoint(text)
  const bytes = endpoint === undefined || endpoint.port === 0 ? undefined : encodeIp(endpoint.address)
  if (endpoint === undefined || bytes === undefined) return undefined
  return { address: decodeIp(bytes, 0, bytes.length === 4 ? 4 : 16), port: endpoint.port }
}

/** The IPv4 address that an IPv6 address stands for where a translator or a tunnel takes it. */
export function translatedIpv4(address: string): string | undefined {
  const bytes = encodeIp(address)
  if (bytes?.length !== 16) return undefined
  const found = TRANSLATED.find(({ prefix }) => prefix.every((byte, i) => bytes[i] === byte))
  return found && decodeIp(bytes, found.at, 4)
}

/** The network of one customer: an IPv4 address, an IPv6 /64. */
export function sourceNet(ip: string): string {
  const bytes = encodeIp(ip)
  return bytes?.length === 16 ? toHex(bytes.subarray(0, 8)) : ip
}

function encodeIpv4(text: string): Uint8Array | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (match === null) return undefined
  const out = new Uint8Array(4)
  for (let i = 0; i < 4; i++) {
    const part = match[i + 1]!
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return undefined // 010 is 8 to some, 10 to others
    out[i] = Number(part)
  }
  return out
}

/** RFC 4291 §2.2: eight groups, `::` once for one or more zero groups, a dotted IPv4 tail allowed. */
function encodeIpv6(text: string): Uint8Array | undefined {
  const sides = text.split('::')
  if (sides.length > 2) return undefined
  const head = parseGroups(sides[0]!, sides.length === 1)
  const tail = sides.length === 2 ? parseGroups(sides[1]!, true) : []
  if (head === undefined || tail === undefined) return undefined
  const given = head.length + tail.length
  if (sides.length === 1 ? given !== 8 : given > 7) return undefined
  const out = new Uint8Array(16)
  head.forEach((group, i) => writeU16(out, 2 * i, group))
  tail.forEach((group, i) => writeU16(out, 16 - 2 * (tail.length - i), group))
  return out
}

function parseGroups(text: string, dottedTail: boolean): number[] | undefined {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!
    if (/^[0-9A-Fa-f]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16))
      continue
    }
    const ipv4 = dottedTail && i === parts.length - 1 ? encodeIpv4(part) : undefined
    if (ipv4 === undefined) return undefined
    groups.push(readU16(ipv4, 0), readU16(ipv4, 2))
  }
  return groups
}

function formatIpv4(bytes: Uint8Array, at: number): string {
  return `${bytes[at]!}.${bytes[at + 1]!}.${bytes[at + 2]!}.${bytes[at + 3]!}`
}

/** RFC 5952 §4: lower case, no leading zeros, `::` for the first longest run of two or more zero groups. */
function formatIpv6(bytes: Uint8Array, at: number): string {
  const groups: string[] = []
  let bestStart = 8
  let bestLength = 1
  let run = 0
  for (let i = 0; i < 8; i++) {
    const group = readU16(bytes, at + 2 * i)
    groups.push(group.toString(16))
    run = group === 0 ? run + 1 : 0
    if (run > bestLength) {
      bestLength = run
      bestStart = i - run + 1
    }
  }
  if (bestStart === 8) return groups.join(':')
  return `${groups.slice(0, bestStart).join(':')}::${groups.slice(bestStart + bestLength).join(':')}`
}

/** ::ffff:0:0/96 (RFC 4291 §2.5.5.2). */
function isMapped(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[at + i] !== 0) return false
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff
}

/** IPv6 prefixes, whole bytes, followed by an IPv4 address at `at`. */
const TRANSLATED: readonly { readonly prefix: readonly number[]; readonly at: number }[] = [
  { prefix: [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0], at: 12 }, // NAT64 (RFC 6052): DNS64 gives every name such an address
  { prefix: [0x00, 0x64, 0xff, 0x9b, 0, 1], at: 12 }, // NAT64 of a site (RFC 8215), the usual /96 within it
  { prefix: [0x20, 0x02], at: 2 }, // 6to4 (RFC 3056)
  { prefix: [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0], at: 12 }, // SIIT (RFC 2765)
  { prefix: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], at: 12 }, // IPv4-compatible (RFC 4291 §2.5.5.1)
]
