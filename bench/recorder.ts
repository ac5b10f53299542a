/** Collects samples and failures during a run, and reports progress on stderr. */
import { PEERS, ROWS } from './rows.ts'
import type { PeerId, Place, Row } from './rows.ts'
import { formatValue } from './report.ts'
import { valueOf } from './results.ts'
import type { Results, TakenSample } from './results.ts'
import type { Step, Taken } from './steps.ts'

export interface Occasion {
  readonly step: Step
  readonly place: Place
  readonly peer: PeerId
  readonly round: number
}

export class Recorder {
  readonly #samples: TakenSample[] = []
  readonly #failures: { row: string; peer: PeerId; why: string }[] = []
  readonly #skipped: { what: string; why: string }[] = []
  readonly #failed = new Set<string>()

  get found(): Pick<Results, 'samples' | 'failures' | 'skipped'> {
    return { skipped: this.#skipped, failures: this.#failures, samples: this.#samples }
  }

  readonly skip = (what: string, why: string): void => {
    this.#skipped.push({ what, why })
    this.say(`skipped: ${what}: ${why}`)
  }

  async take({ step, place, peer, round }: Occasion, sample: () => Promise<Taken>): Promise<void> {
    try {
      const { values, from } = await sample()
      for (const [id, value] of Object.entries(values)) {
        const row = rowId(id, place)
        if (ROWS.some(({ id }) => id === row))
          this.add({ row, peer, round, value, ...(from !== undefined && { from }) })
      }
    } catch (error) {
      this.#failed.add(`${step.id} ${place} ${peer}`)
      for (const id of step.rows)
        if (ROWS.some((row) => row.id === rowId(id, place))) this.fail(rowId(id, place), peer, error)
    }
  }

  add(sample: TakenSample): void {
    this.#samples.push(sample)
  }

  fail(row: string, peer: PeerId, error: unknown): void {
    const why = error instanceof Error ? error.message : String(error)
    this.#failures.push({ row, peer, why: why.split('\n')[0]! })
    this.say(`failed: ${row}, ${peer}: ${why}`)
  }

  hasFailed(step: string, place: Place, peer: PeerId): boolean {
    return this.#failed.has(`${step} ${place} ${peer}`)
  }

  sayRound({ rows }: Step, place: Place, round: number, rounds: number): void {
    const row = ROWS.find(({ id }) => id === rowId(rows[0]!, place))
    if (row === undefined) return
    const values = PEERS.flatMap(({ id, name }) => {
      const found = this.#samples.find(
        (sample) => sample.row === row.id && sample.peer === id && sample.round === round,
      )
      return found === undefined ? [] : [`${name} ${formatValue(found.value ?? Number.NaN, row.digits)}`]
    })
    this.say(
      `${row.name}${place === 'loopback' ? '' : ` [${place}]`}, ${row.unit}${rounds > 1 ? `, round ${round + 1}/${rounds}` : ''}: ${values.join(', ')}`,
    )
  }

  sayValue(id: string): void {
    const row: Row = ROWS.find((row) => row.id === id)!
    const value = valueOf({ samples: this.#samples }, id, 'gateway')
    if (value !== undefined) this.say(`${row.name}: pilotgate ${formatValue(value, row.digits)} ${row.unit}`)
  }

  say(text: string): void {
    process.stderr.write(`[${(performance.now() / 1_000).toFixed(0).padStart(4)} s] ${text}\n`)
  }
}

function rowId(id: string, place: Place): string {
  return place === 'loopback' ? id : `${id}:${place}`
}
