/**
 * Frames of the data exchange service, port 1001, big-endian: type[4] length[4] payload (services.md §6; today.md 2.6).
 * Of a file the payload is nameLength[2] name content; of a trace innerType[4] sentAt[8] payload; of a tagged frame
 * tagLength[2] tag innerType[4] payload, where the tag is JSON. A step of a file stream: file-step.ts.
 */
import { fromStrictUtf8, readU32, utf8, writeU16, writeU32 } from '../base/bytes.ts'

export type DataType = (typeof TYPES)[keyof typeof TYPES] | `UNKNOWN(${number})`

/** What a person or a program sends; the others are wrappers. */
export type ContentType = 'TEXT' | 'BINARY' | 'JSON' | 'FILE'

/** Longer frames are rejected from the header alone. */
export const MAX_DATA_BYTES = 67_108_864
export const DATA_HEAD_BYTES = 8
/** Of a trace: before its payload. */
export const TRACE_HEAD_BYTES = 12

/** Names a message, and the one that it answers. */
export interface Tag {
  readonly messageId?: string
  readonly replyTo?: string
}

export const MAX_TAG_BYTES = 1_024

/** Never throws. @param bytes at least DATA_HEAD_BYTES. */
export function decodeDataHead(bytes: Uint8Array): { readonly type: DataType; readonly length: number } | 'too_long' {
  const length = readU32(bytes, 4)
  return length > MAX_DATA_BYTES ? 'too_long' : { type: dataType(readU32(bytes, 0)), length }
}

export function encodeDataHead(type: DataType, length: number): Uint8Array {
  const head = new Uint8Array(DATA_HEAD_BYTES)
  writeU32(head, 0, dataCode(type))
  writeU32(head, 4, length)
  return head
}

/** @param name of a file, at most 65,535 bytes of UTF-8. */
export function encodeDataFrame(type: DataType, content: Uint8Array, name = ''): Uint8Array {
  const prefix = type === 'FILE' ? encodeFileName(name) : NOTHING
  const frame = new Uint8Array(DATA_HEAD_BYTES + prefix.length + content.length)
  frame.set(encodeDataHead(type, prefix.length + content.length))
  frame.set(prefix, DATA_HEAD_BYTES)
  frame.set(content, DATA_HEAD_BYTES + prefix.length)
  return frame
}

/** The beginning of a file's payload. */
export function encodeFileName(name: string): Uint8Array {
  const bytes = utf8(name)
  const out = new Uint8Array(2 + bytes.length)
  writeU16(out, 0, bytes.length)
  out.set(bytes, 2)
  return out
}

/** The beginning of a tagged frame's payload. @param inner type of what follows. */
export function encodeTag({ messageId, replyTo }: Tag, inner: DataType): Uint8Array {
  const tag = utf8(
    JSON.stringify({
      ...(messageId !== undefined && { message_id: messageId }),
      ...(replyTo !== undefined && { reply_to: replyTo }),
    }),
  )
  const out = new Uint8Array(2 + tag.length + 4)
  writeU16(out, 0, tag.length)
  out.set(tag, 2)
  writeU32(out, 2 + tag.length, dataCode(inner))
  return out
}

/** Never throws. Members that we do not know are ignored. */
export function decodeTag(bytes: Uint8Array): Tag | 'bad_tag' {
  const text = fromStrictUtf8(bytes)
  let value: unknown
  try {
    value = text === undefined ? undefined : JSON.parse(text)
  } catch {
    return 'bad_tag'
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return 'bad_tag'
  const { message_id: messageId, reply_to: replyTo } = value as { message_id?: unknown; reply_to?: unknown }
  if (!isIdOrAbsent(messageId) || !isIdOrAbsent(replyTo)) return 'bad_tag'
  return { ...(messageId !== undefined && { messageId }), ...(replyTo !== undefined && { replyTo }) }
}

/** An id as others accept it. */
export function isMessageId(text: string): boolean {
  return /^[A-Za-z0-9._:-]{1,128}$/.test(text)
}

/** The type behind a number; never throws. */
export function dataType(code: number): DataType {
  return (TYPES as Readonly<Record<number, DataType | undefined>>)[code] ?? `UNKNOWN(${code})`
}

function dataCode(type: DataType): number {
  const [code] = Object.entries(TYPES).find(([, name]) => name === type) ?? []
  if (code === undefined) throw new RangeError(`no number for ${type}`)
  return Number(code)
}

function isIdOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === 'string' && isMessageId(value))
}

/** 6, 8 and 9 belong to services that no longer exist. */
const TYPES = { 1: 'TEXT', 2: 'BINARY', 3: 'JSON', 4: 'FILE', 5: 'TRACE', 7: 'STREAM', 10: 'TAGGED' } as const
const NOTHING = new Uint8Array(0)
