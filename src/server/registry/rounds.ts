/** Walks round a table in slices: however many nodes there are, no sweep stops the service. */

export class Rounds<Entry> {
  readonly #table: ReadonlyMap<unknown, Entry>
  readonly #roundMs: number
  #entries: Iterator<Entry>
  #at = 0

  /** @param roundMs each entry has its turn about this often. */
  constructor(table: ReadonlyMap<unknown, Entry>, roundMs: number) {
    this.#table = table
    this.#roundMs = roundMs
    this.#entries = table.values()
  }

  /** The next slice, as large as the time since the last one demands. The caller may delete from the table meanwhile. */
  *take(now: number): Iterable<Entry> {
    const share = Math.min(1, Math.max(0, (now - this.#at) / this.#roundMs))
    this.#at = now
    let left = Math.max(MIN_SLICE, Math.ceil(share * this.#table.size))
    for (let isFirst = true; left > 0; left--, isFirst = false) {
      let next = this.#entries.next()
      if (next.done === true) {
        this.#entries = this.#table.values()
        if (!isFirst) return
        next = this.#entries.next()
        if (next.done === true) return
      }
      yield next.value
    }
  }
}

const MIN_SLICE = 1_000 // well under a millisecond
