/** Events as programs use them: of our own broker and of those of peers. */
import { PilotError } from '../../base/errors.ts'
import { EVENT_PORT } from '../../base/overlay-ports.ts'
import type { Overlay } from '../../runtime/overlay.ts'
import { EVERY_TOPIC, MAX_EVENT_BYTES, MAX_TOPIC_BYTES, type StreamEvent } from '../../wire/event-frame.ts'
import { utf8 } from '../../base/bytes.ts'
import { EventLink } from './event-link.ts'
import type { EventService } from './event-service.ts'
import { localPair } from './local-pair.ts'

export interface EventControl {
  /**
   * @param peer whose broker; null: our own. Nothing is acknowledged: without a subscriber it is lost.
   * @throws PilotError: like `dial`; USAGE for a topic or payload that is too long, or without a broker of our own.
   */
  publish(peer: string | null, topic: string, payload: Uint8Array): Promise<void>
  /**
   * Events of a topic, `*` for all, until the broker ends the connection or the loop is left.
   * @param signal ends it.
   * @throws PilotError: like `publish`, at the first event.
   */
  subscribe(peer: string | null, topic: string, signal?: AbortSignal): AsyncGenerator<StreamEvent, void>
}

export class EventDesk implements EventControl {
  readonly #node: Pick<Overlay, 'dial'>
  readonly #service: EventService | undefined

  constructor(node: Pick<Overlay, 'dial'>, service: EventService | undefined) {
    this.#node = node
    this.#service = service
  }

  async publish(peer: string | null, topic: string, payload: Uint8Array): Promise<void> {
    checkEvent(topic, payload)
    if (peer === null) return this.#own.publish({ topic, payload })
    const link = new EventLink(await this.#node.dial(`${peer}:${EVENT_PORT}`), topic)
    await link.publish(topic, payload)
    await link.end()
  }

  async *subscribe(peer: string | null, topic: string, signal?: AbortSignal): AsyncGenerator<StreamEvent, void> {
    checkEvent(topic)
    const link = new EventLink(await this.#open(peer), topic)
    const abort = (): void => link.destroy()
    signal?.addEventListener('abort', abort)
    try {
      if (signal?.aborted !== true) yield* link.events()
    } catch (error) {
      if (signal?.aborted !== true) throw error
    } finally {
      signal?.removeEventListener('abort', abort)
      link.destroy()
    }
  }

  async #open(peer: string | null): Promise<ConstructorParameters<typeof EventLink>[0]> {
    if (peer !== null) return await this.#node.dial(`${peer}:${EVENT_PORT}`)
    const [near, far] = localPair()
    this.#own.attend(far, 'this process').catch(() => {}) // it ends with the subscription
    return near
  }

  get #own(): EventService {
    if (this.#service !== undefined) return this.#service
    const hint = 'Start the gateway with `--serve events`, or with `serve: { events: … }` in its file.'
    throw new PilotError('USAGE', 'this node has no broker of events', {}, undefined, hint)
  }
}

/** @throws PilotError USAGE. */
export function checkEvent(topic: string, payload?: Uint8Array): void {
  if (utf8(topic).length > MAX_TOPIC_BYTES)
    throw new PilotError('USAGE', `a topic has at most ${MAX_TOPIC_BYTES} bytes`, { topic })
  if ((payload?.length ?? 0) > MAX_EVENT_BYTES)
    throw new PilotError('USAGE', `an event has at most ${MAX_EVENT_BYTES} bytes`, { bytes: payload?.length })
  if (payload !== undefined && topic === EVERY_TOPIC)
    throw new PilotError('USAGE', 'an event has a topic of its own: "*" is for subscriptions', { topic })
}
