/**
 * Work that costs a signature check, in order, a millisecond of each turn: a flood delays more of the kind, but
 * neither look-ups nor heartbeats. After a long wait the answer is of no use, and the work is
 * refused instead.
 */

/** @param isLate it has waited too long: refuse without working. */
type Work = (isLate: boolean) => void

export class DearQueue {
  readonly #now: () => number
  readonly #waiting: { readonly work: Work; readonly at: number }[] = []
  #next = 0 // in `#waiting`
  #spentMs = 0 // in this turn
  #scheduled = false

  /** @param now ms; only differences mean anything. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Runs now if this turn has time left and nothing waits, otherwise later. */
  add(work: Work): void {
    if (this.#next === this.#waiting.length && this.#spentMs < TURN_MS) this.#run(work, false)
    else this.#waiting.push({ work, at: this.#now() })
    this.#turnLater()
  }

  #turnLater(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.#turn())
  }

  #turn(): void {
    this.#scheduled = false
    this.#spentMs = 0
    while (this.#next < this.#waiting.length && this.#spentMs < TURN_MS) {
      const { work, at } = this.#waiting[this.#next++]!
      this.#run(work, this.#now() - at > LATE_MS)
    }
    if (this.#next < this.#waiting.length) return this.#turnLater()
    this.#waiting.length = 0
    this.#next = 0
  }

  #run(work: Work, isLate: boolean): void {
    const began = this.#now()
    work(isLate)
    this.#spentMs += this.#now() - began
  }
}

/** Of signature checks before others have their turn: some three to thirty. Node accepts one connection in each turn. */
const TURN_MS = 1
/** Nodes give up on a request after eight seconds, and ask again. */
const LATE_MS = 4_000
