/**
 * The bodies of those requests on a daemon's socket that are numbers and text (ipc.md §2.3 and §3): network, managed,
 * broadcast, prefer direct. What is not one of them is a fault: the text that a daemon answers with. Above:
 * runtime/driver-socket. Beside: ipc-messages.ts, which has the frames.
 */
import { fromUtf8, readU16, readU32 } from '../base/bytes.ts'
import type { NodeId } from '../base/types.ts'

export type NetworkRequest =
  | { readonly sub: 'list' | 'poll_invites' }
  | { readonly sub: 'join'; readonly network: number; readonly token: string }
  | { readonly sub: 'leave' | 'members'; readonly network: number }
  | { readonly sub: 'invite'; readonly network: number; readonly node: NodeId }
  | { readonly sub: 'respond_invite'; readonly network: number; readonly accept: boolean }

export type ManagedRequest =
  | { readonly sub: 'status' | 'cycle' | 'reconcile' } // their networks are not read: we run no policies
  | { readonly sub: 'get_policy' | 'set_policy'; readonly network: number }
  | { readonly sub: 'get_tags'; readonly network: number; readonly node: NodeId }
  | { readonly sub: 'set_tags'; readonly network: number; readonly node: NodeId; readonly tags: string }

export interface BroadcastRequest {
  readonly network: number
  readonly port: number
  readonly data: Uint8Array // a view
}

export function decodeNetworkRequest(body: Uint8Array): NetworkRequest | string {
  const has = (bytes: number): boolean => body.length >= 1 + bytes
  switch (body[0]) {
    case undefined:
      return 'network: missing sub-command'
    case 1:
      return { sub: 'list' }
    case 2:
      return has(2)
        ? { sub: 'join', network: readU16(body, 1), token: fromUtf8(body.subarray(3)) }
        : 'network join: missing network_id'
    case 3:
      return has(2) ? { sub: 'leave', network: readU16(body, 1) } : 'network leave: missing network_id'
    case 4:
      return has(2) ? { sub: 'members', network: readU16(body, 1) } : 'network members: missing network_id'
    case 5:
      return has(6)
        ? { sub: 'invite', network: readU16(body, 1), node: readU32(body, 3) }
        : 'network invite: missing network_id or target_node_id'
    case 6:
      return { sub: 'poll_invites' }
    case 7:
      return has(3)
        ? { sub: 'respond_invite', network: readU16(body, 1), accept: body[3] === 1 }
        : 'network respond-invite: missing network_id or accept flag'
    default:
      return `network: unknown sub-command ${hexByte(body[0]!)}`
  }
}

export function decodeManagedRequest(body: Uint8Array): ManagedRequest | string {
  switch (body[0]) {
    case undefined:
      return 'managed: missing sub-command'
    case 2:
      return { sub: 'status' }
    case 4:
      return { sub: 'cycle' }
    case 5:
      if (body.length < 4) return 'managed policy: missing sub-sub-command and network_id'
      return { sub: body[1] === 1 ? 'set_policy' : 'get_policy', network: readU16(body, 2) }
    case 6: {
      if (body.length < 8) return 'managed member-tags: missing action, network_id, or node_id'
      const about = { network: readU16(body, 2), node: readU32(body, 4) }
      return body[1] === 1
        ? { sub: 'set_tags', ...about, tags: fromUtf8(body.subarray(8)) }
        : { sub: 'get_tags', ...about }
    }
    case 7:
      return { sub: 'reconcile' }
    default:
      return `managed: unknown sub-command ${hexByte(body[0]!)}`
  }
}

/** network (2), port (2), token length (2), token, data. The token is skipped: who may open the socket may broadcast. */
export function decodeBroadcastRequest(body: Uint8Array): BroadcastRequest | string {
  if (body.length < 6) return 'broadcast: missing header'
  const dataAt = 6 + readU16(body, 4)
  if (body.length < dataAt) return 'broadcast: truncated token'
  return { network: readU16(body, 0), port: readU16(body, 2), data: body.subarray(dataAt) }
}

export function decodePreferDirectRequest(body: Uint8Array): NodeId | string {
  return body.length === 4 ? readU32(body, 0) : 'prefer_direct: payload must be 4 bytes (node_id)'
}

/** As in a daemon's messages: 0x0A. */
export function hexByte(value: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(2, '0')}`
}
