/**
 * SOCKS4 and 4a (Ylonen Lee's "SOCKS: a protocol for TCP proxy across firewalls", and its extension for names), the
 * server's side, as bytes in and bytes out: `curl --socks4a`, `nc -X 4`. CONNECT only. Above: proxy.ts.
 */
import type { PilotError } from '../../base/errors.ts'
import { decodeIp } from '../../wire/ip-address.ts'
import type { HeadNews, ProxyHead } from './proxy-head.ts'

export class Socks4Head implements ProxyHead {
  /** VN CD DSTPORT DSTIP USERID NUL, and with 4a, which an address of 0.0.0.x announces, a host name and NUL. */
  push(bytes: Buffer): { readonly used: number; readonly news: HeadNews } {
    const userEnd = bytes.indexOf(0, FIXED_BYTES)
    if (userEnd < 0) return bytes.length > MAX_BYTES ? refused('its request is too long') : MORE
    const isName = bytes.readUInt32BE(4) >>> 8 === 0 && bytes[7] !== 0
    const nameEnd = isName ? bytes.indexOf(0, userEnd + 1) : userEnd
    if (nameEnd < 0) return bytes.length > MAX_BYTES ? refused('its request is too long') : MORE
    if (bytes[1] !== CONNECT) return refused(`SOCKS4 command ${bytes[1]} is not supported, only CONNECT`)
    const host = isName ? bytes.toString('latin1', userEnd + 1, nameEnd) : decodeIp(bytes, 4, 4)
    return { used: nameEnd + 1, news: { kind: 'connect', host, port: bytes.readUInt16BE(2) } }
  }

  accepted(): Uint8Array {
    return reply(GRANTED)
  }
  /** SOCKS4 has one code for every failure. */
  failed(_error: PilotError): Uint8Array {
    return reply(REJECTED)
  }
}

function reply(code: number): Buffer {
  return Buffer.from([0, code, 0, 0, 0, 0, 0, 0])
}

function refused(why: string): { used: number; news: HeadNews } {
  return { used: 0, news: { kind: 'refused', reply: reply(REJECTED), why } }
}

const MORE = { used: 0, news: { kind: 'more' } } as const
const FIXED_BYTES = 8
/** A user id and a host name; programs send about twenty bytes. */
const MAX_BYTES = 1_024
const CONNECT = 1
const GRANTED = 0x5a
const REJECTED = 0x5b
