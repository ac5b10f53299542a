/** Frames of the data exchange service, port 1001, big-endian: type[4] length[4] payload; of a file: nameLength[2] name content (services.md §6). */
import { fromUtf8, readU16, readU32, utf8, writeU16, writeU32 } from '../base/bytes.ts'

export type DataType = 'TEXT' | 'BINARY' | 'JSON' | 'FILE' | `UNKNOWN(${number})`

export interface DataFrame {
  readonly type: DataType
  readonly name: string // of a file; '' if it has none. As sent by the peer: not to be used as a path
  readonly content: Uint8Array // a view into the decoded bytes
  readonly frameBytes: number // bytes of the frame, header included
}

/** Longer frames are rejected from the header alone. */
export const MAX_DATA_BYTES = 16_777_216
export const DATA_HEADER_BYTES = 8

/** Bytes needed before the frame that begins here can be decoded; at first those of its header. */
export function dataFrameBytes(bytes: Uint8Array): number {
  return bytes.length < DATA_HEADER_BYTES ? DATA_HEADER_BYTES : DATA_HEADER_BYTES + readU32(bytes, 4)
}

/** Never throws. 'incomplete': `bytes` is only the beginning of a frame. */
export function decodeDataFrame(bytes: Uint8Array): DataFrame | 'incomplete' | 'too_long' {
  if (bytes.length < DATA_HEADER_BYTES) return 'incomplete'
  const length = readU32(bytes, 4)
  if (length > MAX_DATA_BYTES) return 'too_long'
  const frameBytes = DATA_HEADER_BYTES + length
  if (bytes.length < frameBytes) return 'incomplete'
  const code = readU32(bytes, 0)
  const payload = bytes.subarray(DATA_HEADER_BYTES, frameBytes)
  const nameLength = code === FILE && length >= 2 ? readU16(bytes, DATA_HEADER_BYTES) : length
  if (code !== FILE || 2 + nameLength > length) return { type: typeName(code), name: '', content: payload, frameBytes }
  return {
    type: 'FILE',
    name: fromUtf8(payload.subarray(2, 2 + nameLength)),
    content: payload.subarray(2 + nameLength),
    frameBytes,
  }
}

/** @param name of a file, at most 65,535 bytes of UTF-8. */
export function encodeDataFrame(
  type: Exclude<DataType, `UNKNOWN(${number})`>,
  content: Uint8Array,
  name = '',
): Uint8Array {
  const head = type === 'FILE' ? utf8(name) : NOTHING
  const prefix = type === 'FILE' ? 2 + head.length : 0
  const frame = new Uint8Array(DATA_HEADER_BYTES + prefix + content.length)
  writeU32(frame, 0, TYPES.indexOf(type) + 1)
  writeU32(frame, 4, prefix + content.length)
  if (type === 'FILE') {
    writeU16(frame, DATA_HEADER_BYTES, head.length)
    frame.set(head, DATA_HEADER_BYTES + 2)
  }
  frame.set(content, DATA_HEADER_BYTES + prefix)
  return frame
}

function typeName(code: number): DataType {
  return TYPES[code - 1] ?? `UNKNOWN(${code})`
}

const TYPES = ['TEXT', 'BINARY', 'JSON', 'FILE'] as const // 1 to 4
const FILE = 4
const NOTHING = new Uint8Array(0)
