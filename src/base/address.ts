/**
 * Overlay addresses: 16-bit network + 32-bit node, written `N:NNNN.HHHH.LLLL`, or with `:port` as a socket address. The
 * first hex group repeats the network and must agree with it; anything else is rejected, not repaired.
 */
import type { NodeId } from './types.ts'
import { readU16, readU32, writeU16, writeU32 } from './bytes.ts'

export interface OverlayAddress {
  readonly network: number // 0..65535; 0 is the backbone
  readonly node: NodeId
}

export interface OverlaySocket extends OverlayAddress {
  readonly port: number // 0..65535
}

export function parseAddress(text: string): OverlayAddress | undefined {
  const match = /^(\d+):([0-9A-Fa-f]{4})\.([0-9A-Fa-f]{4})\.([0-9A-Fa-f]{4})$/.exec(text)
  if (match === null) return undefined
  const network = Number(match[1])
  if (network > 0xffff || Number.parseInt(match[2]!, 16) !== network) return undefined
  return { network, node: Number.parseInt(match[3]! + match[4]!, 16) }
}

export function formatAddress(address: OverlayAddress): string {
  const node = hex(address.node, 8)
  return `${address.network}:${hex(address.network, 4)}.${node.slice(0, 4)}.${node.slice(4)}`
}

export function formatSocketAddress(socket: OverlaySocket): string {
  return `${formatAddress(socket)}:${socket.port}`
}

/** 6 bytes: network(2) node(4). */
export function decodeAddress(bytes: Uint8Array, at = 0): OverlayAddress {
  return { network: readU16(bytes, at), node: readU32(bytes, at + 2) }
}

export function encodeAddress(address: OverlayAddress): Uint8Array {
  const out = new Uint8Array(6)
  writeU16(out, 0, address.network)
  writeU32(out, 2, address.node)
  return out
}

/** The ways to name a node: a text address, a bare decimal node id, or a hostname. */
export type PeerName =
  | { readonly kind: 'address'; readonly address: OverlayAddress }
  | { readonly kind: 'hostname'; readonly hostname: string }

/** Tried in the order of the reference tools: address, decimal node id, hostname. Undefined if none matches. */
export function parsePeerName(text: string): PeerName | undefined {
  const bare = withoutBrackets(text)
  const address = parseAddress(bare)
  if (address !== undefined) return { kind: 'address', address }
  if (/^\d{1,10}$/.test(bare)) {
    const node = Number(bare)
    return node > 0 && node <= 0xffff_fffe ? { kind: 'address', address: { network: 0, node } } : undefined
  }
  return isHostname(bare) ? { kind: 'hostname', hostname: bare } : undefined
}

/** `[0:0000.0000.0004]` → `0:0000.0000.0004`; text without brackets is unchanged. */
export function withoutBrackets(text: string): string {
  return text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
}

/** The registry's rule: lower-case letters, digits and inner hyphens, 1..63 characters, not a reserved word. */
export function isHostname(text: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text) && !RESERVED_HOSTNAMES.has(text)
}

/** Node id that means "every member of the network". */
export const BROADCAST_NODE: NodeId = 0xffff_ffff

const RESERVED_HOSTNAMES: ReadonlySet<string> = new Set(['localhost', 'backbone', 'broadcast'])

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0')
}
