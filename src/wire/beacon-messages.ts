/**
 * Messages between nodes and beacons, one per UDP datagram (tunnel.md §7). The first byte is the type, always below
 * 0x10, which distinguishes them from tunnel frames; nothing in them is authenticated.
 *
 *   0x01 discover           node(4)                     0x06 relay deliver     sender(4) frame
 *   0x02 discover reply     ipLength(1) ip port(2)      0x07 sync              beacon(4) count(2) node(4) x count
 *   0x03 punch request      requester(4) target(4)      0x08 discover extended node(4)
 *   0x04 punch command      ipLength(1) ip port(2)      0x09 relay deliver to  sender(4) destination(4) frame
 *   0x05 relay              sender(4) destination(4) frame    0x0a notify      about(1), 1: its mailbox at the registry
 *
 * After discover and its reply, our own nodes and beacons append a block that others skip (docs/protocol/extensions.md §3):
 *   discover: key(32) "PGB1" flags(1) transaction(8), zeros up to 72 bytes: padded so that all answers together do not exceed it.
 *             Beacons of later releases keep the first 32 bytes as the key of the node.
 *   reply:    "PGB1" port(2) of the beacon's second socket, 0 for none; from(1): 1 when it came from that socket;
 *             transaction(8) of the discover
 */
import { readU16, readU32, writeU16, writeU32 } from '../base/bytes.ts'
import type { Endpoint, NodeId } from '../base/types.ts'
import { decodeIp, encodeIp } from './ip-address.ts'

/** `frame` is a view into the decoded bytes, possibly empty. */
export type BeaconMessage =
  | { readonly kind: 'discover'; readonly node: NodeId; readonly question?: DiscoverQuestion }
  | { readonly kind: 'discover_reply'; readonly endpoint: Endpoint; readonly answer?: DiscoverAnswer }
  | { readonly kind: 'punch_request'; readonly requester: NodeId; readonly target: NodeId }
  | { readonly kind: 'punch_command'; readonly endpoint: Endpoint }
  | { readonly kind: 'relay'; readonly sender: NodeId; readonly destination: NodeId; readonly frame: Uint8Array }
  | { readonly kind: 'relay_deliver'; readonly sender: NodeId; readonly frame: Uint8Array }
  | { readonly kind: 'sync'; readonly beaconId: number; readonly nodeIds: readonly NodeId[] }
  | { readonly kind: 'discover_extended'; readonly node: NodeId }
  | { readonly kind: 'mail' } // beacons of today
  | {
      readonly kind: 'relay_deliver_to'
      readonly sender: NodeId
      readonly destination: NodeId
      readonly frame: Uint8Array
    }

/** What our nodes add to a discover. */
export interface DiscoverQuestion {
  /** 8 random bytes that come back in the answer: a sender that has not seen the question cannot forge one. */
  readonly transaction: Uint8Array
  /** From the beacon's second socket as well, which shows how the NAT filters. */
  readonly answerFromSecond: boolean
}

/** What our beacons add to the reply. */
export interface DiscoverAnswer {
  readonly transaction: Uint8Array
  readonly secondPort: number // 0: it has no second socket
  readonly isFromSecond: boolean
}

export type BeaconFault = 'too_short' | 'bad_address' | 'unknown_type'

export const TYPE_DISCOVER = 0x01
export const TYPE_DISCOVER_REPLY = 0x02
export const TYPE_PUNCH_REQUEST = 0x03
export const TYPE_PUNCH_COMMAND = 0x04
export const TYPE_RELAY = 0x05
export const TYPE_RELAY_DELIVER = 0x06
export const TYPE_SYNC = 0x07
export const TYPE_DISCOVER_EXTENDED = 0x08
export const TYPE_RELAY_DELIVER_TO = 0x09
export const TYPE_NOTIFY = 0x0a

/** A datagram whose first byte is below this is a beacon message, otherwise a tunnel frame. */
export const FIRST_FRAME_BYTE = 0x10

export const RELAY_HEADER_BYTES = 9
export const RELAY_DELIVER_HEADER_BYTES = 5
export const RELAY_DELIVER_TO_HEADER_BYTES = 9

/** Never throws. Bytes after a message of fixed length are ignored, as in the reference. */
export function decodeBeaconMessage(bytes: Uint8Array): BeaconMessage | BeaconFault {
  const type = bytes[0]
  if (type === undefined) return 'too_short'
  const minimum = MINIMUM_BYTES[type]
  if (minimum === undefined || minimum === 0) return 'unknown_type'
  if (bytes.length < minimum) return 'too_short'
  if (type === TYPE_NOTIFY) return bytes[1] === NOTIFY_MAIL ? { kind: 'mail' } : 'unknown_type'
  const first = readU32(bytes, 1)
  switch (type) {
    case TYPE_DISCOVER:
      return decodeDiscover(bytes, first)
    case TYPE_DISCOVER_EXTENDED:
      return { kind: 'discover_extended', node: first }
    case TYPE_DISCOVER_REPLY:
      return decodeEndpointMessage(bytes, 'discover_reply')
    case TYPE_PUNCH_COMMAND:
      return decodeEndpointMessage(bytes, 'punch_command')
    case TYPE_PUNCH_REQUEST:
      return { kind: 'punch_request', requester: first, target: readU32(bytes, 5) }
    case TYPE_RELAY:
      return { kind: 'relay', sender: first, destination: readU32(bytes, 5), frame: bytes.subarray(9) }
    case TYPE_RELAY_DELIVER:
      return { kind: 'relay_deliver', sender: first, frame: bytes.subarray(5) }
    case TYPE_RELAY_DELIVER_TO:
      return { kind: 'relay_deliver_to', sender: first, destination: readU32(bytes, 5), frame: bytes.subarray(9) }
    default:
      return decodeSync(bytes)
  }
}

export function encodeDiscover(node: NodeId): Uint8Array {
  return oneNode(TYPE_DISCOVER, node)
}

/** Something waits in the node's mailbox at the registry. Nodes of April ignore it. */
export function encodeMailNotice(): Uint8Array {
  return Uint8Array.of(TYPE_NOTIFY, NOTIFY_MAIL)
}

/** A discover that other beacon implementations take for a plain one. @param publicKey our Ed25519 key. */
export function encodeQuestion(node: NodeId, publicKey: Uint8Array, question: DiscoverQuestion): Uint8Array {
  const out = new Uint8Array(QUESTION_BYTES)
  out.set(oneNode(TYPE_DISCOVER, node))
  out.set(publicKey, 5)
  writeU32(out, QUESTION_AT, EXTENSION_MAGIC)
  out[QUESTION_AT + 4] = question.answerFromSecond ? 1 : 0
  out.set(question.transaction, QUESTION_AT + 5)
  return out
}

/** Like discover, but relayed frames for this node arrive as `relay_deliver_to`. April 2026 beacons ignore it. */
export function encodeDiscoverExtended(node: NodeId): Uint8Array {
  return oneNode(TYPE_DISCOVER_EXTENDED, node)
}

/** @throws RangeError if `endpoint.address` is not a literal IP address. */
export function encodeDiscoverReply(endpoint: Endpoint): Uint8Array {
  return oneEndpoint(TYPE_DISCOVER_REPLY, endpoint)
}

/** The reply to a question. @throws RangeError if `endpoint.address` is not a literal IP address. */
export function encodeAnswer(endpoint: Endpoint, answer: DiscoverAnswer): Uint8Array {
  const reply = encodeDiscoverReply(endpoint)
  const out = new Uint8Array(reply.length + ANSWER_BYTES)
  out.set(reply)
  writeU32(out, reply.length, EXTENSION_MAGIC)
  writeU16(out, reply.length + 4, answer.secondPort)
  out[reply.length + 6] = answer.isFromSecond ? 1 : 0
  out.set(answer.transaction, reply.length + 7)
  return out
}

export function encodePunchRequest(requester: NodeId, target: NodeId): Uint8Array {
  const out = new Uint8Array(9)
  writeTwoNodes(out, 0, TYPE_PUNCH_REQUEST, requester, target)
  return out
}

/** @throws RangeError if `endpoint.address` is not a literal IP address. */
export function encodePunchCommand(endpoint: Endpoint): Uint8Array {
  return oneEndpoint(TYPE_PUNCH_COMMAND, endpoint)
}

/** @throws RangeError for more ids than the 16-bit count can express. */
export function encodeSync(beaconId: number, nodeIds: readonly NodeId[]): Uint8Array {
  if (nodeIds.length > 0xffff) throw new RangeError(`a sync message holds at most 65535 nodes, got ${nodeIds.length}`)
  const out = new Uint8Array(SYNC_HEADER_BYTES + 4 * nodeIds.length)
  out[0] = TYPE_SYNC
  writeU32(out, 1, beaconId)
  writeU16(out, 5, nodeIds.length)
  nodeIds.forEach((node, i) => writeU32(out, SYNC_HEADER_BYTES + 4 * i, node))
  return out
}

/** Node to beacon, in front of a frame that starts at `at + RELAY_HEADER_BYTES`. */
export function writeRelayHeader(out: Uint8Array, at: number, sender: NodeId, destination: NodeId): void {
  writeTwoNodes(out, at, TYPE_RELAY, sender, destination)
}

/** Beacon to node, in front of a frame that starts at `at + RELAY_DELIVER_HEADER_BYTES`. */
export function writeRelayDeliverHeader(out: Uint8Array, at: number, sender: NodeId): void {
  out[at] = TYPE_RELAY_DELIVER
  writeU32(out, at + 1, sender)
}

/** Beacon to a node that asked with discover extended; the frame starts at `at + RELAY_DELIVER_TO_HEADER_BYTES`. */
export function writeRelayDeliverToHeader(out: Uint8Array, at: number, sender: NodeId, destination: NodeId): void {
  writeTwoNodes(out, at, TYPE_RELAY_DELIVER_TO, sender, destination)
}

function decodeEndpointMessage(
  bytes: Uint8Array,
  kind: 'discover_reply' | 'punch_command',
): BeaconMessage | BeaconFault {
  const ipLength = bytes[1]
  if (ipLength !== 4 && ipLength !== 16) return 'bad_address'
  const end = 2 + ipLength + 2
  if (bytes.length < end) return 'too_short'
  const endpoint = { address: decodeIp(bytes, 2, ipLength), port: readU16(bytes, 2 + ipLength) }
  if (kind === 'punch_command') return { kind, endpoint }
  if (bytes.length < end + ANSWER_BYTES || readU32(bytes, end) !== EXTENSION_MAGIC) return { kind, endpoint }
  const transaction = bytes.subarray(end + 7, end + 7 + TRANSACTION_BYTES)
  const answer = { transaction, secondPort: readU16(bytes, end + 4), isFromSecond: bytes[end + 6] === 1 }
  return { kind, endpoint, answer }
}

function decodeDiscover(bytes: Uint8Array, node: NodeId): BeaconMessage {
  if (bytes.length < QUESTION_BYTES || readU32(bytes, QUESTION_AT) !== EXTENSION_MAGIC)
    return { kind: 'discover', node }
  const transaction = bytes.subarray(QUESTION_AT + 5, QUESTION_AT + 5 + TRANSACTION_BYTES)
  return { kind: 'discover', node, question: { transaction, answerFromSecond: (bytes[QUESTION_AT + 4]! & 1) !== 0 } }
}

function decodeSync(bytes: Uint8Array): BeaconMessage | BeaconFault {
  const count = readU16(bytes, 5)
  if (bytes.length < SYNC_HEADER_BYTES + 4 * count) return 'too_short'
  const nodeIds: NodeId[] = []
  for (let i = 0; i < count; i++) nodeIds.push(readU32(bytes, SYNC_HEADER_BYTES + 4 * i))
  return { kind: 'sync', beaconId: readU32(bytes, 1), nodeIds }
}

function oneNode(type: number, node: NodeId): Uint8Array {
  const out = new Uint8Array(5)
  out[0] = type
  writeU32(out, 1, node)
  return out
}

function oneEndpoint(type: number, endpoint: Endpoint): Uint8Array {
  const ip = encodeIp(endpoint.address)
  if (ip === undefined) throw new RangeError(`not an IP address: ${endpoint.address}`)
  const out = new Uint8Array(2 + ip.length + 2)
  out[0] = type
  out[1] = ip.length
  out.set(ip, 2)
  writeU16(out, 2 + ip.length, endpoint.port)
  return out
}

function writeTwoNodes(out: Uint8Array, at: number, type: number, first: NodeId, second: NodeId): void {
  out[at] = type
  writeU32(out, at + 1, first)
  writeU32(out, at + 5, second)
}

const SYNC_HEADER_BYTES = 7
const EXTENSION_MAGIC = 0x50474231 // PGB1
export const TRANSACTION_BYTES = 8
const QUESTION_AT = 5 + 32 // after type, node and key
const QUESTION_BYTES = 72 // two answers of 35 bytes, with IPv6
const ANSWER_BYTES = 7 + TRANSACTION_BYTES

/** Shortest message of each type; 0 if there is no such type. */
const NOTIFY_MAIL = 1

const MINIMUM_BYTES: readonly number[] = [
  0,
  5,
  2,
  9,
  2,
  RELAY_HEADER_BYTES,
  RELAY_DELIVER_HEADER_BYTES,
  SYNC_HEADER_BYTES,
  5,
  RELAY_DELIVER_TO_HEADER_BYTES,
  2,
]
