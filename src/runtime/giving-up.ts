/**
 * How the caller of a dial says that it wants no stream any more: as much of an AbortSignal as a dial looks at. An
 * AbortController does too, and costs 25 µs: for each connection of a gateway that is a twentieth of everything.
 */
export interface GivingUp {
  readonly aborted: boolean
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
}

/** For those who dial often. Each listener is called once. */
export class GiveUp implements GivingUp {
  aborted = false
  readonly #listeners: Array<() => void> = []

  abort(): void {
    if (this.aborted) return
    this.aborted = true
    for (const listener of this.#listeners.splice(0)) listener()
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.push(listener)
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.#listeners.indexOf(listener)
    if (at >= 0) this.#listeners.splice(at, 1)
  }
}
