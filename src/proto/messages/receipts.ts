/**
 * What has arrived lately, so that a sender that did not get our answer and repeats itself is not heard twice. Bounded:
 * the oldest are forgotten.
 */
import type { Instant } from '../../base/types.ts'

export class Receipts {
  readonly #at = new Map<string, Instant>() // oldest first
  readonly #keptMs: number

  constructor(keptMs: number = RECEIPT_MS) {
    this.#keptMs = keptMs
  }

  /** @param from the sender's key. @param what of it: a message id, or a file. */
  has(now: Instant, from: string, what: string): boolean {
    const at = this.#at.get(`${from} ${what}`)
    return at !== undefined && now - at < this.#keptMs
  }

  add(now: Instant, from: string, what: string): void {
    const key = `${from} ${what}`
    this.#at.delete(key)
    if (this.#at.size >= MAX_RECEIPTS) this.#at.delete(this.#at.keys().next().value!)
    this.#at.set(key, now)
  }

  forget(from: string, what: string): void {
    this.#at.delete(`${from} ${what}`)
  }
}

/** Longer than any sender of ours keeps trying. */
export const RECEIPT_MS = 8 * 86_400_000
export const MAX_RECEIPTS = 20_000
