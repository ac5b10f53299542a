/**
 * Our conversation with the registry: requests in order, each ending with its answer, a timeout, or the loss of the
 * connection. The `purpose` of a request is returned with its reply.
 */
import { Ring } from '../../base/ring.ts'
import type { Instant } from '../../base/types.ts'
import { isNotice, parseRefusal } from '../../wire/registry-messages.ts'
import type { Machine } from '../machine.ts'
import { MAX_REQUESTS, REQUEST_TIMEOUT_MS } from './constants.ts'
import type { RegistrySession } from './registry-session.ts'

/** `refused`: the registry refused, with its text. `unreachable`: there was no answer. */
export type RegistryResult<Purpose> =
  | { readonly kind: 'reply'; readonly purpose: Purpose; readonly reply: object }
  | { readonly kind: 'refused'; readonly purpose: Purpose; readonly text: string }
  | { readonly kind: 'unreachable'; readonly purpose: Purpose }

interface Asked<Purpose> {
  readonly message: object
  readonly purpose: Purpose | undefined // undefined: of the session itself
  readonly deadline: Instant
}

export class RegistryClient<Purpose> implements Machine {
  connected = false
  readonly #waiting = new Ring<Asked<Purpose>>() // not sent yet
  readonly #asked = new Ring<Asked<Purpose>>() // sent: answers come in this order
  readonly #results = new Ring<RegistryResult<Purpose>>()
  /** The connection is no longer usable: a request was not answered in time, or no session can be established. */
  stale = false
  /** The registry says that something waits in our mailbox. The next poll clears this. */
  hasNotice = false
  readonly #session: RegistrySession | undefined
  #connectedAt: Instant = 0
  #sessionFault: string | undefined

  /** @param session undefined: requests go out as they are. */
  constructor(session?: RegistrySession) {
    this.#session = session
  }

  request(now: Instant, message: object, purpose: Purpose): void {
    if (this.#waiting.size + this.#asked.size >= MAX_REQUESTS || !this.connected) {
      this.#results.push({ kind: 'unreachable', purpose })
      return
    }
    this.#waiting.push({ message, purpose, deadline: now + REQUEST_TIMEOUT_MS })
  }

  /** @param certificate SHA-256 of the certificate that the registry shows; undefined: plain TCP. */
  handleConnected(now: Instant, certificate?: Uint8Array): void {
    this.connected = true
    this.stale = false
    this.hasNotice = false
    this.#connectedAt = now
    this.#session?.handleConnected(certificate)
  }

  handleDisconnected(): void {
    this.connected = false
    this.stale = false
    this.#failAll()
  }

  /** The next answer on the connection. Unsolicited answers are ignored. */
  handleReply(reply: object): void {
    if (isNotice(reply)) {
      this.hasNotice = true
      return
    }
    const asked = this.#asked.shift()
    if (asked === undefined) return
    if (asked.purpose === undefined) return this.#onSessionReply(reply)
    const text = parseRefusal(reply)
    this.#results.push(
      text === undefined
        ? { kind: 'reply', purpose: asked.purpose, reply }
        : { kind: 'refused', purpose: asked.purpose, text },
    )
  }

  /** The next message to put on the connection. */
  pollRequest(): object | undefined {
    if (!this.connected) return undefined
    const first = this.#session?.poll()
    if (first !== undefined) {
      this.#asked.push({ message: first, purpose: undefined, deadline: this.#connectedAt + REQUEST_TIMEOUT_MS })
      return first
    }
    if (this.#session?.isSettled === false) return undefined
    const next = this.#waiting.shift()
    if (next === undefined) return undefined
    this.#asked.push(next)
    return this.#session?.seal(next.message) ?? next.message
  }

  /** Why there is no session on this connection, once, for people. */
  takeSessionFault(): string | undefined {
    const fault = this.#sessionFault
    this.#sessionFault = undefined
    return fault
  }

  pollResult(): RegistryResult<Purpose> | undefined {
    return this.#results.shift()
  }

  handleTimeout(now: Instant): void {
    if (now < this.nextTimeout()) return
    this.stale = true // answers come in order: after an unanswered request nothing else will be answered
    this.#failAll()
  }

  nextTimeout(): Instant {
    return Math.min(this.#asked.at(0)?.deadline ?? Infinity, this.#waiting.at(0)?.deadline ?? Infinity)
  }

  #onSessionReply(reply: object): void {
    const fault = this.#session!.handleReply(reply)
    if (fault === undefined) return
    this.#sessionFault = fault
    this.stale = true
    this.#failAll()
  }

  #failAll(): void {
    for (const queue of [this.#asked, this.#waiting]) {
      for (let asked = queue.shift(); asked !== undefined; asked = queue.shift()) {
        if (asked.purpose !== undefined) this.#results.push({ kind: 'unreachable', purpose: asked.purpose })
      }
    }
  }
}
