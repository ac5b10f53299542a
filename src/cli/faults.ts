/**
 * The last line: an exception that no handler caught, in a process that serves others. It is our own bug, and it ends
 * what it happened in, but not everybody else's connections: it is told and counted, and the process goes on. One that
 * faults again and again is broken and ends, so that its supervisor restarts it.
 */
export class FaultLine {
  readonly #listeners = new Set<(error: unknown) => void>()
  readonly #now: () => number
  #recent: number[] = [] // when, ms

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** From now on the process serves. The result ends that. */
  contain(onFault: (error: unknown) => void): () => void {
    this.#listeners.add(onFault)
    return () => void this.#listeners.delete(onFault)
  }

  /** @returns false when the process has to end. */
  take(error: unknown): boolean {
    const now = this.#now()
    this.#recent = [...this.#recent.filter((at) => now - at < WINDOW_MS), now]
    if (this.#listeners.size === 0 || this.#recent.length > MAX_FAULTS) return false
    for (const listener of this.#listeners) listener(error)
    return true
  }
}

/** A fault that an unlucky peer can cause now and then is survived; a loop of them is not. */
export const MAX_FAULTS = 20
export const WINDOW_MS = 60_000
