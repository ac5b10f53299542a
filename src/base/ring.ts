/** A first-in first-out queue on a growing ring: no shifting, no garbage in steady state. */
export class Ring<T> {
  #slots: Array<T | undefined> = []
  #head = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  push(item: T): void {
    if (this.#size === this.#slots.length) this.#grow()
    this.#slots[(this.#head + this.#size) & (this.#slots.length - 1)] = item
    this.#size += 1
  }

  /** In front of all others. */
  unshift(item: T): void {
    if (this.#size === this.#slots.length) this.#grow()
    this.#head = (this.#head - 1) & (this.#slots.length - 1)
    this.#slots[this.#head] = item
    this.#size += 1
  }

  shift(): T | undefined {
    if (this.#size === 0) return undefined
    const item = this.#slots[this.#head]
    this.#slots[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#slots.length - 1)
    this.#size -= 1
    return item
  }

  /** The item at `index` from the front; undefined outside 0..size-1. */
  at(index: number): T | undefined {
    return index >= 0 && index < this.#size ? this.#slots[(this.#head + index) & (this.#slots.length - 1)] : undefined
  }

  /** The item pushed last; undefined when empty. */
  get last(): T | undefined {
    return this.at(this.#size - 1)
  }

  replaceLast(item: T): void {
    if (this.#size > 0) this.#slots[(this.#head + this.#size - 1) & (this.#slots.length - 1)] = item
  }

  clear(): void {
    this.#slots = []
    this.#head = 0
    this.#size = 0
  }

  #grow(): void {
    // Preallocated, without push: a push onto an empty array reserves room for 17.
    const grown = Array.from({ length: Math.max(2, this.#slots.length * 2) }, (_, i) =>
      i < this.#size ? this.#slots[(this.#head + i) & (this.#slots.length - 1)] : undefined,
    )
    this.#slots = grown
    this.#head = 0
  }
}
