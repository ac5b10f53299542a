/**
 * How this process collects its garbage. At work a gateway makes short-lived buffers outside of V8's heap, and V8 takes
 * their bytes for a reason to keep marking the heap, in small steps and on a second thread: where gateways, client and
 * server share two cores that costs a third of all CPU (docs/performance.md). The heap itself is small, and marking it in one go
 * takes some 10 ms, seldom: runtime/v8/young-garbage.ts frees the buffers before V8 thinks of it.
 */
import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { collectWhenQuiet } from './quiet-collection.ts'

/** First thing in the process: V8 reads these flags whenever it thinks of beginning to mark, and of growing. */
export function tuneMemory(): void {
  setFlagsFromString('--no-incremental-marking')
  const youngSpace = new YoungSpace()
  const onCollections = collectWhenQuiet()
  new PerformanceObserver((list) => {
    youngSpace.bound()
    onCollections(list.getEntries().length)
  }).observe({ entryTypes: ['gc'] })
}

/**
 * Whatever lives on, as the modules of this program do and the objects of new connections, makes V8's space of young
 * objects grow, to 16 MB twice, for good. There is no limit to set at run time, but how fast it grows; so it is told to stop.
 */
class YoungSpace {
  #growth = 0

  constructor() {
    this.#setGrowth(1) // until the modules are loaded
  }

  bound(): void {
    const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')
    if (space !== undefined) this.#setGrowth(space.space_size < YOUNG_SPACE_BYTES ? 2 : 1)
  }

  #setGrowth(factor: number): void {
    if (factor === this.#growth) return
    this.#growth = factor
    setFlagsFromString(`--semi-space-growth-factor=${factor}`)
  }
}

/** Both halves. In 1 MB twice new connections take a tenth more CPU; what a packet leaves behind is dead before 1 MB is full. */
const YOUNG_SPACE_BYTES = 8 * 1_048_576
