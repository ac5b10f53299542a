/** What the load reports, and its counters. */
import type { Wrong } from './frames.ts'

/** One kind of flow since the last mark. */
export interface FlowStats {
  readonly ok: number // requests answered, frames acknowledged, datagrams echoed, idle connections that answered
  readonly failed: number // ended by an error before
  readonly slowestFailureMs: number
  readonly medianMs: number // of what was answered
  readonly silenceMs: number // the longest time without progress of the worst flow of this kind
  readonly movedMs: number | null // after the mark: until each flow of this kind had moved both ways; null: not yet
}

export interface LoadStats {
  readonly sinceMs: number
  readonly flows: Readonly<Record<string, FlowStats>>
  readonly movedMs: number | null // all of them
  readonly resets: number // long streams and idle connections that ended with a reset
  readonly earlyEnds: readonly string[] // clean ends the other side did not send
  readonly wrong: readonly string[] // lost, duplicated, altered
  readonly hangs: readonly string[]
}

/** Progress of one flow: a slot of the load, over all its connections. */
export class Progress {
  #markedAt = performance.now()
  #lastAt = performance.now()
  #silenceMs = 0
  #movedMs: number | null = null

  /** Something was confirmed that had been sent at `sentAt`. */
  moved(sentAt: number): void {
    const now = performance.now()
    this.#silenceMs = Math.max(this.#silenceMs, now - this.#lastAt)
    this.#lastAt = now
    if (sentAt >= this.#markedAt) this.#movedMs ??= now - this.#markedAt
  }

  mark(): void {
    this.#markedAt = this.#lastAt = performance.now()
    this.#silenceMs = 0
    this.#movedMs = null
  }

  get movedMs(): number | null {
    return this.#movedMs
  }
  get silenceMs(): number {
    return Math.max(this.#silenceMs, performance.now() - this.#lastAt)
  }
}

/** One kind of flow: its flows' progress, and the outcome of what it tried. */
export class Tally {
  readonly name: string
  readonly #progress: Progress[] = []
  #latencies: number[] = []
  #failed = 0
  #slowestFailureMs = 0

  constructor(name: string) {
    this.name = name
  }

  flow(): Progress {
    const progress = new Progress()
    this.#progress.push(progress)
    return progress
  }

  ok(ms: number): void {
    this.#latencies.push(ms)
  }

  failed(ms: number): void {
    this.#failed += 1
    this.#slowestFailureMs = Math.max(this.#slowestFailureMs, ms)
  }

  mark(): void {
    for (const progress of this.#progress) progress.mark()
    this.#latencies = []
    this.#failed = this.#slowestFailureMs = 0
  }

  get stats(): FlowStats {
    const sorted = this.#latencies.toSorted((a, b) => a - b)
    return {
      ok: sorted.length,
      failed: this.#failed,
      slowestFailureMs: Math.round(this.#slowestFailureMs),
      medianMs: Math.round(sorted[sorted.length >> 1] ?? 0),
      silenceMs: Math.round(Math.max(0, ...this.#progress.map(({ silenceMs }) => silenceMs))),
      movedMs: latest(this.#progress.map(({ movedMs }) => movedMs)),
    }
  }
}

/** What went wrong since the program began: never cleared by a mark. */
export class Faults {
  readonly earlyEnds: string[] = []
  readonly wrong: string[] = []
  readonly hangs: string[] = []

  add(kind: Wrong, detail: string): void {
    const list = kind === 'ended early' ? this.earlyEnds : this.wrong
    if (list.length < MAX_DETAILS) list.push(detail)
  }

  hang(detail: string): void {
    if (this.hangs.length < MAX_DETAILS) this.hangs.push(detail)
  }
}

export function latest(times: readonly (number | null)[]): number | null {
  return times.reduce((all, one) => (all === null || one === null ? null : Math.max(all, one)), 0)
}

/** Per kind: a report too long to read proves no more. */
const MAX_DETAILS = 50
