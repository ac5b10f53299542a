/**
 * A broker of events (services.md §7, today.md 2.7): the first event of a connection names its topic, later ones are
 * published. Each subscriber has a queue of its own, so that a slow one holds up no one; what does not fit is dropped,
 * oldest first, and counted.
 */
import { SourceBuckets } from '../../base/source-buckets.ts'
import type { Instant } from '../../base/types.ts'
import { EVERY_TOPIC, type StreamEvent } from '../../wire/event-frame.ts'

export interface Subscriber {
  readonly source: string
  topic: string | undefined // undefined: it has not said yet
  readonly queue: StreamEvent[]
  queuedBytes: number
  dropped: number
}

/** 'limited': it published too much. 'refused': it may not use this topic. */
export type Handled = 'subscribed' | 'published' | 'limited' | 'refused'

export interface BrokerRules {
  /** Topics that may be used: names, or beginnings followed by `*`; undefined: all. */
  readonly topics?: readonly string[] | undefined
}

export class Broker {
  readonly counters = { events_published: 0, events_delivered: 0, events_dropped: 0, events_limited: 0 }
  readonly #rules: BrokerRules
  readonly #byTopic = new Map<string, Set<Subscriber>>()
  readonly #budgets = new SourceBuckets<string>(EVENTS_PER_SECOND, EVENTS_AT_ONCE)
  #woken = new Set<Subscriber>()

  constructor(rules: BrokerRules) {
    this.#rules = rules
  }

  /** @param source whose rate it counts towards: a node. */
  open(source: string): Subscriber {
    return { source, topic: undefined, queue: [], queuedBytes: 0, dropped: 0 }
  }

  /** An event of a connection. */
  handle(now: Instant, from: Subscriber, event: StreamEvent): Handled {
    if (from.topic === undefined) return this.#subscribe(from, event.topic)
    if (!this.#budgets.take(now, from.source)) {
      this.counters.events_limited += 1
      return 'limited'
    }
    return this.publish(event, from)
  }

  /** @param from does not get its own. */
  publish(event: StreamEvent, from?: Subscriber): Handled {
    if (!isAllowed(event.topic, this.#rules.topics)) return 'refused'
    this.counters.events_published += 1
    for (const topic of new Set([event.topic, EVERY_TOPIC]))
      for (const subscriber of this.#byTopic.get(topic) ?? []) if (subscriber !== from) this.#enqueue(subscriber, event)
    return 'published'
  }

  /** The oldest that waits for a subscriber; undefined: nothing does. */
  next(subscriber: Subscriber): StreamEvent | undefined {
    const event = subscriber.queue.shift()
    if (event === undefined) return undefined
    subscriber.queuedBytes -= sizeOf(event)
    this.counters.events_delivered += 1
    return event
  }

  /** Those whose queue has got its first event since the last call. */
  takeWoken(): Iterable<Subscriber> {
    const woken = this.#woken
    this.#woken = new Set()
    return woken
  }

  close(subscriber: Subscriber): void {
    const { topic } = subscriber
    this.#woken.delete(subscriber)
    subscriber.queue.length = 0
    if (topic === undefined) return
    const others = this.#byTopic.get(topic)
    others?.delete(subscriber)
    if (others?.size === 0) this.#byTopic.delete(topic)
  }

  #subscribe(from: Subscriber, topic: string): Handled {
    if (topic !== EVERY_TOPIC && !isAllowed(topic, this.#rules.topics)) return 'refused'
    from.topic = topic
    const others = this.#byTopic.get(topic) ?? new Set()
    this.#byTopic.set(topic, others.add(from))
    return 'subscribed'
  }

  #enqueue(subscriber: Subscriber, event: StreamEvent): void {
    const { queue } = subscriber
    const size = sizeOf(event)
    while (queue.length > 0 && (queue.length >= MAX_QUEUED || subscriber.queuedBytes + size > MAX_QUEUED_BYTES)) {
      subscriber.queuedBytes -= sizeOf(queue.shift()!)
      subscriber.dropped += 1
      this.counters.events_dropped += 1
    }
    queue.push(event)
    subscriber.queuedBytes += size
    if (queue.length === 1) this.#woken.add(subscriber)
  }
}

/** Whether a topic is one of these: a name, or a beginning followed by `*`. */
export function isAllowed(topic: string, patterns: readonly string[] | undefined): boolean {
  return (
    patterns === undefined ||
    patterns.some((pattern) => (pattern.endsWith('*') ? topic.startsWith(pattern.slice(0, -1)) : topic === pattern))
  )
}

function sizeOf({ topic, payload }: StreamEvent): number {
  return topic.length + payload.length
}

/** Of one node, as in the reference. */
export const EVENTS_PER_SECOND = 100
export const EVENTS_AT_ONCE = 200
/** That wait for one subscriber; a single larger event waits alone. */
export const MAX_QUEUED = 1_000
export const MAX_QUEUED_BYTES = 1_048_576
