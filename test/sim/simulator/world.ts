/** Virtual time: things happen when they are due, in order, and nothing ever sleeps. */
export class World {
  nowMs = 0
  steps = 0
  #events: Array<{ at: number; order: number; act: () => void }> = []
  #order = 0

  at(atMs: number, act: () => void): void {
    const event = { at: Math.max(atMs, this.nowMs), order: this.#order++, act }
    const heap = this.#events
    heap.push(event)
    let i = heap.length - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!before(event, heap[parent]!)) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = event
  }

  after(delayMs: number, act: () => void): void {
    this.at(this.nowMs + delayMs, act)
  }

  /** Runs until `done` holds, nothing is left to do, or virtual time is up. @returns true if `done` held. */
  run(options: { untilMs: number; done?: () => boolean }): boolean {
    for (;;) {
      if (options.done?.() === true) return true
      const next = this.#events[0]
      if (next === undefined || next.at > options.untilMs) {
        this.nowMs = Math.max(this.nowMs, Math.min(options.untilMs, next?.at ?? options.untilMs))
        return options.done?.() ?? false
      }
      this.#pop()
      this.nowMs = next.at
      this.steps += 1
      if (this.steps > MAX_STEPS) throw new Error(`${MAX_STEPS} steps at ${this.nowMs} virtual ms: a storm`)
      next.act()
    }
  }

  #pop(): void {
    const heap = this.#events
    const last = heap.pop()!
    if (heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1
      if (!before(heap[child]!, last)) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = last
  }
}

function before(a: { at: number; order: number }, b: { at: number; order: number }): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

const MAX_STEPS = 20_000_000
