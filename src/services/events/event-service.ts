/**
 * Port 1002: the broker of `proto/events/broker.ts` on streams. A subscriber that does not read is left with its queue; no
 * other waits for it.
 */
import type { Duplex } from 'node:stream'
import { EVENT_PORT } from '../../base/overlay-ports.ts'
import type { Logger } from '../../base/logger.ts'
import { Broker, type BrokerRules, type Subscriber } from '../../proto/events/broker.ts'
import type { Incoming, Listener, Overlay } from '../../runtime/overlay.ts'
import { EventReader, encodeEvent, type StreamEvent } from '../../wire/event-frame.ts'
import { Reserve } from '../reserve.ts'
import { Shares } from '../shares.ts'

export class EventService {
  readonly broker: Broker
  readonly #log: Logger
  readonly #shares = new Shares(MAX_EVENT_STREAMS, MAX_EVENT_STREAMS_PER_PEER)
  /** For events that have begun and are not complete. */
  readonly #reserve = new Reserve(MAX_PARTIAL_BYTES)
  readonly #pumps = new Map<Subscriber, () => void>()
  readonly #frames = new WeakMap<StreamEvent, Uint8Array>()

  constructor(rules: BrokerRules, log: Logger) {
    this.broker = new Broker(rules)
    this.#log = log
  }

  /** @param admits whether this peer may publish and subscribe. */
  async serve(node: Pick<Overlay, 'listen'>, admits: (incoming: Incoming) => Promise<boolean>): Promise<Listener> {
    const take = async (incoming: Incoming): Promise<void> => {
      if (!(await admits(incoming)) || !this.#shares.take(incoming.peer)) return incoming.refuse()
      try {
        await this.attend(incoming.accept(), `node ${incoming.peer}`)
      } finally {
        this.#shares.release(incoming.peer)
      }
    }
    return await node.listen(EVENT_PORT, (incoming) => {
      take(incoming).catch((error: unknown) =>
        this.#log.debug({ nodeId: incoming.peer, reason: String(error) }, 'an event stream ended early'),
      )
    })
  }

  /** One connection, until it ends. @param source whose rate it counts towards. */
  async attend(stream: Duplex, source: string): Promise<void> {
    stream.on('error', () => {}) // the reads report it; later ones concern no one
    const subscriber = this.broker.open(source)
    this.#pumps.set(subscriber, this.#pumpOf(subscriber, stream))
    try {
      await this.#read(stream, subscriber)
    } finally {
      this.#pumps.delete(subscriber)
      this.broker.close(subscriber)
      if (subscriber.dropped > 0)
        this.#log.info(
          { source, topic: subscriber.topic, dropped: subscriber.dropped },
          'a slow subscriber lost events',
        )
      stream.end()
      setTimeout(() => stream.destroy(), LINGER_MS).unref()
    }
  }

  /** From this process. */
  publish(event: StreamEvent): void {
    this.broker.publish(event)
    this.#wake()
  }

  async #read(stream: Duplex, subscriber: Subscriber): Promise<void> {
    const reader = new EventReader()
    let release: (() => void) | undefined
    try {
      for await (const chunk of stream as AsyncIterable<Uint8Array>) {
        reader.push(chunk)
        for (let event = reader.next(); event !== undefined; event = reader.next()) {
          if (typeof event === 'string') return
          if (this.broker.handle(performance.now(), subscriber, event) === 'refused' && subscriber.topic === undefined)
            return // a subscription that is not allowed; a publication that is not is only ignored
        }
        this.#wake()
        release?.()
        if (reader.wanted <= SMALL_BYTES) continue
        release = this.#reserve.take(subscriber.source, reader.wanted)
        if (release === undefined) return
      }
    } finally {
      release?.()
    }
  }

  #wake(): void {
    for (const subscriber of this.broker.takeWoken()) this.#pumps.get(subscriber)?.()
  }

  /** Encoded once, however many subscribers get it. */
  #frameOf(event: StreamEvent): Uint8Array {
    const frame = this.#frames.get(event) ?? encodeEvent(event.topic, event.payload)
    this.#frames.set(event, frame)
    return frame
  }

  /** Writes what waits, as fast as the subscriber takes it. */
  #pumpOf(subscriber: Subscriber, stream: Duplex): () => void {
    let isBusy = false
    const pump = async (): Promise<void> => {
      isBusy = true
      for (let event = this.broker.next(subscriber); event !== undefined; event = this.broker.next(subscriber))
        if (!(await writeAll(stream, this.#frameOf(event)))) break
      isBusy = false
    }
    return () => {
      if (!isBusy) void pump()
    }
  }
}

/** In pieces, so that a subscriber that does not read holds little. @returns false if the stream has ended. */
export async function writeAll(stream: Duplex, bytes: Uint8Array): Promise<boolean> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    if (!stream.writable) return false
    if (stream.write(bytes.subarray(at, at + PIECE_BYTES))) continue
    await new Promise<void>((resolve) => {
      const done = (): void => {
        stream.off('drain', done).off('close', done).off('error', done)
        resolve()
      }
      stream.on('drain', done).on('close', done).on('error', done)
    })
  }
  return stream.writable
}

/** Further ones are refused. */
const MAX_EVENT_STREAMS = 4_096
const MAX_EVENT_STREAMS_PER_PEER = 2_048
/** Of events that are not complete, of all connections; one node has half of it. */
const MAX_PARTIAL_BYTES = 67_108_864
/** An event that needs no room of that: its length is known before its bytes come. */
const SMALL_BYTES = 16_384
const PIECE_BYTES = 65_536
/** How long the last events may take after the other side has ended, ms. */
const LINGER_MS = 10_000
