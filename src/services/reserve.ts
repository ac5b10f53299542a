/** Room for what is arriving and not on a shelf yet, by owner. */

export class Reserve {
  readonly #most: number
  readonly #byOwner = new Map<string, number>()

  /** @param most bytes of all owners; one has half of it. */
  constructor(most: number) {
    this.#most = most
  }

  of(owner: string | undefined): number {
    if (owner !== undefined) return this.#byOwner.get(owner) ?? 0
    let sum = 0
    for (const bytes of this.#byOwner.values()) sum += bytes
    return sum
  }

  /** @returns a function that gives it back, however often it is called; undefined: there is no room. */
  take(owner: string, bytes: number): (() => void) | undefined {
    if (this.of(undefined) + bytes > this.#most || this.of(owner) + bytes > this.#most / 2) return undefined
    this.#byOwner.set(owner, this.of(owner) + bytes)
    let isTaken = true
    return () => {
      if (!isTaken) return
      isTaken = false
      const left = this.of(owner) - bytes
      if (left <= 0) this.#byOwner.delete(owner)
      else this.#byOwner.set(owner, left)
    }
  }
}
