/**
 * The last line of defence: an uncaught exception in a serving process. It is our own bug, and ends whatever it
 * happened in, but not the connections of others: it is logged and counted, and the process continues. A process with
 * repeated faults is broken and exits, so that its supervisor restarts it.
 */
export class FaultLine {
  readonly #listeners = new Set<(error: unknown) => void>()
  readonly #now: () => number
  #recent: number[] = [] // when, ms

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** From now on the process is serving. Call the result to end that. */
  contain(onFault: (error: unknown) => void): () => void {
    this.#listeners.add(onFault)
    return () => void this.#listeners.delete(onFault)
  }

  /** @returns false if the process must exit. */
  take(error: unknown): boolean {
    const now = this.#now()
    this.#recent = [...this.#recent.filter((at) => now - at < WINDOW_MS), now]
    if (this.#listeners.size === 0 || this.#recent.length > MAX_FAULTS) return false
    for (const listener of this.#listeners) listener(error)
    return true
  }
}

/** An occasional fault caused by an unlucky peer is survived; a loop of them is not. */
export const MAX_FAULTS = 20
export const WINDOW_MS = 60_000
