/**
 * The two messages of config/demo.proto in the protobuf wire format
 * (https://protobuf.dev/programming-guides/encoding/): a field is a varint key `number << 3 | type`, then its value.
 */

export interface TextMessage {
  readonly text: string
}
export interface NumberMessage {
  readonly value: number
} // uint32

export function encodeText({ text }: TextMessage): Buffer {
  const bytes = Buffer.from(text, 'utf8') // an empty string is the default and omitted
  return bytes.length === 0 ? bytes : Buffer.concat([Buffer.from([(1 << 3) | BYTES]), varint(bytes.length), bytes])
}

export function encodeNumber({ value }: NumberMessage): Buffer {
  return value === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([(1 << 3) | VARINT]), varint(value)])
}

/** @throws RangeError if the bytes are not a message. */
export function decodeText(bytes: Uint8Array): TextMessage {
  const field = lastField(bytes, BYTES)
  return { text: field === undefined ? '' : Buffer.from(field as Uint8Array).toString('utf8') }
}

/** @throws RangeError if the bytes are not a message. */
export function decodeNumber(bytes: Uint8Array): NumberMessage {
  return { value: (lastField(bytes, VARINT) as number | undefined) ?? 0 }
}

/** The value of field 1; the last occurrence counts, unknown fields are skipped, as the format requires. */
function lastField(bytes: Uint8Array, wanted: number): number | Uint8Array | undefined {
  let found: number | Uint8Array | undefined
  for (let at = 0; at < bytes.length;) {
    const key = readVarint(bytes, at)
    const type = key.value & 7
    const start = key.end
    const head = type === VARINT || type === BYTES ? readVarint(bytes, start) : { value: 0, end: start }
    at = type === BYTES ? head.end + head.value : head.end + (FIXED_BYTES[type] ?? 0)
    if (at > bytes.length || !(type in FIXED_BYTES)) throw new RangeError('not a protobuf message')
    if (key.value === ((1 << 3) | wanted)) found = type === BYTES ? bytes.subarray(head.end, at) : head.value
  }
  return found
}

function readVarint(bytes: Uint8Array, at: number): { value: number; end: number } {
  let value = 0
  for (let index = 0; index < 10 && at + index < bytes.length; index++) {
    const byte = bytes[at + index]!
    if (index < 5) value += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) return { value: value % 2 ** 32, end: at + index + 1 }
  }
  throw new RangeError('not a protobuf message')
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
  return Buffer.from([...bytes, rest])
}

const VARINT = 0
const BYTES = 2
const FIXED_BYTES: Readonly<Record<number, number>> = { [VARINT]: 0, 1: 8, [BYTES]: 0, 5: 4 } // the wire types, and their length beyond a varint
