/**
 * Warnings that others can cause. Each kind is written once per interval, with the count of those left out; and all
 * kinds together are rationed, since a peer that dials one port after another makes as many kinds as it likes.
 */
import { TokenBucket } from '../../base/token-bucket.ts'
import type { Logger } from '../../base/logger.ts'

export class SparseLog {
  readonly #log: Logger
  readonly #now: () => number
  readonly #kinds = new Map<string, { until: number; suppressed: number }>() // oldest first
  readonly #lines = new TokenBucket(LINES_PER_SECOND, LINES_AT_ONCE)
  #unwritten = 0 // warnings that the ration left out, of whatever kind

  constructor(log: Logger, now: () => number = () => performance.now()) {
    this.#log = log
    this.#now = now
  }

  /** @param kind what one line in ten seconds is enough for: few, and never made of what a stranger sends. */
  warn(kind: string, fields: object, message: string): void {
    const now = this.#now()
    const known = this.#kinds.get(kind)
    if (known !== undefined && now < known.until) {
      known.suppressed += 1
      return
    }
    if (!this.#lines.take(now)) {
      this.#unwritten += 1
      return
    }
    if (this.#kinds.size >= MAX_KINDS) this.#kinds.delete(this.#kinds.keys().next().value!)
    this.#kinds.delete(kind)
    this.#kinds.set(kind, { until: now + INTERVAL_MS, suppressed: 0 })
    const repeated = known?.suppressed ?? 0
    const unwritten = this.#unwritten
    this.#unwritten = 0
    const counts = { ...(repeated > 0 && { repeated }), ...(unwritten > 0 && { unwritten }) }
    this.#log.warn({ ...fields, ...counts }, message)
  }
}

const INTERVAL_MS = 10_000
const MAX_KINDS = 1_024
/** A person reads no more than this; a burst shows what an incident is made of. */
const LINES_PER_SECOND = 1
const LINES_AT_ONCE = 30
