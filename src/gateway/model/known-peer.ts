/**
 * A peer at the other end of a connection, as far as we know it: one model for HTTP headers (http/headers.ts), the PROXY
 * protocol (proxy-protocol.ts) and whois. The tunnel has authenticated the node; everything follows from it.
 */
import { formatAddress } from '../../base/address.ts'
import type { NodeId } from '../../base/types.ts'
import type { Overlay, PathKind } from '../../runtime/overlay.ts'

export interface KnownPeer {
  readonly nodeId: NodeId
  readonly address: string // 0:0000.0000.0002
  readonly hostname: string | null // null: it has none, or we trust it only by address
  readonly key: string | null // Ed25519, base64; null: through a daemon that does not report it
  readonly path: PathKind | null // null: through a daemon, or none right now
}

/** What knows peers. */
export type PeerSource = Pick<Overlay, 'hostnameOf' | 'keyOf' | 'pathTo'>

export function knownPeer(source: PeerSource, nodeId: NodeId): KnownPeer {
  return {
    nodeId,
    address: formatAddress({ network: 0, node: nodeId }),
    hostname: source.hostnameOf(nodeId) ?? null,
    key: source.keyOf(nodeId) ?? null,
    path: source.pathTo(nodeId)?.kind ?? null,
  }
}

/**
 * An IPv6 address that represents a node where only IP addresses fit: fd70:696c:6f74::/48 ("pilot" in ASCII, in the
 * private range of RFC 4193), then the network, then the node id. Every gateway computes the same one, it is never
 * routed, and no program takes it for loopback.
 */
export function ipOf(nodeId: NodeId, network = 0): string {
  const hex = (value: number): string => value.toString(16)
  const [high, low] = [nodeId >>> 16, nodeId & 0xffff]
  return `fd70:696c:6f74${network === 0 ? '' : `:${hex(network)}`}::${high === 0 ? '' : `${hex(high)}:`}${hex(low)}` // as RFC 5952 writes it
}

/** The 16 bytes of `ipOf`. */
export function ipBytesOf(nodeId: NodeId, network = 0): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.write('fd70696c6f74', 'hex')
  bytes.writeUInt16BE(network, 6)
  bytes.writeUInt32BE(nodeId, 12)
  return bytes
}
