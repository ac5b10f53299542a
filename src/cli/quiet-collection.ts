/**
 * Gives back what a burst has left. V8 collects when it wants more memory, and never because nothing happens: of six
 * thousand connections that have ended a gateway would keep 50 MB of garbage until the next burst. So when a process that was
 * busy is quiet again, its whole heap is collected: some 20 ms, and 6 more for each thousand connections that are open.
 * Here, and not in runtime/: how long that takes in a program that uses the package we do not know.
 */
import { getHeapStatistics } from 'node:v8'
import { v8Collector } from '../runtime/v8/collector.ts'
import type { Collector } from '../runtime/v8/collector.ts'

export interface Heap {
  usedBytes(): number
  collect(): void
}

/** V8's own collections tell how busy this process is: while there are none, no timer runs. @returns whom to tell how many there were. */
export function collectWhenQuiet(): (collections: number) => void {
  let collect: Collector | undefined
  const quiet = new QuietCollection({
    usedBytes: () => getHeapStatistics().used_heap_size,
    collect: () => (collect ??= v8Collector())?.(),
  })
  let timer: NodeJS.Timeout | undefined
  const look = (): void => {
    timer = quiet.onLook() ? setTimeout(look, LOOK_MS).unref() : undefined
  }
  return (collections) => {
    quiet.onCollections(collections)
    timer ??= setTimeout(look, LOOK_MS).unref()
  }
}

/** Whether a moment is one to collect in. A little traffic is quiet, and nothing that leaves much behind. */
export class QuietCollection {
  readonly #heap: Heap
  #recent = 0 // collections of V8 since the last look
  #due = false

  constructor(heap: Heap) {
    this.#heap = heap
  }

  onCollections(count: number): void {
    this.#recent += count
  }

  /** Every LOOK_MS. @returns whether to look again, if V8 collects nothing meanwhile. */
  onLook(): boolean {
    const recent = this.#recent
    this.#recent = 0
    if (recent >= BUSY_COLLECTIONS) this.#due = true
    else if (this.#due && recent <= QUIET_COLLECTIONS) {
      const before = this.#heap.usedBytes()
      this.#heap.collect()
      this.#due = before - this.#heap.usedBytes() >= MUCH_BYTES // the pages that this emptied go back to the system with the next one
    }
    return this.#due || recent > 0
  }
}

/** After so long connections that have ended are forgotten, and V8 takes a process for idle: then it makes its space of young objects small, too. */
const LOOK_MS = 6_000
/** In that time. A megabyte or more was allocated before each. */
const BUSY_COLLECTIONS = 8
const QUIET_COLLECTIONS = 2
const MUCH_BYTES = 4 * 1_048_576
