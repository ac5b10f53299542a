/** V8's own collector, for those who know better than V8 when there is something to collect: v8/young-garbage.ts, cli/quiet-collection.ts. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Collects the whole heap, or only what is young. */
export type Collector = (options?: { readonly type: 'minor' }) => void

/** Without the command line switch that shows it. @returns undefined in another engine, or a sealed one. */
export function v8Collector(): Collector | undefined {
  try {
    setFlagsFromString('--expose-gc')
    const gc: unknown = runInNewContext('gc')
    setFlagsFromString('--no-expose-gc') // for whatever contexts are made later
    return typeof gc === 'function' ? (gc as Collector) : undefined
  } catch {
    return undefined
  }
}
