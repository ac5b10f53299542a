/**
 * The search for a better path to one peer: when to report our addresses, when to have the beacon punch, and for how
 * long.
 */
import type { Instant } from '../../base/types.ts'
import type { PathHello } from '../../wire/path-hello.ts'
import { PUNCH_ROUND_MS } from '../path/constants.ts'
import { HELLO_AGAIN_MS, SEARCH_MS } from './constants.ts'

export class PeerSearch {
  /** The peer's report about itself; undefined: none yet, or it is a different implementation. */
  hello: PathHello | undefined
  /** The peer registered as reachable by relay only. */
  relayOnly = false
  /** Until then a better path is sought although no stream is open. */
  until: Instant = -Infinity
  /** Packet sizes are tried from then on, once the keys are confirmed: a connection that waited for the tunnel goes first. */
  sizesAt: Instant = Infinity
  /** Only the relay is left: when streams that refuse it and have data to send are ended. */
  strictAt: Instant = Infinity
  #helloAt: Instant = Infinity
  #hellos = 0
  #punchAt: Instant = Infinity
  #rounds = 0

  /** The tunnel is up. */
  start(now: Instant): void {
    this.until = now + SEARCH_MS
    this.helloDue(now)
    this.#rounds = 0
    this.#punchAt = now
  }

  /** What we report has changed, or may not have arrived. */
  helloDue(now: Instant): void {
    this.#helloAt = now
    this.#hellos = 0
  }

  /** It arrived. */
  onHelloAnswered(): void {
    this.#helloAt = Infinity
  }

  /** Something changed that makes another try worth it. */
  punchSoon(now: Instant): void {
    this.#rounds = 0
    this.#punchAt = Math.min(this.#punchAt, now)
  }

  takeHello(now: Instant): boolean {
    if (now < this.#helloAt) return false
    this.#helloAt = this.#hellos < HELLO_AGAIN_MS.length ? now + HELLO_AGAIN_MS[this.#hellos]! : Infinity
    this.#hellos += 1
    return true
  }

  takePunch(now: Instant): boolean {
    if (now < this.#punchAt) return false
    this.#punchAt = now + PUNCH_ROUND_MS[Math.min(this.#rounds, PUNCH_ROUND_MS.length - 1)]!
    this.#rounds += 1
    return true
  }

  /** When to try packet sizes; Infinity if that is under way or not due. */
  get sizesTimeout(): Instant {
    return this.sizesAt > 0 ? this.sizesAt : Infinity
  }

  /** @param isSeeking only the relay works, and streams need better. */
  nextTimeout(isSeeking: boolean): Instant {
    return isSeeking ? Math.min(this.#helloAt, this.#punchAt) : this.#helloAt
  }
}
