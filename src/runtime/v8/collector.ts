/** V8's collector, for code that knows better than V8 when to collect: v8/young-garbage.ts, cli/quiet-collection.ts. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Collects the whole heap, or only what is young. */
export type Collector = (options?: { readonly type: 'minor' }) => void

/** Works without the command line switch that exposes it. @returns undefined in an engine without it. */
export function v8Collector(): Collector | undefined {
  try {
    setFlagsFromString('--expose-gc')
    const gc: unknown = runInNewContext('gc')
    setFlagsFromString('--no-expose-gc') // for contexts created later
    return typeof gc === 'function' ? (gc as Collector) : undefined
  } catch {
    return undefined
  }
}
