/**
 * The receiving end of a connection to port 1001 (services.md §6, today.md 2.6): takes frames apart as their bytes arrive,
 * has them kept, and answers each. It holds at most one chunk, never a whole message.
 */
import { fromStrictUtf8, readU16, readU32, utf8 } from '../../base/bytes.ts'
import {
  type ContentType,
  DATA_HEAD_BYTES,
  type DataType,
  dataType,
  decodeDataHead,
  decodeTag,
  encodeDataFrame,
  MAX_TAG_BYTES,
  type Tag,
  TRACE_HEAD_BYTES,
} from '../../wire/data-frame.ts'
import {
  decodeFileStep,
  encodeFileStep,
  type FileStep,
  type FileStepBody,
  MAX_STEP_BYTES,
} from '../../wire/file-step.ts'
import { fileNameFault } from './file-name.ts'
import { Input } from './input.ts'

/** A message or a file that begins to arrive. */
export interface Arriving extends Tag {
  readonly type: ContentType
  readonly name: string // of a file, judged by `fileNameFault`
  readonly bytes: number
}

export type FileInit = Extract<FileStep, { kind: 'init' }>

/** What the machine needs done; it is resumed with an `Outcome`. */
export type ReceiverAsk =
  | { readonly do: 'more' } // → bytes; none at the end of the stream
  | { readonly do: 'write'; readonly bytes: Uint8Array }
  | { readonly do: 'begin'; readonly arriving: Arriving } // → refusal, duplicate
  | { readonly do: 'append'; readonly bytes: Uint8Array } // → refusal
  | { readonly do: 'commit' } // on disk when it is resumed → refusal
  | { readonly do: 'discard' } // what was begun
  | { readonly do: 'claim'; readonly init: FileInit } // → refusal, offset, duplicate
  | { readonly do: 'put'; readonly offset: number; readonly bytes: Uint8Array } // to the file that was claimed → refusal
  | { readonly do: 'finish' } // compares its SHA-256 and keeps it → refusal
  | { readonly do: 'release' } // what was claimed, so that another connection may continue
  | { readonly do: 'clock' } // → ns since 1970

export interface Outcome {
  readonly bytes?: Uint8Array
  readonly refusal?: string // in words for the peer
  readonly duplicate?: boolean
  readonly offset?: number
  readonly ns?: bigint
}

export type Receiving = Generator<ReceiverAsk, ReceiverEnd, Outcome>

/** 'ended': by the peer, between two frames. Anything else is a fault of the peer. */
export type ReceiverEnd = 'ended' | 'cut' | 'too_long' | 'bad_frame' | 'refused'

export function* receive(): Receiving {
  const connection = new Connection()
  for (;;) {
    const end = yield* connection.frame()
    if (end === undefined) continue
    if (connection.claimed !== undefined) yield { do: 'release' }
    return end
  }
}

class Connection {
  readonly #input = new Input()
  claimed: Uint8Array | undefined // the transfer
  /** The file has arrived before: its steps are answered, nothing is written. */
  #isOld = false
  #offset = 0
  #size = 0;

  /** @returns undefined if another frame may follow. */
  *frame(): Generator<ReceiverAsk, ReceiverEnd | undefined, Outcome> {
    const bytes = yield* this.#take(DATA_HEAD_BYTES)
    if (bytes === undefined) return this.#input.bytes === 0 ? 'ended' : 'cut'
    const head = decodeDataHead(bytes)
    if (head === 'too_long') return head
    return yield* this.#handle(head.type, head.length, {}, { mayWrap: true })
  }

  *#handle(
    type: DataType,
    length: number,
    tag: Tag,
    { mayWrap }: { mayWrap: boolean },
  ): Generator<ReceiverAsk, ReceiverEnd | undefined, Outcome> {
    switch (type) {
      case 'TEXT':
      case 'BINARY':
      case 'JSON':
      case 'FILE': {
        const answer = yield* this.#keep(type, length, tag)
        if (answer.text !== undefined) yield write(encodeDataFrame('TEXT', utf8(answer.text)))
        return answer.end
      }
      case 'TAGGED':
        return mayWrap ? yield* this.#tagged(length) : 'bad_frame'
      case 'TRACE':
        return mayWrap ? yield* this.#traced(length, tag) : 'bad_frame'
      case 'STREAM':
        return mayWrap ? yield* this.#step(length) : 'bad_frame'
      default: {
        if (!(yield* this.#skip(length))) return 'cut'
        const number = /\d+/.exec(type)![0]
        const text = `ERR ${type} save failed: unsupported frame type ${number}`
        yield write(encodeDataFrame('TEXT', utf8(text)))
        return undefined
      }
    }
  }

  /** One message or file. @returns the text for the peer, and whether the connection ends. */
  *#keep(
    type: ContentType,
    length: number,
    tag: Tag,
  ): Generator<ReceiverAsk, { readonly text?: string; readonly end?: ReceiverEnd }, Outcome> {
    const file = type === 'FILE' ? yield* this.#fileName(length) : { name: '', bytes: length, read: 0 }
    if (file === undefined) return { end: 'cut' }
    const { name, bytes, read } = file
    const told = `${type} ${bytes} bytes`
    if (type === 'FILE' && name === '')
      // as in the reference: acknowledged, not kept
      return (yield* this.#skip(bytes - read)) ? { text: `ACK ${told}` } : { end: 'cut' }
    const fault = type === 'FILE' ? fileNameFault(name) : undefined
    if (fault !== undefined) return { text: `ERR ${type} save failed: ${fault}`, end: 'refused' }
    const begun = yield { do: 'begin', arriving: { type, name, bytes, ...tag } }
    const { duplicate } = begun
    let { refusal } = begun
    const isBegun = refusal === undefined && duplicate !== true
    let left = bytes
    while (left > 0) {
      const part = this.#input.some(left)
      if (part === undefined) {
        if (yield* this.#more()) continue
        if (isBegun) yield { do: 'discard' }
        return { end: 'cut' }
      }
      left -= part.length
      if (refusal === undefined && isBegun) refusal = (yield { do: 'append', bytes: part }).refusal
    }
    if (isBegun && refusal === undefined) refusal = (yield { do: 'commit' }).refusal
    else if (isBegun) yield { do: 'discard' }
    if (refusal !== undefined) return { text: `ERR ${type} save failed: ${refusal}` }
    return { text: `ACK ${told}${duplicate === true ? ' (duplicate)' : ''}` }
  }

  /**
   * The whole payload is content if the length of a name does not fit (services.md §6).
   * @returns also how much of the content has been read; undefined: the stream has ended.
   */
  *#fileName(
    length: number,
  ): Generator<ReceiverAsk, { name: string; bytes: number; read: number } | undefined, Outcome> {
    if (length < 2) return { name: '', bytes: length, read: 0 }
    const size = yield* this.#take(2)
    if (size === undefined) return undefined
    const nameBytes = readU16(size, 0)
    if (2 + nameBytes > length) return { name: '', bytes: length, read: 2 }
    const name = yield* this.#take(nameBytes)
    if (name === undefined) return undefined
    return { name: fromStrictUtf8(name) ?? '/', bytes: length - 2 - nameBytes, read: 0 } // '/': refused as a name
  }

  *#tagged(length: number): Generator<ReceiverAsk, ReceiverEnd | undefined, Outcome> {
    const size = yield* this.#take(2)
    if (size === undefined) return 'cut'
    const tagBytes = readU16(size, 0)
    if (tagBytes === 0 || tagBytes > MAX_TAG_BYTES || 2 + tagBytes + 4 > length) return 'bad_frame'
    const bytes = yield* this.#take(tagBytes + 4)
    if (bytes === undefined) return 'cut'
    const tag = decodeTag(bytes.subarray(0, tagBytes))
    if (tag === 'bad_tag') return 'bad_frame'
    return yield* this.#handle(dataType(readU32(bytes, tagBytes)), length - 2 - tagBytes - 4, tag, { mayWrap: false })
  }

  /** Answered by the times at which it passed through here. */
  *#traced(length: number, tag: Tag): Generator<ReceiverAsk, ReceiverEnd | undefined, Outcome> {
    if (length < TRACE_HEAD_BYTES) return 'bad_frame'
    const head = yield* this.#take(TRACE_HEAD_BYTES)
    if (head === undefined) return 'cut'
    const inner = dataType(readU32(head, 0))
    if (inner !== 'TEXT' && inner !== 'BINARY' && inner !== 'JSON' && inner !== 'FILE') return 'bad_frame'
    const sentAt = (BigInt(readU32(head, 4)) << 32n) | BigInt(readU32(head, 8))
    const received = (yield { do: 'clock' }).ns
    const { text, end } = yield* this.#keep(inner, length - TRACE_HEAD_BYTES, tag)
    if (text === undefined) return end
    const kept = (yield { do: 'clock' }).ns
    const times = `"sent_at_ns":${sentAt},"received_at_ns":${received},"inbox_written_at_ns":${kept},"ack_sent_at_ns":${kept}`
    yield write(encodeDataFrame('JSON', utf8(`{${times},"inner_ack":${JSON.stringify(text)}}`)))
    return end
  }

  *#step(length: number): Generator<ReceiverAsk, ReceiverEnd | undefined, Outcome> {
    if (length > MAX_STEP_BYTES) return 'too_long'
    const bytes = yield* this.#take(length)
    if (bytes === undefined) return 'cut'
    const step = decodeFileStep(bytes)
    if (typeof step === 'string') return 'bad_frame'
    if (step.kind === 'init') return yield* this.#init(step)
    const isClaimed = this.claimed !== undefined && isSame(this.claimed, step.transfer)
    if (step.kind === 'abort') {
      if (isClaimed) yield* this.#letGo()
      return undefined
    }
    if (!isClaimed) {
      yield answer(step.transfer, { kind: 'abort', text: 'there is no such transfer' })
      return undefined
    }
    if (step.kind === 'chunk') return yield* this.#chunk(step)
    return step.kind === 'done' ? yield* this.#done(step.transfer) : 'bad_frame'
  }

  *#init(step: FileInit): Generator<ReceiverAsk, ReceiverEnd | undefined, Outcome> {
    if (this.claimed !== undefined) yield* this.#letGo() // one after the other
    const { transfer } = step
    const fault =
      fileNameFault(step.name) ??
      (isSame(transfer, step.sha256.subarray(0, transfer.length)) ? undefined : 'the transfer has a wrong id')
    const { refusal = fault, offset = 0, duplicate } = fault === undefined ? yield { do: 'claim', init: step } : {}
    if (refusal !== undefined) {
      yield answer(transfer, { kind: 'complete', status: 1, text: refusal })
      return fault === undefined ? undefined : 'refused'
    }
    this.claimed = transfer
    this.#isOld = duplicate === true
    this.#size = step.size
    this.#offset = duplicate === true ? step.size : offset
    yield answer(transfer, { kind: 'init_ack', offset: this.#offset })
    return undefined
  }

  *#chunk({
    transfer,
    offset,
    data,
  }: Extract<FileStep, { kind: 'chunk' }>): Generator<ReceiverAsk, undefined, Outcome> {
    const isNext = offset <= this.#offset && offset + data.length <= this.#size
    const news = isNext ? data.subarray(Math.min(data.length, this.#offset - offset)) : data
    let refusal = isNext ? undefined : 'this part does not follow the last one'
    if (isNext && news.length > 0 && !this.#isOld)
      refusal = (yield { do: 'put', offset: this.#offset, bytes: news }).refusal
    if (refusal !== undefined) {
      yield answer(transfer, { kind: 'abort', text: refusal })
      return yield* this.#letGo()
    }
    this.#offset += this.#isOld ? 0 : news.length
    yield answer(transfer, { kind: 'ack', offset: this.#offset })
    return undefined
  }

  *#done(transfer: Uint8Array): Generator<ReceiverAsk, undefined, Outcome> {
    const isWhole = this.#offset === this.#size
    const refusal = !isWhole ? 'the file is not whole' : this.#isOld ? undefined : (yield { do: 'finish' }).refusal
    yield answer(transfer, { kind: 'complete', status: refusal === undefined ? 0 : 1, text: refusal ?? 'ok' })
    return yield* this.#letGo()
  }

  *#letGo(): Generator<ReceiverAsk, undefined, Outcome> {
    this.claimed = undefined
    yield { do: 'release' }
    return undefined
  }

  /** @returns undefined if the stream ends before. */
  *#take(count: number): Generator<ReceiverAsk, Uint8Array | undefined, Outcome> {
    for (;;) {
      const bytes = this.#input.take(count)
      if (bytes !== undefined) return bytes
      if (!(yield* this.#more())) return undefined
    }
  }

  *#skip(count: number): Generator<ReceiverAsk, boolean, Outcome> {
    for (let left = count; left > 0;) {
      const part = this.#input.some(left)
      if (part === undefined && !(yield* this.#more())) return false
      left -= part?.length ?? 0
    }
    return true
  }

  /** @returns false at the end of the stream. */
  *#more(): Generator<ReceiverAsk, boolean, Outcome> {
    const { bytes } = yield { do: 'more' }
    if (bytes === undefined) return false
    this.#input.push(bytes)
    return true
  }
}

function write(bytes: Uint8Array): ReceiverAsk {
  return { do: 'write', bytes }
}

function answer(transfer: Uint8Array, body: FileStepBody): ReceiverAsk {
  return write(encodeDataFrame('STREAM', encodeFileStep({ transfer, ...body })))
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}
