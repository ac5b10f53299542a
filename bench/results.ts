/** The results of a run, as written to results.json; tables and charts are made only from this. */
import { median, medianRatio, present } from './stats.ts'
import type { Sample } from './stats.ts'
import type { PeerId } from './rows.ts'

export interface Machine {
  readonly cpus: string // 2 × AMD EPYC
  readonly memory: string
  readonly system: string
}

export interface TakenSample {
  readonly row: string
  readonly peer: PeerId
  readonly round: number
  readonly value: Sample // null: it failed
  readonly from?: Readonly<Record<string, number>>
}

export interface Results {
  readonly v: 1
  readonly date: string // RFC 3339
  readonly mode: string
  readonly only: readonly string[]
  readonly commit: string // git describe
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  readonly seconds: number
  readonly skipped: readonly { readonly what: string; readonly why: string }[]
  readonly failures: readonly { readonly row: string; readonly peer: PeerId; readonly why: string }[]
  readonly samples: readonly TakenSample[]
}

/** One value per round; null if it failed. */
export function samplesOf(results: Pick<Results, 'samples'>, row: string, peer: PeerId): Sample[] {
  return results.samples
    .filter((sample) => sample.row === row && sample.peer === peer)
    .sort((a, b) => a.round - b.round)
    .map(({ value }) => value)
}

/** Median of the rounds; undefined if there is none. */
export function valueOf(results: Pick<Results, 'samples'>, row: string, peer: PeerId): number | undefined {
  const values = present(samplesOf(results, row, peer))
  return values.length === 0 ? undefined : median(values)
}

/** Median of the per-round ratios; undefined if no round has both. */
export function ratioOf(
  results: Pick<Results, 'samples'>,
  row: string,
  peer: PeerId,
  reference: PeerId,
  referenceRow = row,
): number | undefined {
  const ratio = medianRatio(samplesOf(results, row, peer), samplesOf(results, referenceRow, reference))
  return Number.isNaN(ratio) ? undefined : ratio
}
