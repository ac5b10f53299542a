/**
 * Frees the buffers of datagrams that have come and gone. They live outside of V8's heap, some 60 KB each on a large
 * path, and die young; but V8 looks at young objects only when those fill their space, which a few small ones for each
 * datagram do not for long. What it sees first is 64 MB of memory outside, and then it marks the whole heap, a dozen
 * times a second at full speed: a fifth of all CPU (docs/performance.md). A scavenge in good time costs a millisecond.
 */
import { v8Collector } from './collector.ts'

export class YoungGarbage {
  readonly #collect = v8Collector()
  #bytes = 0

  /** So much was allocated outside of the heap, and will be garbage soon. */
  add(bytes: number): void {
    this.#bytes += bytes
  }

  /** Between two turns, when nothing is under way. */
  collect(): void {
    if (this.#bytes < SCAVENGE_BYTES) return
    this.#bytes = 0
    this.#collect?.({ type: 'minor' })
  }
}

/** Less than half of what V8 stands; one scavenge for some 250 large datagrams. */
const SCAVENGE_BYTES = 24 * 1_048_576
