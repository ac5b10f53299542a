/**
 * Our conversation with the registry: requests in order, each with its answer, its timeout, or the loss of the
 * connection. What a request was for is kept as its `purpose`, given back with the reply.
 */
import { Ring } from '../../base/ring.ts'
import type { Instant } from '../../base/types.ts'
import { parseRefusal } from '../../wire/registry-messages.ts'
import type { Machine } from '../machine.ts'
import { MAX_REQUESTS, REQUEST_TIMEOUT_MS } from './constants.ts'

/** `refused`: the registry says no, with its text. `unreachable`: nobody answered. */
export type RegistryResult<Purpose> =
  | { readonly kind: 'reply'; readonly purpose: Purpose; readonly reply: object }
  | { readonly kind: 'refused'; readonly purpose: Purpose; readonly text: string }
  | { readonly kind: 'unreachable'; readonly purpose: Purpose }

interface Asked<Purpose> {
  readonly message: object
  readonly purpose: Purpose
  readonly deadline: Instant
}

export class RegistryClient<Purpose> implements Machine {
  connected = false
  readonly #waiting = new Ring<Asked<Purpose>>() // not sent yet
  readonly #asked = new Ring<Asked<Purpose>>() // sent: answers come in this order
  readonly #results = new Ring<RegistryResult<Purpose>>()
  /** The connection is of no use any more: a request on it was not answered in time. */
  stale = false

  request(now: Instant, message: object, purpose: Purpose): void {
    if (this.#waiting.size + this.#asked.size >= MAX_REQUESTS || !this.connected) {
      this.#results.push({ kind: 'unreachable', purpose })
      return
    }
    this.#waiting.push({ message, purpose, deadline: now + REQUEST_TIMEOUT_MS })
  }

  handleConnected(): void {
    this.connected = true
    this.stale = false
  }

  handleDisconnected(): void {
    this.connected = false
    this.stale = false
    this.#failAll()
  }

  /** The next answer of the connection. An answer that nobody asked for is ignored. */
  handleReply(reply: object): void {
    const asked = this.#asked.shift()
    if (asked === undefined) return
    const text = parseRefusal(reply)
    this.#results.push(
      text === undefined
        ? { kind: 'reply', purpose: asked.purpose, reply }
        : { kind: 'refused', purpose: asked.purpose, text },
    )
  }

  /** The next message to put on the connection. */
  pollRequest(): object | undefined {
    const next = this.connected ? this.#waiting.shift() : undefined
    if (next !== undefined) this.#asked.push(next)
    return next?.message
  }

  pollResult(): RegistryResult<Purpose> | undefined {
    return this.#results.shift()
  }

  handleTimeout(now: Instant): void {
    if (now < this.nextTimeout()) return
    this.stale = true // answers come in order: behind an unanswered request nothing else will be answered
    this.#failAll()
  }

  nextTimeout(): Instant {
    return Math.min(this.#asked.at(0)?.deadline ?? Infinity, this.#waiting.at(0)?.deadline ?? Infinity)
  }

  #failAll(): void {
    for (const queue of [this.#asked, this.#waiting]) {
      for (let asked = queue.shift(); asked !== undefined; asked = queue.shift()) {
        this.#results.push({ kind: 'unreachable', purpose: asked.purpose })
      }
    }
  }
}
