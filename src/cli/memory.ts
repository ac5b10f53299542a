/**
 * Garbage collection settings of this process. Under load, a gateway creates short-lived buffers outside V8's heap, and
 * V8 counts their bytes as a reason to keep marking the heap, in small steps and on a second thread: if gateways,
 * client and server share two cores, that costs a third of all CPU (docs/performance.md). The heap itself is small, and
 * marking it in one go takes about 10 ms and is rare: runtime/v8/young-garbage.ts frees the buffers before V8 starts
 * marking.
 */
import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { collectWhenQuiet } from './quiet-collection.ts'

/** Called first in the process: V8 reads these flags whenever it considers marking or growing. */
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
 * Long-lived objects, such as the program's modules and new connections, make V8's space for young objects grow
 * permanently to twice 16 MB. Its limit cannot be set at run time, only its growth factor, so growth is stopped.
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

/**
 * Both halves. With twice 1 MB, new connections take a tenth more CPU; the garbage of a packet is dead before 1 MB is
 * full.
 */
const YOUNG_SPACE_BYTES = 8 * 1_048_576
