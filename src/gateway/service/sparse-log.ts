/**
 * Lines that others can cause. Each kind is logged once per interval, with the count of suppressed ones; all kinds
 * together are rate-limited too, since a peer that dials one port after another can create any number of kinds.
 */
import { TokenBucket } from '../../base/token-bucket.ts'
import type { Logger } from '../../base/logger.ts'

export class SparseLog {
  readonly #log: Logger
  readonly #now: () => number
  readonly #kinds = new Map<string, { until: number; suppressed: number }>() // oldest first
  readonly #lines: TokenBucket
  #unwritten = 0 // warnings suppressed by the overall limit, of any kind

  /** @param limits of all kinds together. */
  constructor(log: Logger, now: () => number = () => performance.now(), limits = LIMITS) {
    this.#log = log
    this.#now = now
    this.#lines = new TokenBucket(limits.perSecond, limits.atOnce)
  }

  /** @param kind one line per ten seconds is enough for it: few values, never derived from a stranger's input. */
  warn(kind: string, fields: object, message: string): void {
    this.#write('warn', kind, fields, message)
  }

  error(kind: string, fields: object, message: string): void {
    this.#write('error', kind, fields, message)
  }

  info(kind: string, fields: object, message: string): void {
    this.#write('info', kind, fields, message)
  }

  #write(level: 'error' | 'warn' | 'info', kind: string, fields: object, message: string): void {
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
    this.#log[level]({ ...fields, ...counts }, message)
  }
}

const INTERVAL_MS = 10_000
const MAX_KINDS = 1_024
/** Lines. No one reads more than this; the burst shows the nature of an incident. */
const LIMITS = { perSecond: 1, atOnce: 30 }
