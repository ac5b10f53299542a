/**
 * What a plain peer is: a daemon of April 2026, or one of today (1.10 and later). No frame says so. The registry's
 * version is its own claim; evidence counts more, and the latest counts most. While nothing is known, we do what is safe
 * with both. Above: peer.ts.
 */
import type { PlainRules } from '../stream/lifecycle.ts'

/** `ours` is decided by Peer.extended. */
export type Make = 'april' | 'today' | 'unknown'

export class PeerMake {
  readonly #rules: PlainRules
  #make: Make = 'unknown'
  #isProven = false
  #unanswered = 0

  constructor(rules: PlainRules) {
    this.#rules = rules
  }

  get make(): Make {
    return this.#make === 'today' && !this.#rules.isToday ? 'april' : this.#make // a stream saw a larger segment
  }

  /** The registry's word for its release, such as `1.18.0`. */
  onVersion(version: string | undefined): void {
    const [major = 0, minor = 0] =
      /^v?(\d+)\.(\d+)/
        .exec(version ?? '')
        ?.slice(1)
        .map(Number) ?? []
    if (this.#isProven || major + minor === 0) return
    this.#set(major > 1 || minor >= TODAY_MINOR ? 'today' : 'april')
  }

  /** It answered a ping without bytes: only those of April do (quirk T12). */
  onEmptyAnswered(): void {
    this.#isProven = true
    this.#set('april')
  }

  /** It answered the ping behind one without bytes, but not that one. @returns true if it should be asked again. */
  onEmptyUnanswered(): boolean {
    if (this.#isProven) return false
    this.#unanswered += 1
    if (this.#unanswered < EMPTY_PINGS) return true
    this.onNameless()
    return false
  }

  /** It sent a keepalive or a probe as only those of today do (quirk T14). */
  onNameless(): void {
    this.#isProven = true
    this.#set('today')
  }

  #set(make: Make): void {
    this.#make = make
    this.#rules.isToday = make === 'today'
  }
}

/** The first minor release that takes an empty ping for a keepalive. */
const TODAY_MINOR = 10
/** Pings without bytes that must stay unanswered, since one may be lost. */
const EMPTY_PINGS = 3
