/**
 * The laboratory with real processes: `npm run test:chaos` runs every row once; `-- --rows kill-b,flap` only these; `--
 * --minutes 120` random rows until the time is up, with `--rows churn` that one row for as long. `--seed N` repeats the
 * choices of an earlier run; `--list` names the rows. Exit code 1 if a promise is broken.
 */
import { parseArgs } from 'node:util'
import { whyNoLab } from '../nat/lab.ts'
import { runLine, table } from './report.ts'
import type { Row, RowResult } from './row.ts'
import { ROWS } from './rows.ts'
import { churnRow } from './rows/churn.ts'
import { randomSource, runBelievably } from './runner.ts'

const { values } = parseArgs({
  options: {
    rows: { type: 'string' },
    minutes: { type: 'string' },
    seed: { type: 'string' },
    list: { type: 'boolean' },
  },
})

async function main(): Promise<number> {
  if (values.list === true) {
    for (const { name, what } of ROWS) console.log(`${name.padEnd(24)} ${what}`)
    return 0
  }
  const why = whyNoLab()
  if (why !== undefined) {
    console.log(`skipped: ${why}`)
    return 0
  }
  const rows = chosen()
  const seed = Number(values.seed ?? Math.floor(Date.now() / 1_000)) >>> 0
  console.log(`seed ${seed}, ${rows.length} rows`)
  const results: RowResult[] = []
  for (const [row, rowSeed] of plan(rows, seed)) {
    const result = await runBelievably(row, rowSeed)
    results.push(result)
    console.log(runLine(result))
  }
  console.log(`\n${table(results)}`)
  const broken = results.filter(({ row, problems }) => problems.length > 0 && row.knownToFail === undefined)
  console.log(
    broken.length === 0 ? '\nevery promise was kept' : `\n${broken.length} of ${results.length} runs broke a promise`,
  )
  return broken.length === 0 ? 0 : 1
}

function chosen(): readonly Row[] {
  if (values.rows === undefined) return ROWS
  return values.rows.split(',').map((name) => {
    const row = ROWS.find((candidate) => candidate.name === name)
    if (row === undefined) throw new Error(`no row ${name}; --list shows them`)
    return row
  })
}

/** Each row once, or random ones until the time is up. */
function* plan(rows: readonly Row[], seed: number): Generator<readonly [Row, number]> {
  const random = randomSource(seed)
  if (values.rows === 'churn' && values.minutes !== undefined) return yield [churnRow(Number(values.minutes)), seed]
  if (values.minutes === undefined) {
    for (const row of rows) yield [row, random(SEEDS)]
    return
  }
  const until = performance.now() + Number(values.minutes) * 60_000
  while (performance.now() < until) yield [rows[random(rows.length)]!, random(SEEDS)]
}

const SEEDS = 2 ** 31

process.exitCode = await main()
