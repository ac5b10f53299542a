/**
 * One step of a file stream: the payload of a data frame of type STREAM (today.md 2.6), big-endian: kind[1] transfer[16]
 * body. The transfer is named by the first 16 bytes of the SHA-256 of the whole file.
 */
import { fromStrictUtf8, fromUtf8, readU16, readU32, utf8, writeU16, writeU32 } from '../base/bytes.ts'

export const TRANSFER_BYTES = 16
export const SHA256_BYTES = 32

export type FileStep = { readonly transfer: Uint8Array } & FileStepBody

export type FileStepBody =
  | {
      readonly kind: 'init'
      readonly size: number
      readonly sha256: Uint8Array
      readonly chunkBytes: number
      readonly name: string // as sent by the peer: not to be used as a path
    }
  | { readonly kind: 'init_ack'; readonly offset: number } // where to continue
  | { readonly kind: 'chunk'; readonly offset: number; readonly data: Uint8Array } // a view
  | { readonly kind: 'ack'; readonly offset: number } // everything before it has arrived
  | { readonly kind: 'done' }
  | { readonly kind: 'complete'; readonly status: number; readonly text: string } // status 0: the file is kept
  | { readonly kind: 'abort'; readonly text: string }

/** Longer steps are rejected from the header: chunks of the reference have 48 KiB. */
export const MAX_STEP_BYTES = 1_048_576

/** Never throws. */
export function decodeFileStep(bytes: Uint8Array): FileStep | 'short' | 'bad_kind' | 'bad_step' {
  if (bytes.length < HEAD_BYTES) return 'short'
  const transfer = bytes.subarray(1, HEAD_BYTES)
  const body = bytes.subarray(HEAD_BYTES)
  const kind = KINDS[bytes[0]!]
  if (kind === undefined) return 'bad_kind'
  const step = decodeBody(kind, body)
  return typeof step === 'string' ? step : { transfer, ...step }
}

export function encodeFileStep({ transfer, ...step }: FileStep): Uint8Array {
  const body = encodeBody(step)
  const out = new Uint8Array(HEAD_BYTES + body.length)
  out[0] = KINDS.indexOf(step.kind)
  out.set(transfer, 1)
  out.set(body, HEAD_BYTES)
  return out
}

function decodeBody(kind: FileStep['kind'], body: Uint8Array): FileStepBody | 'bad_step' {
  switch (kind) {
    case 'init': {
      if (body.length < INIT_BYTES) return 'bad_step'
      const size = readSize(body, 0)
      const name = fromStrictUtf8(body.subarray(INIT_BYTES))
      if (size === undefined || name === undefined || body.length !== INIT_BYTES + readU16(body, INIT_BYTES - 2))
        return 'bad_step'
      return { kind, size, sha256: body.subarray(8, 8 + SHA256_BYTES), chunkBytes: readU32(body, 40), name }
    }
    case 'init_ack':
    case 'ack': {
      const offset = body.length === 8 ? readSize(body, 0) : undefined
      return offset === undefined ? 'bad_step' : { kind, offset }
    }
    case 'chunk': {
      const offset = body.length >= 8 ? readSize(body, 0) : undefined
      return offset === undefined ? 'bad_step' : { kind, offset, data: body.subarray(8) }
    }
    case 'done':
      return { kind }
    case 'complete':
      return body.length === 0 ? 'bad_step' : { kind, status: body[0]!, text: fromUtf8(body.subarray(1)) }
    case 'abort':
      return { kind, text: fromUtf8(body) }
  }
}

function encodeBody(step: FileStepBody): Uint8Array {
  switch (step.kind) {
    case 'init': {
      const name = utf8(step.name)
      const out = new Uint8Array(INIT_BYTES + name.length)
      writeSize(out, 0, step.size)
      out.set(step.sha256, 8)
      writeU32(out, 40, step.chunkBytes)
      writeU16(out, 44, name.length)
      out.set(name, INIT_BYTES)
      return out
    }
    case 'init_ack':
    case 'ack':
      return sizeBytes(step.offset)
    case 'chunk': {
      const out = new Uint8Array(8 + step.data.length)
      writeSize(out, 0, step.offset)
      out.set(step.data, 8)
      return out
    }
    case 'done':
      return new Uint8Array(0)
    case 'complete':
      return Uint8Array.of(step.status, ...utf8(step.text))
    case 'abort':
      return utf8(step.text)
  }
}

function sizeBytes(value: number): Uint8Array {
  const out = new Uint8Array(8)
  writeSize(out, 0, value)
  return out
}

/** Undefined beyond what a number holds exactly. */
function readSize(bytes: Uint8Array, at: number): number | undefined {
  const value = readU32(bytes, at) * 0x1_0000_0000 + readU32(bytes, at + 4)
  return Number.isSafeInteger(value) ? value : undefined
}

function writeSize(bytes: Uint8Array, at: number, value: number): void {
  writeU32(bytes, at, Math.floor(value / 0x1_0000_0000))
  writeU32(bytes, at + 4, value % 0x1_0000_0000)
}

const KINDS: readonly (FileStep['kind'] | undefined)[] = [
  undefined,
  'init',
  'chunk',
  'ack',
  'done',
  'init_ack',
  'complete',
  'abort',
]
const HEAD_BYTES = 1 + TRANSFER_BYTES
const INIT_BYTES = 8 + SHA256_BYTES + 4 + 2
