/** The last few of something, for people to look at. */

export class Recent<T> {
  readonly #most: number
  #items: T[] = []

  /** @param most kept; older ones are forgotten. */
  constructor(most: number) {
    this.#most = most
  }

  /** The newest last. */
  get all(): readonly T[] {
    return this.#items.slice(-this.#most)
  }

  /** Cheap: the array is cut only when it has twice as many. */
  add(item: T): void {
    if (this.#items.length >= 2 * this.#most) this.#items = this.#items.slice(-this.#most)
    this.#items.push(item)
  }
}
