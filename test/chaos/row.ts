/** A row of the table. The tables are in rows/; runner.ts runs one row, run.ts many. */
import type { Stage } from '../e2e/harness.ts'
import type { LoadStats } from './load/tally.ts'
import type { Side, World, WorldOptions } from './world.ts'

/** Seeded: the same seed makes the same choices. */
export type Random = (limit: number) => number

export type Heal = () => Promise<void> | void

/** What must hold. Times are for an idle machine: the runner allows for the load it measures. */
export interface RowPromise {
  readonly recoveryMs: number // from the end of the fault until every flow has moved both ways
  readonly silenceMs?: number // the longest time without progress of a long stream while the fault lasts
  readonly newDuring?: boolean // new requests are answered while the fault lasts, and none fails
  readonly failureMs?: number // a new connection that fails does so within this
  readonly resets?: boolean // open streams may be reset
  /** This side's process is killed: the kernel shows the program next to it a clean end. */
  readonly localEnds?: Side | 'both'
}

export interface LoadedRow {
  readonly name: string
  readonly what: string
  readonly promise: RowPromise
  readonly world?: WorldOptions
  /** Before anything is started. */
  readonly prepare?: (world: World) => void
  /** Starts the fault and waits as long as it lasts; the returned function ends it and resolves when it is over. */
  readonly fault: (world: World) => Promise<Heal>
  /** What else must hold once everything has recovered. @returns what does not. */
  readonly check?: (world: World, during: LoadStats) => Promise<readonly string[]>
  /** Known to fail, with the reason: it is run and shown but does not fail the suite. */
  readonly knownToFail?: string
}

/** Without the load: the row checks a fact, not a flow. */
export interface FactRow {
  readonly name: string
  readonly what: string
  readonly fact: (stage: Stage, random: Random) => Promise<FactResult>
  readonly knownToFail?: string
}

export interface FactResult {
  readonly problems: readonly string[]
  readonly notes: readonly string[]
}

export type Row = LoadedRow | FactRow

/** Wrong bytes and hangs are never excused; late times may be, by a second run on a quieter machine. */
export type ProblemKind = 'bytes' | 'hang' | 'time' | 'fact'

export interface Problem {
  readonly kind: ProblemKind
  readonly text: string
}

export interface RowResult {
  readonly row: Row
  readonly seed: number
  readonly problems: readonly Problem[]
  readonly notes: readonly string[]
  readonly recoveryMs: number | undefined
  readonly silenceMs: number
  readonly wrongBytes: number
  readonly hangs: number
  readonly logLines: number
  readonly peakRssBytes: number
  readonly descriptors: number // of the gateway with more of them, at the end
  readonly busy: number // how many times slower the machine was than an idle one
  readonly elapsedMs: number
}
