/**
 * How this process collects its garbage. At work a gateway makes short-lived buffers outside of V8's heap, and V8 takes
 * their bytes for a reason to keep marking the heap, in small steps and on a second thread: where gateways, client and
 * server share two cores that costs a third of all CPU (docs/performance.md). The heap itself is small, and marking it in one go
 * takes some 10 ms, seldom: runtime/young-garbage.ts frees the buffers before V8 thinks of it.
 */
import { setFlagsFromString } from 'node:v8'

/** First thing in the process: V8 reads this flag whenever it thinks of beginning to mark. */
export function tuneMemory (): void {
  setFlagsFromString('--no-incremental-marking')
}
