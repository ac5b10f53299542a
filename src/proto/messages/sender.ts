/**
 * The sending end of a connection to port 1001 (services.md §6, today.md 2.6): one message or file, until its receipt. A
 * file goes in steps from where the receiver has it, or, to a peer that knows no steps, as one frame.
 */
import { fromUtf8 } from '../../base/bytes.ts'
import {
  type ContentType,
  DATA_HEAD_BYTES,
  decodeDataHead,
  encodeDataFrame,
  encodeDataHead,
  encodeFileName,
  encodeTag,
  MAX_DATA_BYTES,
  type Tag,
} from '../../wire/data-frame.ts'

import {
  decodeFileStep,
  encodeFileStep,
  type FileStep,
  type FileStepBody,
  TRANSFER_BYTES,
} from '../../wire/file-step.ts'
import { Input } from './input.ts'

/** What is sent. Its bytes are read as they are needed. */
export interface Parcel extends Tag {
  readonly type: ContentType
  readonly name: string // of a file
  readonly bytes: number
  readonly sha256: Uint8Array // of a file
}

export type SenderAsk =
  | { readonly do: 'more'; readonly waitMs: number } // → bytes; none: the stream has ended, or late
  | { readonly do: 'write'; readonly bytes: Uint8Array } // resumed when more may be written
  | { readonly do: 'read'; readonly offset: number; readonly length: number } // of the content → bytes
  | { readonly do: 'redial' } // another connection instead of this one
  | { readonly do: 'progress'; readonly offset: number } // the receiver has everything before it

export interface SenderOutcome {
  readonly bytes?: Uint8Array
  readonly late?: boolean // nothing came in time
}

/** `isFinal`: another attempt would end the same. */
export type Sent =
  | { readonly state: 'delivered'; readonly isDuplicate: boolean }
  | { readonly state: 'failed'; readonly why: string; readonly isFinal: boolean }

export type Sending = Generator<SenderAsk, Sent, SenderOutcome>

export function* send(parcel: Parcel): Sending {
  if (parcel.bytes > MAX_DATA_BYTES - SPARE_BYTES && parcel.type !== 'FILE')
    return { state: 'failed', why: 'a message has at most 64 MiB', isFinal: true }
  return parcel.type === 'FILE' ? yield* new FileSender(parcel).send() : yield* sendMessage(parcel)
}

/** Tagged with its id; untagged, on the same connection, to a peer that does not know tags. */
function* sendMessage(parcel: Parcel): Sending {
  const input = new Input()
  yield* writeFrame('TAGGED', encodeTag(parcel, parcel.type), parcel)
  let told = yield* answerText(input, ANSWER_MS)
  if (told !== undefined && /^(ACK|ERR) UNKNOWN\(10\)/.test(told)) {
    yield* writeFrame(parcel.type, new Uint8Array(0), parcel)
    told = yield* answerText(input, ANSWER_MS)
  }
  return judge(told)
}

/** @param prefix of the payload; the content follows. */
function* writeFrame(
  type: 'TAGGED' | ContentType,
  prefix: Uint8Array,
  { bytes }: Parcel,
): Generator<SenderAsk, void, SenderOutcome> {
  const first = Math.min(bytes, PIECE_BYTES)
  const content = first === 0 ? new Uint8Array(0) : (yield { do: 'read', offset: 0, length: first }).bytes!
  const head = encodeDataHead(type, prefix.length + bytes)
  const start = new Uint8Array(head.length + prefix.length + content.length)
  start.set(head)
  start.set(prefix, head.length)
  start.set(content, head.length + prefix.length)
  yield { do: 'write', bytes: start } // in one write: a header alone would wait for its payload
  for (let offset = first; offset < bytes; offset += PIECE_BYTES) {
    const piece = yield { do: 'read', offset, length: Math.min(PIECE_BYTES, bytes - offset) }
    yield { do: 'write', bytes: piece.bytes! }
    yield { do: 'progress', offset }
  }
}

class FileSender {
  readonly #parcel: Parcel
  readonly #transfer: Uint8Array
  #input = new Input()

  constructor(parcel: Parcel) {
    this.#parcel = parcel
    this.#transfer = parcel.sha256.subarray(0, TRANSFER_BYTES)
  }

  *send(): Sending {
    const { bytes: size, sha256, name } = this.#parcel
    yield this.#step({ kind: 'init', size, sha256, chunkBytes: CHUNK_BYTES, name })
    const first = yield* this.#answer(INIT_ANSWER_MS)
    if (first === 'late' || first === 'unknown') return yield* this.#asOneFrame()
    if (typeof first !== 'object') return failed(ENDS[first])
    if (first.kind === 'complete') return completed(first)
    if (first.kind !== 'init_ack' || first.offset > size) return this.#unexpected(first)
    return yield* this.#from(first.offset)
  }

  *#from(start: number): Sending {
    const { bytes: size } = this.#parcel
    let [sent, acknowledged] = [start, start]
    yield { do: 'progress', offset: start }
    while (acknowledged < size) {
      while (sent < size && sent - acknowledged < WINDOW_BYTES) {
        const length = Math.min(CHUNK_BYTES, size - sent)
        const { bytes } = yield { do: 'read', offset: sent, length }
        yield this.#step({ kind: 'chunk', offset: sent, data: bytes! })
        sent += length
      }
      const step = yield* this.#answer(ANSWER_MS)
      if (typeof step !== 'object') return failed(ENDS[step])
      if (step.kind !== 'ack' || step.offset > sent) return this.#unexpected(step)
      acknowledged = Math.max(acknowledged, step.offset)
      yield { do: 'progress', offset: acknowledged }
    }
    yield this.#step({ kind: 'done' })
    for (;;) {
      const step = yield* this.#answer(COMPLETE_MS)
      if (typeof step !== 'object') return failed(ENDS[step])
      if (step.kind === 'ack') continue
      return step.kind === 'complete' ? completed(step) : this.#unexpected(step)
    }
  }

  /** On a new connection: this one may have a step in it that the peer waits to end. */
  *#asOneFrame(): Sending {
    const name = encodeFileName(this.#parcel.name)
    if (this.#parcel.bytes + name.length > MAX_DATA_BYTES)
      return { state: 'failed', why: 'this peer takes files of at most 64 MiB', isFinal: true }
    yield { do: 'redial' }
    this.#input = new Input()
    yield* writeFrame('FILE', name, this.#parcel)
    return judge(yield* answerText(this.#input, COMPLETE_MS))
  }

  #step(body: FileStepBody): SenderAsk {
    const bytes = encodeDataFrame('STREAM', encodeFileStep({ transfer: this.#transfer, ...body }))
    return { do: 'write', bytes }
  }

  #unexpected(step: FileStep): Sent {
    return failed(step.kind === 'abort' ? `the peer refused it: ${step.text}` : 'the peer sent an unexpected step')
  }

  /** 'unknown': the peer does not know this type of frame. */
  *#answer(waitMs: number): Generator<SenderAsk, FileStep | 'late' | 'ended' | 'unknown' | 'bad', SenderOutcome> {
    for (;;) {
      const frame = yield* nextFrame(this.#input, waitMs)
      if (typeof frame === 'string') return frame
      if (frame.type === 'TEXT') return /^(ACK|ERR) UNKNOWN\(7\)/.test(fromUtf8(frame.payload)) ? 'unknown' : 'bad'
      const step = frame.type === 'STREAM' ? decodeFileStep(frame.payload) : 'bad_kind'
      return typeof step === 'string' ? 'bad' : step
    }
  }
}

function completed({ status, text }: Extract<FileStep, { kind: 'complete' }>): Sent {
  return status === 0 ? { state: 'delivered', isDuplicate: false } : failed(`the peer refused it: ${text}`)
}

/** The text of the next answer; undefined: none came. */
function* answerText(input: Input, waitMs: number): Generator<SenderAsk, string | undefined, SenderOutcome> {
  const frame = yield* nextFrame(input, waitMs)
  return typeof frame === 'string' || frame.type !== 'TEXT' ? undefined : fromUtf8(frame.payload)
}

function* nextFrame(
  input: Input,
  waitMs: number,
): Generator<SenderAsk, { type: string; payload: Uint8Array } | 'late' | 'ended' | 'bad', SenderOutcome> {
  const take = function* (count: number): Generator<SenderAsk, Uint8Array | 'late' | 'ended', SenderOutcome> {
    for (;;) {
      const bytes = input.take(count)
      if (bytes !== undefined) return bytes
      const more = yield { do: 'more', waitMs }
      if (more.bytes === undefined) return more.late === true ? 'late' : 'ended'
      input.push(more.bytes)
    }
  }
  const bytes = yield* take(DATA_HEAD_BYTES)
  if (typeof bytes === 'string') return bytes
  const head = decodeDataHead(bytes)
  if (head === 'too_long' || head.length > MAX_ANSWER_BYTES) return 'bad'
  const payload = yield* take(head.length)
  return typeof payload === 'string' ? payload : { type: head.type, payload }
}

function judge(told: string | undefined): Sent {
  if (told === undefined) return failed('the peer ended the connection without a receipt')
  if (told.startsWith('ACK ')) return { state: 'delivered', isDuplicate: told.endsWith(' (duplicate)') }
  return failed(`the peer refused it: ${told.replace(/^ERR \S+ (save failed: )?/, '')}`)
}

function failed(why: string): Sent {
  return { state: 'failed', why, isFinal: false }
}

const ENDS = {
  late: 'the peer did not answer in time',
  ended: 'the peer ended the connection',
  unknown: 'the peer does not know file streams',
  bad: 'the peer sent something else than an answer',
} as const

/** As in the reference (today.md 2.6). */
const CHUNK_BYTES = 49_152
/** Sent and not acknowledged: so much is sent again after a kill. */
export const WINDOW_BYTES = 16 * CHUNK_BYTES
/** Then the peer does not know file streams. */
const INIT_ANSWER_MS = 5_000
const ANSWER_MS = 60_000
/** The receiver reads the whole file again to compare its digest. */
const COMPLETE_MS = 300_000
/** Read from disk and written at a time. */
const PIECE_BYTES = 65_536
/** A tag and its length. */
const SPARE_BYTES = 2_048
/** No answer is longer. */
const MAX_ANSWER_BYTES = 65_536
