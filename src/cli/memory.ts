/**
 * How this process collects its garbage. At work a gateway makes short-lived buffers outside of V8's heap, and V8 takes
 * their bytes for a reason to keep marking the heap, in small steps and on a second thread: where gateways, client and
 * server share two cores that costs a third of all CPU (docs/performance.md). The heap itself is small, and marking it in one go
 * takes some 10 ms, seldom: runtime/young-garbage.ts frees the buffers before V8 thinks of it.
 */
import { setFlagsFromString } from 'node:v8'
import { collectWhenQuiet } from './quiet-collection.ts'

/** First thing in the process: V8 reads these flags whenever it thinks of beginning to mark, to grow, to share work. */
export function tuneMemory (): void {
  setFlagsFromString('--no-incremental-marking')
  // The space of young objects stays what it is at the start, 1 MB twice. Whatever lives on, as the objects of new
  // connections do, would make it 16 MB twice, for good; and what a packet leaves behind is dead long before 1 MB is full.
  setFlagsFromString('--semi-space-growth-factor=1')
  // So small a space is through before a second thread is awake.
  setFlagsFromString('--no-parallel-scavenge')
  collectWhenQuiet()
}
