/**
 * Frees the buffers of processed datagrams. They live outside V8's heap, about 60 KB each on a large path, and die
 * young. But V8 scavenges only when young objects fill their space, which a few small ones per datagram take long to
 * do. It first notices 64 MB of external memory, and then marks the whole heap, a dozen times a second at full speed: a
 * fifth of all CPU (docs/performance.md). A timely scavenge costs a millisecond.
 */
import { v8Collector } from './collector.ts'

export class YoungGarbage {
  readonly #collect = v8Collector()
  #bytes = 0

  /** This many bytes were allocated outside the heap and will soon be garbage. */
  add(bytes: number): void {
    this.#bytes += bytes
  }

  /** Between two turns, when nothing is in progress. */
  collect(): void {
    if (this.#bytes < SCAVENGE_BYTES) return
    this.#bytes = 0
    this.#collect?.({ type: 'minor' })
  }
}

/** Less than half of V8's threshold; one scavenge per 250 large datagrams or so. */
const SCAVENGE_BYTES = 24 * 1_048_576
