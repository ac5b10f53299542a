/** A line that moves while a person waits: on stderr, only at a terminal, and gone when the work is done. */
import type { Output } from './output.ts'
import type { World } from './world.ts'

/** @param text of the line, after this many ms. Shown only if the work takes longer than `patienceMs`. */
export async function whileWaiting<T>(
  out: Output,
  world: Pick<World, 'err' | 'logTerminal' | 'columns' | 'env'>,
  work: Promise<T>,
  text: (ms: number) => string,
  { patienceMs, everyMs } = TIMES,
): Promise<T> {
  if (!world.logTerminal || out.json || out.quiet || world.env['TERM'] === 'dumb') return await work
  const startedAt = performance.now()
  let isShown = false
  const timer = setInterval(() => {
    const ms = performance.now() - startedAt
    if (ms < patienceMs) return
    isShown = true
    world.err(`${CLEAR}${text(ms).slice(0, (world.columns ?? 80) - 1)}`) // a line that wraps could not be cleared
  }, everyMs)
  try {
    return await work
  } finally {
    clearInterval(timer)
    if (isShown) world.err(CLEAR)
  }
}

const CLEAR = '\r\x1b[K'
const TIMES = { patienceMs: 2_000, everyMs: 1_000 }
