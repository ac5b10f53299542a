/** A connection to a broker: one subscription, and any number of publications. */
import { isUtf8 } from 'node:buffer'
import type { Duplex } from 'node:stream'
import { EventReader, encodeEvent, type StreamEvent } from '../../wire/event-frame.ts'
import { writeAll } from './event-service.ts'

export class EventLink {
  readonly #stream: Duplex

  /** @param topic to subscribe to; to publish alone, the topic of what is published, as in the reference. */
  constructor(stream: Duplex, topic: string) {
    this.#stream = stream
    stream.on('error', () => {}) // the reads report it
    stream.write(encodeEvent(topic, new Uint8Array(0)))
  }

  /** Resolves when the connection takes more. @returns false if it has ended. */
  async publish(topic: string, payload: Uint8Array): Promise<boolean> {
    return await writeAll(this.#stream, encodeEvent(topic, payload))
  }

  /** Until the broker ends the connection. @throws Error if it breaks. */
  async *events(): AsyncGenerator<StreamEvent, void> {
    const reader = new EventReader()
    for await (const chunk of this.#stream as AsyncIterable<Uint8Array>) {
      reader.push(chunk)
      for (let event = reader.next(); event !== undefined; event = reader.next()) {
        if (typeof event === 'string') throw new Error('the broker sent something else than an event')
        yield event
      }
    }
  }

  /** What was published is delivered first. Resolves when the broker has it, or after a while. */
  async end(): Promise<void> {
    const stream = this.#stream
    stream.resume()
    stream.end()
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, END_MS)
      stream.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
    })
    stream.destroy()
  }

  /** At once. */
  destroy(): void {
    this.#stream.destroy()
  }
}

/** An event as JSON: its payload as text, or as base64 if it is none. */
export function eventRecord({ topic, payload }: StreamEvent): object {
  const bytes = Buffer.from(payload)
  const content = isUtf8(bytes) ? { data: bytes.toString() } : { base64: bytes.toString('base64') }
  return { topic, ...content, bytes: bytes.length }
}

const END_MS = 2_000
