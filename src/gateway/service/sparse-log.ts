/** Warnings that strangers can cause: each kind is written once per interval, with the count of those left out. */
import type { Logger } from '../../base/logger.ts'

export class SparseLog {
  readonly #log: Logger
  readonly #kinds = new Map<string, { until: number; suppressed: number }>()

  constructor(log: Logger) {
    this.#log = log
  }

  warn(kind: string, fields: object, message: string): void {
    const now = performance.now()
    const known = this.#kinds.get(kind)
    if (known !== undefined && now < known.until) {
      known.suppressed += 1
      return
    }
    if (this.#kinds.size >= MAX_KINDS) this.#kinds.clear() // a flood of kinds: forgetting costs a line too many, no memory
    this.#kinds.set(kind, { until: now + INTERVAL_MS, suppressed: 0 })
    this.#log.warn(
      known === undefined || known.suppressed === 0 ? fields : { ...fields, repeated: known.suppressed },
      message,
    )
  }
}

const INTERVAL_MS = 10_000
const MAX_KINDS = 1_024
