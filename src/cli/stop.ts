/** Requests to stop: the first for a graceful stop, the second for an immediate one. */
import type { World } from './world.ts'

export interface StopRequests {
  readonly first: Promise<string> // the signal's name
  readonly second: Promise<void>
  dispose(): void
}

export function stopRequests(world: World, now: () => number = () => performance.now()): StopRequests {
  let resolveFirst: (signal: string) => void = () => {}
  let resolveSecond: () => void = () => {}
  let firstAt: number | undefined
  const dispose = world.onStop((signal) => {
    if (firstAt === undefined) resolveFirst(signal)
    // One Ctrl+C arrives several times: from the terminal, and again from npm or npx, which forward it.
    else if (now() - firstAt > SAME_REQUEST_MS) resolveSecond()
    firstAt ??= now()
  })
  return {
    first: new Promise((resolve) => {
      resolveFirst = resolve
    }),
    second: new Promise((resolve) => {
      resolveSecond = resolve
    }),
    dispose,
  }
}

const SAME_REQUEST_MS = 300
