/**
 * Registry messages: length[4, big-endian] then that many bytes of UTF-8 JSON, one object (registry.md §1.1). This file
 * has the framing, the texts that are signed (§2.1), and the replies that a client reads. A reply is untrusted JSON:
 * every parse helper checks each field and returns `malformed_reply` rather than assume a shape.
 */
import type { OverlayAddress } from '../base/address.ts'
import type { NodeId } from '../base/types.ts'
import { isHostname, parseAddress } from '../base/address.ts'
import { fromBase64, fromUtf8, readU32, utf8, writeU32 } from '../base/bytes.ts'

// ---- framing

export type RegistryFrameFault = 'too_long' | 'not_json_object'

/** The complete frame. Writers do not check the length: sending more than a reader accepts is the caller's mistake. */
export function encodeRegistryFrame(message: object): Uint8Array {
  const body = utf8(JSON.stringify(message))
  const frame = new Uint8Array(LENGTH_BYTES + body.length)
  writeU32(frame, 0, body.length)
  frame.set(body, LENGTH_BYTES)
  return frame
}

/**
 * Splits a byte stream into messages. Chunks are kept as received and copied once, when their message is complete, so
 * that a message in many small pieces costs no more than in one. After a fault the stream is meaningless: every later
 * call returns the same fault, and pushed bytes are dropped.
 */
export class RegistryFrameReader {
  readonly #limitBytes: number
  #chunks: Uint8Array[] = []
  #first = 0 // index of the first chunk with unread bytes
  #offset = 0 // bytes of that chunk already used
  #available = 0
  #bodyBytes: number | undefined // known once the length has been read
  #fault: RegistryFrameFault | undefined

  /** @param limitBytes Largest body accepted. Rejected from the length alone, so nothing longer is ever held. */
  constructor(limitBytes: number = MAX_REGISTRY_FRAME_BYTES) {
    this.#limitBytes = limitBytes
  }

  /** Keeps a view of `chunk` until it has been read: takes ownership. */
  push(chunk: Uint8Array): void {
    if (this.#fault !== undefined || chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#available += chunk.length
  }

  /** The next message, undefined if more bytes are needed, or a fault, after which the stream must be closed. */
  next(): object | RegistryFrameFault | undefined {
    if (this.#fault !== undefined) return this.#fault
    if (this.#bodyBytes === undefined) {
      if (this.#available < LENGTH_BYTES) return undefined
      this.#bodyBytes = readU32(this.#take(LENGTH_BYTES), 0)
      if (this.#bodyBytes > this.#limitBytes) return this.#fail('too_long')
    }
    if (this.#available < this.#bodyBytes) return undefined
    const message = parseObject(this.#take(this.#bodyBytes))
    this.#bodyBytes = undefined
    return message ?? this.#fail('not_json_object')
  }

  /** Exactly `count` bytes, which must be available. */
  #take(count: number): Uint8Array {
    this.#available -= count
    const first = this.#chunks[this.#first]
    if (first !== undefined && first.length - this.#offset >= count) {
      const view = first.subarray(this.#offset, this.#offset + count)
      this.#skip(count)
      return view
    }
    const out = new Uint8Array(count)
    for (let at = 0; at < count;) {
      const chunk = this.#chunks[this.#first]
      if (chunk === undefined) throw new RangeError('frame reader counted more bytes than it holds')
      const piece = chunk.subarray(this.#offset, this.#offset + count - at)
      out.set(piece, at)
      at += piece.length
      this.#skip(piece.length)
    }
    return out
  }

  /**
   * Advances within the first chunk; used chunks are released in batches, so that no single shift is proportional to
   * their number.
   */
  #skip(count: number): void {
    this.#offset += count
    if (this.#offset < (this.#chunks[this.#first]?.length ?? 0)) return
    this.#offset = 0
    this.#first++
    if (this.#first * 2 < this.#chunks.length) return
    this.#chunks.splice(0, this.#first)
    this.#first = 0
  }

  #fail(fault: RegistryFrameFault): RegistryFrameFault {
    this.#fault = fault
    this.#chunks = []
    this.#first = this.#offset = this.#available = 0
    return fault
  }
}

// ---- what is signed

/**
 * The text under each request's `signature`: base64 of Ed25519 over its UTF-8 bytes (§2.1). Numbers are decimal. None
 * holds a time or a nonce, so a signature is valid forever: avoid sending them in the clear.
 */
export const challenges = {
  /** Both texts exactly as sent in the request; an absent listen_addr counts as empty. */
  register: (listenAddr: string, publicKey: string): string => `register:${listenAddr}:${publicKey}`,
  heartbeat: (nodeId: NodeId): string => `heartbeat:${nodeId}`,
  /** For registries of today that insist on fresh ones; `ts` of the request, unix seconds. */
  heartbeatAt: (nodeId: NodeId, unixSeconds: number): string => `heartbeat:${nodeId}:${unixSeconds}`,
  resolve: (requesterId: NodeId, nodeId: NodeId): string => `resolve:${requesterId}:${nodeId}`,
  /** Ours: an April registry believes the requester and ignores the signature. */
  resolveHostname: (requesterId: NodeId, hostname: string): string => `resolve_hostname:${requesterId}:${hostname}`,
  deregister: (nodeId: NodeId): string => `deregister:${nodeId}`,
  setVisibility: (nodeId: NodeId): string => `set_visibility:${nodeId}`,
  setHostname: (nodeId: NodeId): string => `set_hostname:${nodeId}`,
  setTags: (nodeId: NodeId): string => `set_tags:${nodeId}`,
  setTaskExec: (nodeId: NodeId): string => `set_task_exec:${nodeId}`,
  /** With the old key. */
  rotateKey: (nodeId: NodeId): string => `rotate:${nodeId}`,
  /** Of daemons of today: no one can exchange the new key. */
  rotateKeyTo: (nodeId: NodeId, newPublicKey: string): string => `rotate:${nodeId}:${newPublicKey}`,
  reportTrust: (nodeId: NodeId, peerId: NodeId): string => `report_trust:${nodeId}:${peerId}`,
  revokeTrust: (nodeId: NodeId, peerId: NodeId): string => `revoke_trust:${nodeId}:${peerId}`,
  /** The target is a node id, or (ours) the hostname when the request carries `to_hostname`. */
  requestHandshake: (fromNodeId: NodeId, target: NodeId | string): string => `handshake:${fromNodeId}:${target}`,
  respondHandshake: (nodeId: NodeId, peerId: NodeId): string => `respond:${nodeId}:${peerId}`,
  pollHandshakes: (nodeId: NodeId): string => `poll_handshakes:${nodeId}`,
  punch: (nodeA: NodeId, nodeB: NodeId): string => `punch:${nodeA}:${nodeB}`,
  setKeyExpiry: (nodeId: NodeId): string => `set_key_expiry:${nodeId}`,
  joinNetwork: (nodeId: NodeId, networkId: number): string => `join_network:${nodeId}:${networkId}`,
  leaveNetwork: (nodeId: NodeId, networkId: number): string => `leave_network:${nodeId}:${networkId}`,
  inviteToNetwork: (inviterId: NodeId, networkId: number, targetId: NodeId): string =>
    `invite:${inviterId}:${networkId}:${targetId}`,
  pollInvites: (nodeId: NodeId): string => `poll_invites:${nodeId}`,
  respondInvite: (nodeId: NodeId, networkId: number): string => `respond_invite:${nodeId}:${networkId}`,
  /** Daemons of today. */
  submitBadge: (nodeId: NodeId, badge: string): string => `submit_badge:${nodeId}:${badge}`,
  enrollRecovery: (nodeId: NodeId, commitment: string): string => `enroll_recovery:${nodeId}:${commitment}`,
  /** Ours: an April registry believes the requester's claim of a role in the network. */
  byRole: (type: string, nodeId: NodeId, networkId: number, target?: NodeId): string => {
    return `${type}:${nodeId}:${networkId}${target === undefined ? '' : `:${target}`}`
  },
  /** Ours: proves who asks, so that the hostname of a private node is revealed only to those who may know it. */
  lookup: (requesterId: NodeId, nodeId: NodeId): string => `lookup:${requesterId}:${nodeId}`,
} as const

// ---- what a client reads

export type ReplyFault = 'malformed_reply'

export interface RegisterReply {
  readonly nodeId: NodeId
  readonly address: OverlayAddress
  readonly observedEndpoint: string | undefined // `ip:port` under which the registry lists us; Feb 2026 does not report it
  readonly hostname: string | undefined // absent if none was requested, or the requested one is taken or malformed
  readonly hostnameError: string | undefined
}

export interface LookupReply {
  readonly nodeId: NodeId
  readonly address: OverlayAddress
  readonly publicKey: Uint8Array // 32 bytes
  readonly networks: readonly number[]
  readonly public: boolean
  readonly hostname: string | undefined
  readonly tags: readonly string[]
  readonly endpoint: string | undefined // public nodes only
  readonly version: string | undefined // of the node's program, by its own account; registries of today
}

/**
 * In `extensions` of a registration, and of our registry's answer to `resolve`: the node supports the options of
 * extensions.md.
 */
export const STREAM_EXTENSIONS = 'PGO1'

export interface ResolveReply {
  readonly nodeId: NodeId
  readonly endpoint: string | undefined // absent if the node wants only the relay
  readonly lanEndpoints: readonly string[]
  readonly relayOnly: boolean
  readonly extended: boolean // a pilotgate; a Go registry does not report it
}

export interface ResolveHostnameReply {
  readonly nodeId: NodeId
  readonly address: OverlayAddress
  readonly hostname: string
  readonly public: boolean
}

export interface HandshakeRequestEntry {
  readonly fromNodeId: NodeId
  readonly justification: string
  readonly timestampSec: number
  readonly hostname: string | undefined // from our registry only
  readonly publicKey: Uint8Array | undefined // 32 bytes; from our registry only
}

export interface HandshakeResponseEntry {
  readonly fromNodeId: NodeId
  readonly accept: boolean
  readonly timestampSec: number
  readonly hostname: string | undefined
  readonly publicKey: Uint8Array | undefined
}

export interface PollHandshakesReply {
  readonly requests: readonly HandshakeRequestEntry[]
  readonly responses: readonly HandshakeResponseEntry[]
  /** The registry sends a notice on this connection when something is put into our mailbox (extensions.md §8). */
  readonly isNotified: boolean
}

/** The text of an error reply; undefined for any other reply. Only for people, and for `isUnknownNode`. */
export function parseRefusal(reply: object): string | undefined {
  const fields = new ReplyFields(reply)
  return fields.text('type') === 'error' ? (fields.text('error') ?? '') : undefined
}

/** §1.3: the one text a client may act upon. About our own id it means: register again, immediately. */
export function isUnknownNode(refusal: string, nodeId: NodeId): boolean {
  return refusal.includes(`node ${nodeId}: node not found`)
}

export function parseRegisterReply(reply: object): RegisterReply | ReplyFault {
  const fields = new ReplyFields(reply)
  const nodeId = fields.nodeId('node_id')
  const address = fields.address('address')
  const observedEndpoint = fields.text('observed_addr')
  if (!fields.is('register_ok') || nodeId === undefined || address === undefined) return 'malformed_reply'
  const hostname = fields.hostname('hostname')
  const hostnameError = fields.text('hostname_error')
  return { nodeId, address, observedEndpoint, hostname, hostnameError }
}

export function parseLookupReply(reply: object): LookupReply | ReplyFault {
  const fields = new ReplyFields(reply)
  const nodeId = fields.nodeId('node_id')
  const address = fields.address('address')
  const publicKey = fields.publicKey('public_key')
  if (!fields.is('lookup_ok') || nodeId === undefined || address === undefined || publicKey === undefined)
    return 'malformed_reply'
  return {
    nodeId,
    address,
    publicKey,
    networks: fields
      .list('networks')
      .filter((item) => typeof item === 'number' && item >= 0 && item <= 0xffff) as number[],
    public: fields.flag('public'),
    hostname: fields.hostname('hostname'),
    tags: fields.texts('tags'),
    endpoint: fields.text('real_addr'),
    version: fields.text('version'),
  }
}

export function parseResolveReply(reply: object): ResolveReply | ReplyFault {
  const fields = new ReplyFields(reply)
  const nodeId = fields.nodeId('node_id')
  const endpoint = fields.text('real_addr')
  const relayOnly = fields.flag('relay_only')
  if (!fields.is('resolve_ok') || nodeId === undefined || (endpoint === undefined && !relayOnly))
    return 'malformed_reply'
  return {
    nodeId,
    endpoint,
    lanEndpoints: fields.texts('lan_addrs'),
    relayOnly,
    extended: fields.texts('extensions').includes(STREAM_EXTENSIONS),
  }
}

export function parseResolveHostnameReply(reply: object): ResolveHostnameReply | ReplyFault {
  const fields = new ReplyFields(reply)
  const nodeId = fields.nodeId('node_id')
  const address = fields.address('address')
  const hostname = fields.hostname('hostname')
  if (!fields.is('resolve_hostname_ok') || nodeId === undefined || address === undefined) return 'malformed_reply'
  return hostname === undefined ? 'malformed_reply' : { nodeId, address, hostname, public: fields.flag('public') }
}

/** Entries without a sender are skipped; the rest of the list is used. */
export function parsePollHandshakesReply(reply: object): PollHandshakesReply | ReplyFault {
  const fields = new ReplyFields(reply)
  if (!fields.is('poll_handshakes_ok')) return 'malformed_reply'
  const requests: HandshakeRequestEntry[] = []
  for (const entry of fields.objects('requests')) {
    const sender = readSender(entry)
    if (sender !== undefined) requests.push({ ...sender, justification: entry.text('justification') ?? '' })
  }
  const responses: HandshakeResponseEntry[] = []
  for (const entry of fields.objects('responses')) {
    const sender = readSender(entry)
    if (sender !== undefined) responses.push({ ...sender, accept: entry.flag('accept') })
  }
  return { requests, responses, isNotified: fields.flag('notify') }
}

type Sender = Pick<HandshakeRequestEntry, 'fromNodeId' | 'timestampSec' | 'hostname' | 'publicKey'>

function readSender(entry: ReplyFields): Sender | undefined {
  const fromNodeId = entry.nodeId('from_node_id')
  if (fromNodeId === undefined) return undefined
  const timestampSec = entry.number('timestamp') ?? 0
  return { fromNodeId, timestampSec, hostname: entry.hostname('hostname'), publicKey: entry.publicKey('public_key') }
}

/** Not an answer, but a hint that something waits in our mailbox (extensions.md §8). */
export function isNotice(reply: object): boolean {
  return new ReplyFields(reply).is('notify')
}

/** Own fields of an untrusted object, each read as its expected type or not at all. */
class ReplyFields {
  readonly #object: object

  constructor(object: object) {
    this.#object = object
  }

  is(type: string): boolean {
    return this.text('type') === type
  }
  flag(name: string): boolean {
    return this.#own(name) === true
  }
  list(name: string): readonly unknown[] {
    return asList(this.#own(name))
  }
  texts(name: string): readonly string[] {
    return this.list(name).filter((item) => typeof item === 'string')
  }
  objects(name: string): readonly ReplyFields[] {
    return this.list(name)
      .filter(isObject)
      .map((item) => new ReplyFields(item))
  }

  text(name: string): string | undefined {
    const value = this.#own(name)
    return typeof value === 'string' ? value : undefined
  }

  /**
   * A registry decides who has a name, not what counts as a name: anything else would reach terminals, headers and
   * files.
   */
  hostname(name: string): string | undefined {
    const text = this.text(name)
    return text !== undefined && isHostname(text) ? text : undefined
  }

  number(name: string): number | undefined {
    const value = this.#own(name)
    return typeof value === 'number' && Number.isFinite(value) ? value : undefined
  }

  nodeId(name: string): NodeId | undefined {
    const value = this.number(name)
    return value !== undefined && Number.isInteger(value) && value > 0 && value <= 0xffff_ffff ? value : undefined
  }

  address(name: string): OverlayAddress | undefined {
    return parseAddress(this.text(name) ?? '')
  }

  publicKey(name: string): Uint8Array | undefined {
    const key = fromBase64(this.text(name) ?? '')
    return key?.length === PUBLIC_KEY_BYTES ? key : undefined
  }

  #own(name: string): unknown {
    return Object.hasOwn(this.#object, name) ? (this.#object as Record<string, unknown>)[name] : undefined
  }
}

/** Undefined if the bytes are not one JSON object. Invalid UTF-8 becomes U+FFFD, as in the reference. */
function parseObject(bytes: Uint8Array): object | undefined {
  try {
    const value: unknown = JSON.parse(fromUtf8(bytes))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** §1.1: longer ones close the connection, in servers and clients since April 2026. */
export const MAX_REGISTRY_FRAME_BYTES = 65_536
/**
 * What a client reads. A registry of today sends more: a full mailbox is 130 KB, and was emptied to send it. Memory is used
 * as the bytes arrive, not as announced.
 */
export const MAX_REGISTRY_REPLY_BYTES = 16 * 1_048_576

const LENGTH_BYTES = 4
const PUBLIC_KEY_BYTES = 32
