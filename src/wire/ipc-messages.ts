/**
 * The messages between a local driver and a daemon on the daemon's Unix socket (ipc.md): length[4, big-endian], then
 * command[1] and payload. Both directions are here: we drive a daemon (runtime/daemon), and are one for other drivers
 * (runtime/driver-socket). Nothing throws: bad bytes are faults.
 */
import type { OverlayAddress } from '../base/address.ts'
import { decodeAddress, encodeAddress } from '../base/address.ts'
import { concatBytes, fromUtf8, readU16, readU32, utf8, writeU16, writeU32 } from '../base/bytes.ts'
import type { NodeId } from '../base/types.ts'

// ---- framing

/** Command byte included; a daemon closes the connection over a longer one (ipc.md §1). */
export const MAX_IPC_MESSAGE_BYTES = 1_048_576

/** Length and message. Writers do not check the length: sending more than a reader accepts is the caller's mistake. */
export function encodeIpcFrame(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(LENGTH_BYTES + message.length)
  writeU32(frame, 0, message.length)
  frame.set(message, LENGTH_BYTES)
  return frame
}

/** Everything of a Send except its data, so that the data need not be copied. */
export function encodeSendHeader(connection: number, dataBytes: number): Uint8Array {
  const header = new Uint8Array(LENGTH_BYTES + 1 + 4)
  writeU32(header, 0, 1 + 4 + dataBytes)
  header[LENGTH_BYTES] = COMMANDS.send
  writeU32(header, LENGTH_BYTES + 1, connection)
  return header
}

/** The same of a Recv. */
export function encodeRecvHeader(connection: number, dataBytes: number): Uint8Array {
  const header = encodeSendHeader(connection, dataBytes)
  header[LENGTH_BYTES] = COMMANDS.recv
  return header
}

/** Splits a byte stream into messages. After a fault the stream is meaningless, and everything is dropped. */
export class IpcFrameReader {
  #parts: Uint8Array[] = []
  #held = 0
  #needed = LENGTH_BYTES
  #fault = false

  /** Takes ownership of `chunk`; messages are views of it. @returns the messages it completes, or a fault. */
  push(chunk: Uint8Array): readonly Uint8Array[] | 'too_long' {
    if (this.#fault) return 'too_long'
    this.#parts.push(chunk)
    this.#held += chunk.length
    if (this.#held < this.#needed) return []
    const bytes = this.#parts.length === 1 ? chunk : concatBytes(...this.#parts)
    const messages: Uint8Array[] = []
    let at = 0
    this.#needed = LENGTH_BYTES
    while (bytes.length - at >= LENGTH_BYTES) {
      const length = readU32(bytes, at)
      if (length > MAX_IPC_MESSAGE_BYTES) {
        this.#fault = true
        this.#parts = []
        return 'too_long'
      }
      this.#needed = LENGTH_BYTES + length
      if (bytes.length - at < this.#needed) break
      if (length > 0) messages.push(bytes.subarray(at + LENGTH_BYTES, at + this.#needed)) // an empty one means nothing
      at += this.#needed
      this.#needed = LENGTH_BYTES
    }
    this.#parts = at < bytes.length ? [bytes.subarray(at)] : []
    this.#held = bytes.length - at
    return messages
  }
}

// ---- client to daemon

export type IpcRequest =
  | { readonly kind: 'bind'; readonly port: number }
  | { readonly kind: 'dial'; readonly address: OverlayAddress; readonly port: number }
  | { readonly kind: 'send'; readonly connection: number; readonly data: Uint8Array }
  | { readonly kind: 'close'; readonly connection: number }
  | { readonly kind: 'send_to'; readonly address: OverlayAddress; readonly port: number; readonly data: Uint8Array }
  | {
      readonly kind: 'handshake'
      readonly sub: HandshakeSub
      readonly node: NodeId | undefined
      readonly text: string
      readonly waitMs?: number // of `wait` alone
    }
  /** The requests answered with JSON: `body` is a name, a URL, JSON text, numbers (ipc-bodies.ts), or nothing. */
  | { readonly kind: 'query'; readonly query: IpcQuery; readonly body: Uint8Array }
  // since 2026:
  | { readonly kind: 'unbind'; readonly port: number }
  /** A SendTo that is answered. */
  | {
      readonly kind: 'send_to_confirm'
      readonly address: OverlayAddress
      readonly port: number
      readonly data: Uint8Array
    }
  /** Ends this client's dials that are under way. */
  | { readonly kind: 'cancel' }

export type HandshakeSub = 'request' | 'approve' | 'reject' | 'pending' | 'trusted' | 'revoke' | 'wait'
export type IpcQuery = keyof typeof QUERIES

export type IpcRequestFault =
  | 'empty'
  | 'unknown_command'
  | 'missing_port'
  | 'missing_address'
  | 'missing_connection'
  | 'missing_sub'
  | 'unknown_sub'
  | 'missing_node'
  | 'missing_wait'

export function encodeIpcRequest(request: IpcRequest): Uint8Array {
  switch (request.kind) {
    case 'bind':
      return concatBytes(new Uint8Array([COMMANDS.bind]), u16(request.port))
    case 'dial':
      return concatBytes(new Uint8Array([COMMANDS.dial]), encodeAddress(request.address), u16(request.port))
    case 'send':
      return concatBytes(new Uint8Array([COMMANDS.send]), u32(request.connection), request.data)
    case 'close':
      return concatBytes(new Uint8Array([COMMANDS.close]), u32(request.connection))
    case 'send_to':
    case 'send_to_confirm':
      return concatBytes(
        new Uint8Array([request.kind === 'send_to' ? COMMANDS.sendTo : COMMANDS.sendToConfirm]),
        encodeAddress(request.address),
        u16(request.port),
        request.data,
      )
    case 'unbind':
      return concatBytes(new Uint8Array([COMMANDS.unbind]), u16(request.port))
    case 'cancel':
      return new Uint8Array([COMMANDS.cancel])
    case 'handshake':
      return concatBytes(
        new Uint8Array([COMMANDS.handshake, HANDSHAKE_SUBS.indexOf(request.sub) + 1]),
        request.node === undefined ? NOTHING : u32(request.node),
        request.waitMs === undefined ? utf8(request.text) : u32(request.waitMs),
      )
    case 'query':
      return concatBytes(new Uint8Array([QUERIES[request.query]]), request.body)
  }
}

/** `data` and `body` are views. */
export function decodeIpcRequest(message: Uint8Array): IpcRequest | IpcRequestFault {
  const command = message[0]
  if (command === undefined) return 'empty'
  switch (command) {
    case COMMANDS.bind:
    case COMMANDS.unbind:
      return message.length < 3
        ? 'missing_port'
        : { kind: command === COMMANDS.bind ? 'bind' : 'unbind', port: readU16(message, 1) }
    case COMMANDS.cancel:
      return { kind: 'cancel' }
    case COMMANDS.dial:
      return message.length < 9
        ? 'missing_address'
        : { kind: 'dial', address: decodeAddress(message, 1), port: readU16(message, 7) }
    case COMMANDS.send:
      return message.length < 5
        ? 'missing_connection'
        : { kind: 'send', connection: readU32(message, 1), data: message.subarray(5) }
    case COMMANDS.close:
      return message.length < 5 ? 'missing_connection' : { kind: 'close', connection: readU32(message, 1) }
    case COMMANDS.sendTo:
    case COMMANDS.sendToConfirm:
      return message.length < 9
        ? 'missing_address'
        : {
            kind: command === COMMANDS.sendTo ? 'send_to' : 'send_to_confirm',
            address: decodeAddress(message, 1),
            port: readU16(message, 7),
            data: message.subarray(9),
          }
    case COMMANDS.handshake:
      return decodeHandshake(message)
    default: {
      const query = QUERY_NAMES.get(command)
      return query === undefined ? 'unknown_command' : { kind: 'query', query, body: message.subarray(1) }
    }
  }
}

function decodeHandshake(message: Uint8Array): IpcRequest | IpcRequestFault {
  if (message.length < 2) return 'missing_sub'
  const sub = HANDSHAKE_SUBS[message[1]! - 1]
  if (sub === undefined) return 'unknown_sub'
  if (sub === 'pending' || sub === 'trusted') return { kind: 'handshake', sub, node: undefined, text: '' }
  if (sub === 'wait')
    return message.length < 10
      ? 'missing_wait'
      : { kind: 'handshake', sub, node: readU32(message, 2), text: '', waitMs: readU32(message, 6) }
  return message.length < 6
    ? 'missing_node'
    : { kind: 'handshake', sub, node: readU32(message, 2), text: fromUtf8(message.subarray(6)) }
}

// ---- daemon to client

export type IpcMessage =
  | { readonly kind: 'bind_ok'; readonly port: number }
  | { readonly kind: 'dial_ok'; readonly connection: number }
  | {
      readonly kind: 'accept'
      readonly port: number
      readonly connection: number
      readonly remote: OverlayAddress
      readonly remotePort: number
    }
  | { readonly kind: 'recv'; readonly connection: number; readonly data: Uint8Array }
  | { readonly kind: 'close_ok'; readonly connection: number }
  | { readonly kind: 'error'; readonly text: string }
  | {
      readonly kind: 'recv_from'
      readonly source: OverlayAddress
      readonly sourcePort: number
      readonly port: number
      readonly data: Uint8Array
    }
  | { readonly kind: 'unbind_ok'; readonly port: number }
  | { readonly kind: 'confirmed' }
  /** The answer to a query or a handshake. */
  | { readonly kind: 'json'; readonly to: IpcQuery | 'handshake'; readonly text: string }

export type IpcMessageFault = 'empty' | 'unknown_command' | 'too_short'

export function encodeIpcMessage(message: IpcMessage): Uint8Array {
  switch (message.kind) {
    case 'bind_ok':
      return concatBytes(new Uint8Array([COMMANDS.bind + 1]), u16(message.port))
    case 'dial_ok':
      return concatBytes(new Uint8Array([COMMANDS.dial + 1]), u32(message.connection))
    case 'accept':
      return concatBytes(
        new Uint8Array([COMMANDS.accept]),
        u16(message.port),
        u32(message.connection),
        encodeAddress(message.remote),
        u16(message.remotePort),
      )
    case 'recv':
      return concatBytes(new Uint8Array([COMMANDS.recv]), u32(message.connection), message.data)
    case 'close_ok':
      return concatBytes(new Uint8Array([COMMANDS.close + 1]), u32(message.connection))
    case 'error':
      return concatBytes(new Uint8Array([COMMANDS.error]), u16(ERROR_CODE), utf8(message.text))
    case 'recv_from':
      return concatBytes(
        new Uint8Array([COMMANDS.recvFrom]),
        encodeAddress(message.source),
        u16(message.sourcePort),
        u16(message.port),
        message.data,
      )
    case 'unbind_ok':
      return concatBytes(new Uint8Array([COMMANDS.unbind + 1]), u16(message.port))
    case 'confirmed':
      return new Uint8Array([COMMANDS.sendToConfirm + 1])
    case 'json':
      return concatBytes(
        new Uint8Array([1 + (message.to === 'handshake' ? COMMANDS.handshake : QUERIES[message.to])]),
        utf8(message.text),
      )
  }
}

/** `data` is a view. */
export function decodeIpcMessage(message: Uint8Array): IpcMessage | IpcMessageFault {
  const command = message[0]
  if (command === undefined) return 'empty'
  if (message.length < (MIN_BYTES.get(command) ?? 1)) return 'too_short'
  switch (command) {
    case COMMANDS.bind + 1:
      return { kind: 'bind_ok', port: readU16(message, 1) }
    case COMMANDS.dial + 1:
      return { kind: 'dial_ok', connection: readU32(message, 1) }
    case COMMANDS.accept:
      return {
        kind: 'accept',
        port: readU16(message, 1),
        connection: readU32(message, 3),
        remote: decodeAddress(message, 7),
        remotePort: readU16(message, 13),
      }
    case COMMANDS.recv:
      return { kind: 'recv', connection: readU32(message, 1), data: message.subarray(5) }
    case COMMANDS.close + 1:
      return { kind: 'close_ok', connection: readU32(message, 1) }
    case COMMANDS.error:
      return { kind: 'error', text: fromUtf8(message.subarray(3)) }
    case COMMANDS.recvFrom:
      return {
        kind: 'recv_from',
        source: decodeAddress(message, 1),
        sourcePort: readU16(message, 7),
        port: readU16(message, 9),
        data: message.subarray(11),
      }
    case COMMANDS.unbind + 1:
      return { kind: 'unbind_ok', port: readU16(message, 1) }
    case COMMANDS.sendToConfirm + 1:
      return { kind: 'confirmed' }
    case COMMANDS.handshake + 1:
      return { kind: 'json', to: 'handshake', text: fromUtf8(message.subarray(1)) }
    default: {
      const query = QUERY_NAMES.get(command - 1)
      return query === undefined ? 'unknown_command' : { kind: 'json', to: query, text: fromUtf8(message.subarray(1)) }
    }
  }
}

function u16(value: number): Uint8Array {
  const out = new Uint8Array(2)
  writeU16(out, 0, value)
  return out
}

function u32(value: number): Uint8Array {
  const out = new Uint8Array(4)
  writeU32(out, 0, value)
  return out
}

const LENGTH_BYTES = 4
const NOTHING = new Uint8Array(0)
const ERROR_CODE = 1 // the only one there is

/** ipc.md §2; a reply is the command + 1. */
const COMMANDS = {
  bind: 0x01,
  dial: 0x03,
  accept: 0x05,
  send: 0x06,
  recv: 0x07,
  close: 0x08,
  error: 0x0a,
  sendTo: 0x0b,
  recvFrom: 0x0c,
  handshake: 0x0f,
  cancel: 0x2b,
  unbind: 0x37,
  sendToConfirm: 0x39,
} as const

const QUERIES = {
  info: 0x0d,
  resolve_hostname: 0x11,
  set_hostname: 0x13,
  set_visibility: 0x15,
  deregister: 0x17,
  set_tags: 0x19,
  set_webhook: 0x1b,
  set_task_exec: 0x1d,
  network: 0x1f,
  health: 0x21,
  managed: 0x23,
  rotate_key: 0x25,
  broadcast: 0x29,
  prefer_direct: 0x2d,
  submit_badge: 0x2f,
  enroll_recovery: 0x31,
  sign_envelope: 0x33,
  verify_envelope: 0x35,
} as const

const QUERY_NAMES: ReadonlyMap<number, IpcQuery> = new Map(
  (Object.entries(QUERIES) as [IpcQuery, number][]).map(([name, code]) => [code, name]),
)

/** From 1. */
const HANDSHAKE_SUBS: readonly HandshakeSub[] = ['request', 'approve', 'reject', 'pending', 'trusted', 'revoke', 'wait']

/** Shortest daemon message of each command, command byte included. */
const MIN_BYTES: ReadonlyMap<number, number> = new Map([
  [COMMANDS.bind + 1, 3],
  [COMMANDS.dial + 1, 5],
  [COMMANDS.accept, 15],
  [COMMANDS.recv, 5],
  [COMMANDS.close + 1, 5],
  [COMMANDS.error, 3],
  [COMMANDS.recvFrom, 11],
  [COMMANDS.unbind + 1, 3],
])
