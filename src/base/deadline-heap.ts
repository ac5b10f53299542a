/**
 * A binary heap of deadlines that costs nothing when a deadline moves later. An item keeps its place until its old
 * deadline comes up, and only then is asked for its true one. So a retransmission timer that every acknowledgement
 * postpones is touched once per expiry, not once per packet.
 */
import type { Instant } from './types.ts'

/** Something with at most one deadline. `heapIndex` and `heapKey` belong to the heap; start them with -1 and 0. */
export interface Timed {
  heapIndex: number
  heapKey: Instant
  /** The true deadline now; Infinity if there is none. */
  nextTimeout(): Instant
}

export class DeadlineHeap<T extends Timed> {
  readonly #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  /** The instant of the earliest entry: never later than the earliest true deadline. */
  get earliest(): Instant {
    return this.#items[0]?.heapKey ?? Infinity
  }

  /** Call after anything that may have moved the item's deadline earlier. */
  update(item: T): void {
    const deadline = item.nextTimeout()
    if (item.heapIndex >= 0) {
      if (deadline >= item.heapKey) return // lazy: detected when the old key comes up
      item.heapKey = deadline
      this.#siftUp(item.heapIndex)
      return
    }
    if (deadline === Infinity) return
    item.heapKey = deadline
    item.heapIndex = this.#items.length
    this.#items.push(item)
    this.#siftUp(item.heapIndex)
  }

  /** Removes every item whose true deadline has come, each once, even if handling it leaves it due again. */
  popAllDue(now: Instant, due: T[]): void {
    for (let item = this.popDue(now); item !== undefined; item = this.popDue(now)) due.push(item)
  }

  /** Removes one item whose true deadline has come, or returns undefined. Items found early are put back silently. */
  popDue(now: Instant): T | undefined {
    for (let top = this.#items[0]; top !== undefined && top.heapKey <= now; top = this.#items[0]) {
      const deadline = top.nextTimeout()
      if (deadline <= now) {
        this.remove(top)
        return top
      }
      if (deadline === Infinity) this.remove(top)
      else {
        top.heapKey = deadline
        this.#siftDown(0)
      }
    }
    return undefined
  }

  remove(item: T): void {
    const at = item.heapIndex
    if (at < 0) return
    item.heapIndex = -1
    const last = this.#items.pop()!
    if (last === item) return
    this.#items[at] = last
    last.heapIndex = at
    this.#siftDown(at)
    this.#siftUp(last.heapIndex)
  }

  #siftUp(start: number): void {
    const items = this.#items
    let at = start
    const item = items[at]!
    while (at > 0) {
      const parentAt = (at - 1) >> 1
      const parent = items[parentAt]!
      if (parent.heapKey <= item.heapKey) break
      items[at] = parent
      parent.heapIndex = at
      at = parentAt
    }
    items[at] = item
    item.heapIndex = at
  }

  #siftDown(start: number): void {
    const items = this.#items
    let at = start
    const item = items[at]!
    for (;;) {
      let childAt = 2 * at + 1
      if (childAt >= items.length) break
      if (childAt + 1 < items.length && items[childAt + 1]!.heapKey < items[childAt]!.heapKey) childAt += 1
      const child = items[childAt]!
      if (child.heapKey >= item.heapKey) break
      items[at] = child
      child.heapIndex = at
      at = childAt
    }
    items[at] = item
    item.heapIndex = at
  }
}
