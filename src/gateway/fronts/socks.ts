/** SOCKS5 (RFC 1928), the server's side, without authentication, as bytes in and bytes out. Above: proxy.ts, socks-udp.ts. */
import type { ErrorCode, PilotError } from '../../base/errors.ts'
import { decodeIp, encodeIp } from '../../wire/ip-address.ts'
import type { HeadNews, ProxyHead } from './proxy-head.ts'

export class SocksHead implements ProxyHead {
  #greeted = false

  push(bytes: Buffer): { readonly used: number; readonly news: HeadNews } {
    return this.#greeted ? this.#request(bytes) : this.#greeting(bytes)
  }

  /** VER NMETHODS METHODS (§3). */
  #greeting(bytes: Buffer): { readonly used: number; readonly news: HeadNews } {
    const count = bytes[1]
    if (count === undefined || bytes.length < 2 + count) return MORE
    if (!bytes.subarray(2, 2 + count).includes(NO_AUTHENTICATION))
      return refused(Buffer.from([VERSION, NO_METHOD]), 'it offers only authentication; this proxy uses none')
    this.#greeted = true
    return { used: 2 + count, news: { kind: 'more', reply: Buffer.from([VERSION, NO_AUTHENTICATION]) } }
  }

  /** VER CMD RSV ATYP DST.ADDR DST.PORT (§4). */
  #request(bytes: Buffer): { readonly used: number; readonly news: HeadNews } {
    if (bytes.length < 4) return MORE
    if (bytes[0] !== VERSION) return refused(reply(GENERAL_FAILURE), 'not a SOCKS5 request')
    const target = readTarget(bytes, 3)
    if (target === 'short') return MORE
    if (target === 'unknown') return refused(reply(ADDRESS_TYPE), `address type ${bytes[3]} is not supported`)
    const kind = bytes[1] === CONNECT ? 'connect' : bytes[1] === UDP_ASSOCIATE ? 'associate' : undefined
    if (kind === undefined)
      return refused(reply(COMMAND), `command ${bytes[1]} is not supported, only CONNECT and UDP ASSOCIATE`)
    return { used: target.end, news: { kind, host: target.host, port: target.port } }
  }

  accepted(bound: { readonly address: string; readonly port: number }): Uint8Array {
    return reply(SUCCEEDED, bound)
  }
  failed({ code }: PilotError): Uint8Array {
    return reply(REPLIES[code] ?? GENERAL_FAILURE)
  }
}

export interface SocksTarget {
  readonly host: string
  readonly port: number
  readonly end: number // where the next field begins
}

/** ATYP, address and port at `at` (§5). */
export function readTarget(bytes: Buffer, at: number): SocksTarget | 'short' | 'unknown' {
  const type = bytes[at]
  if (type === undefined) return 'short'
  const length = type === IPV4 ? 4 : type === IPV6 ? 16 : type === DOMAIN ? bytes[at + 1] : -1
  if (length === -1) return 'unknown'
  const begin = type === DOMAIN ? at + 2 : at + 1
  if (length === undefined || bytes.length < begin + length + 2) return 'short'
  const address = bytes.subarray(begin, begin + length)
  const host = type === DOMAIN ? address.toString('latin1') : decodeIp(address, 0, type === IPV4 ? 4 : 16)
  return { host, port: bytes.readUInt16BE(begin + length), end: begin + length + 2 }
}

/** The address as encoded in a reply. */
export function encodeTarget({ address, port }: { readonly address: string; readonly port: number }): Buffer {
  const bytes = encodeIp(address) ?? NO_ADDRESS
  const out = Buffer.alloc(1 + bytes.length + 2, bytes.length === 16 ? IPV6 : IPV4)
  out.set(bytes, 1)
  out.writeUInt16BE(port, 1 + bytes.length)
  return out
}

function reply(code: number, bound = { address: '0.0.0.0', port: 0 }): Buffer {
  return Buffer.concat([Buffer.from([VERSION, code, 0]), encodeTarget(bound)])
}

function refused(bytes: Buffer, why: string): { used: number; news: HeadNews } {
  return { used: 0, news: { kind: 'refused', reply: bytes, why } }
}

const MORE = { used: 0, news: { kind: 'more' } } as const

const NO_ADDRESS = new Uint8Array(4)
const VERSION = 5
const NO_AUTHENTICATION = 0
const NO_METHOD = 0xff
const CONNECT = 1
const UDP_ASSOCIATE = 3
const IPV4 = 1
const DOMAIN = 3
const IPV6 = 4

// Replies, §6.
const SUCCEEDED = 0
const GENERAL_FAILURE = 1
const NOT_ALLOWED = 2
const HOST_UNREACHABLE = 4
const REFUSED = 5
const COMMAND = 7
const ADDRESS_TYPE = 8
const REPLIES: Partial<Record<ErrorCode, number>> = {
  DENIED: NOT_ALLOWED,
  NOT_TRUSTED: NOT_ALLOWED,
  KEY_CHANGED: NOT_ALLOWED,
  USAGE: NOT_ALLOWED,
  RELAY_REFUSED: NOT_ALLOWED,
  NOT_FOUND: HOST_UNREACHABLE,
  PEER_UNREACHABLE: HOST_UNREACHABLE,
  REGISTRY_UNREACHABLE: HOST_UNREACHABLE,
  DAEMON_UNREACHABLE: HOST_UNREACHABLE,
  CONNECTION_REFUSED: REFUSED,
  TARGET_UNREACHABLE: REFUSED,
  PEER_RESET: REFUSED,
}
