/** Shrinks a failing seed to the shortest run with the same failure: fewer rounds, then one fault less at a time. */
import type { RunOptions } from './cluster.ts'
import { Failure, runCluster } from './cluster.ts'

export interface Shrunk {
  readonly failure: Failure
  readonly runs: number
}

/** @returns undefined if the seed does not fail. */
export function shrink(
  seed: number,
  rounds: number | undefined,
  onProgress: (text: string) => void,
): Shrunk | undefined {
  let runs = 0
  const attempt = (options: RunOptions): Failure | undefined => {
    runs += 1
    return failureOf(seed, options)
  }
  let failure = attempt({ rounds })
  if (failure === undefined) return undefined
  const kind = kindOf(failure)
  const isSame = (other: Failure | undefined): other is Failure => other !== undefined && kindOf(other) === kind
  let last = (failure.struck.at(-1) ?? 0) + 1
  const without = new Set<number>()
  // The last faults matter least: halves first, then one by one, from the end.
  for (let span = Math.ceil(failure.struck.length / 2); span >= 1; span = span === 1 ? 0 : Math.ceil(span / 2)) {
    const left: readonly number[] = failure.struck.toReversed()
    for (let at = 0; at < left.length; at += span) {
      const less = new Set([...without, ...left.slice(at, at + span)])
      const shorter = attempt({ rounds, without: less })
      if (!isSame(shorter)) continue
      failure = shorter
      for (const round of less) without.add(round)
    }
    onProgress(`${failure.struck.length} faults are left after ${runs} runs`)
  }
  for (last = (failure.struck.at(-1) ?? 0) + 1; last > 1; last -= Math.ceil(last / 8)) {
    const shorter = attempt({ rounds: last, without })
    if (!isSame(shorter)) break
    failure = shorter
  }
  return { failure, runs }
}

function failureOf(seed: number, options: RunOptions): Failure | undefined {
  try {
    runCluster(seed, options)
    return undefined
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
}

/** The first line only, without numbers and names. */
function kindOf({ message }: Failure): string {
  return message
    .split('\n')[0]!
    .replaceAll(/\d+/g, 'N')
    .replaceAll(/agent-./g, 'X')
}
