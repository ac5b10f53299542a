/**
 * Frees memory left by a burst. V8 collects when it needs more memory, never because it is idle: after six thousand
 * connections have ended, a gateway would keep 50 MB of garbage until the next burst. So when a busy process becomes
 * quiet, its whole heap is collected: about 20 ms, plus 6 for each thousand open connections. Here rather than in
 * runtime/, because we do not know how long that takes in a program that uses the package.
 */
import { getHeapStatistics } from 'node:v8'
import { v8Collector } from '../runtime/v8/collector.ts'
import type { Collector } from '../runtime/v8/collector.ts'

export interface Heap {
  usedBytes(): number
  collect(): void
}

/**
 * V8's own collections show how busy this process is: while there are none, no timer runs. @returns a function to
 * report their number to.
 */
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

/** Whether this is a moment to collect. A little traffic, without much garbage, counts as quiet. */
export class QuietCollection {
  readonly #heap: Heap
  #recent = 0 // collections of V8 since the last check
  #due = false

  constructor(heap: Heap) {
    this.#heap = heap
  }

  onCollections(count: number): void {
    this.#recent += count
  }

  /** Every LOOK_MS. @returns whether to check again, if V8 collects nothing in the meantime. */
  onLook(): boolean {
    const recent = this.#recent
    this.#recent = 0
    if (recent >= BUSY_COLLECTIONS) this.#due = true
    else if (this.#due && recent <= QUIET_COLLECTIONS) {
      const before = this.#heap.usedBytes()
      this.#heap.collect()
      this.#due = before - this.#heap.usedBytes() >= MUCH_BYTES // the emptied pages return to the system with the next one
    }
    return this.#due || recent > 0
  }
}

/**
 * By then ended connections are forgotten, and V8 considers the process idle and shrinks its space for young objects,
 * too.
 */
const LOOK_MS = 6_000
/** Within that time. At least a megabyte was allocated before each. */
const BUSY_COLLECTIONS = 8
const QUIET_COLLECTIONS = 2
const MUCH_BYTES = 4 * 1_048_576
