/** Events of the event stream, port 1002, big-endian: topicLength[2] topic payloadLength[4] payload (services.md §7, today.md 2.7). */
import { fromStrictUtf8, readU16, readU32, utf8, writeU16, writeU32 } from '../base/bytes.ts'

export interface StreamEvent {
  readonly topic: string
  readonly payload: Uint8Array
}

export const MAX_TOPIC_BYTES = 1_024
export const MAX_EVENT_BYTES = 16_777_216 // of a payload
/** As the topic of a subscription: all topics. */
export const EVERY_TOPIC = '*'

/** @throws RangeError for a topic or payload that is too long. */
export function encodeEvent(topic: string, payload: Uint8Array): Uint8Array {
  const name = utf8(topic)
  if (name.length > MAX_TOPIC_BYTES || payload.length > MAX_EVENT_BYTES) throw new RangeError('an event is too long')
  const out = new Uint8Array(2 + name.length + 4 + payload.length)
  writeU16(out, 0, name.length)
  out.set(name, 2)
  writeU32(out, 2 + name.length, payload.length)
  out.set(payload, 2 + name.length + 4)
  return out
}

/** Takes a stream of bytes apart; never throws. */
export class EventReader {
  readonly #chunks: Uint8Array[] = []
  #bytes = 0
  #wanted = 2

  /** Bytes that wait for the rest of their event. */
  get pending(): number {
    return this.#bytes
  }

  /** Bytes that the event needs which has begun, as far as is known. */
  get wanted(): number {
    return this.#wanted
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
  }

  /** Undefined: more bytes are needed. After a fault the stream has no meaning any more. */
  next(): StreamEvent | 'too_long' | 'bad_topic' | undefined {
    while (this.#bytes >= this.#wanted) {
      const bytes = this.#joined()
      const topicBytes = readU16(bytes, 0)
      if (topicBytes > MAX_TOPIC_BYTES) return 'too_long'
      const head = 2 + topicBytes + 4
      if (bytes.length < head) {
        this.#wanted = head
        continue
      }
      const payloadBytes = readU32(bytes, head - 4)
      if (payloadBytes > MAX_EVENT_BYTES) return 'too_long'
      const end = head + payloadBytes
      if (bytes.length < end) {
        this.#wanted = end
        continue
      }
      const topic = fromStrictUtf8(bytes.subarray(2, 2 + topicBytes))
      if (topic === undefined) return 'bad_topic'
      this.#chunks[0] = bytes.subarray(end)
      this.#bytes = bytes.length - end
      this.#wanted = 2
      return { topic, payload: bytes.slice(head, end) }
    }
    return undefined
  }

  /** Joined when an event is complete, or its length is known: not once for each chunk. */
  #joined(): Uint8Array {
    if (this.#chunks.length === 1) return this.#chunks[0]!
    const joined = new Uint8Array(this.#bytes)
    let at = 0
    for (const chunk of this.#chunks) {
      joined.set(chunk, at)
      at += chunk.length
    }
    this.#chunks.splice(0, this.#chunks.length, joined)
    return joined
  }
}
