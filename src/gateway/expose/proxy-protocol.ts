/**
 * The line or block before a connection that tells a backend who called: HAProxy's PROXY protocol
 * (haproxy.org/download/3.0/doc/proxy-protocol.txt), version 1 as text, version 2 as bytes with our own TLVs. Source
 * and destination are the IPv6 addresses that stand for the two nodes (`ipOf`), and the overlay ports.
 */
import type { NodeId } from '../../base/types.ts'
import { ipBytesOf, ipOf } from '../model/known-peer.ts'
import type { KnownPeer } from '../model/known-peer.ts'
import type { ProxyVersion } from '../model/expose-spec.ts'

export interface ProxiedStream {
  readonly caller: KnownPeer
  readonly callerPort: number // overlay port that the caller's stream comes from
  readonly ownNode: NodeId
  readonly ownPort: number // exposed overlay port
}

/** The bytes to send before the first byte of the connection. */
export function proxyHeader(version: ProxyVersion, stream: ProxiedStream): Buffer {
  return version === 'proxy-v1' ? proxyV1(stream) : proxyV2(stream)
}

/** At most 107 bytes, as the specification requires. */
function proxyV1({ caller, callerPort, ownNode, ownPort }: ProxiedStream): Buffer {
  return Buffer.from(`PROXY TCP6 ${ipOf(caller.nodeId)} ${ipOf(ownNode)} ${callerPort} ${ownPort}\r\n`, 'latin1')
}

function proxyV2({ caller, callerPort, ownNode, ownPort }: ProxiedStream): Buffer {
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(callerPort, 0)
  ports.writeUInt16BE(ownPort, 2)
  const body = Buffer.concat([
    ipBytesOf(caller.nodeId),
    ipBytesOf(ownNode),
    ports,
    tlv(TLV.address, caller.address),
    tlv(TLV.key, caller.key),
    tlv(TLV.hostname, caller.hostname),
    tlv(TLV.path, caller.path),
  ])
  const head = Buffer.concat([SIGNATURE, Buffer.from([VERSION_2_PROXY, TCP_OVER_IPV6, 0, 0])])
  head.writeUInt16BE(body.length, SIGNATURE.length + 2)
  return Buffer.concat([head, body])
}

/** Unknown values have no TLV. */
function tlv(type: number, value: string | null): Buffer {
  if (value === null) return Buffer.alloc(0)
  const bytes = Buffer.from(value, 'utf8')
  const head = Buffer.from([type, 0, 0])
  head.writeUInt16BE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}

/** Types for applications are 0xE0 to 0xEF (section 2.2.7). All hold text, which backends can log and compare. */
export const TLV = { address: 0xe0, key: 0xe1, hostname: 0xe2, path: 0xe3 } as const

const SIGNATURE = Buffer.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a)
const VERSION_2_PROXY = 0x21
const TCP_OVER_IPV6 = 0x21
