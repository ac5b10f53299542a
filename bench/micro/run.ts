/**
 * `npm run bench:check`: the micro benchmarks against baseline.json, as ratios to a reference loop of the same run.
 * Ends with 1 when a case became worse than the bound of verdict.ts. `-- --update` writes the baseline anew.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { median } from '../stats.ts'
import { CASES, REFERENCES } from './cases.ts'
import type { ReferenceName } from './cases.ts'
import { WORSE, compare, tableOfLines } from './verdict.ts'
import type { Ratios } from './verdict.ts'

setFlagsFromString('--no-concurrent-array-buffer-sweeping')

function main (args: readonly string[]): number {
  const ratios = measure()
  if (args.includes('--update')) {
    writeFileSync(baselineFile(), `${JSON.stringify({ node: process.version, cases: ratios }, null, 2)}\n`)
    process.stdout.write(`${tableOfLines(compare(ratios, ratios))}\nbaseline written\n`)
    return 0
  }
  const { cases } = JSON.parse(readFileSync(baselineFile(), 'utf8')) as { readonly cases: Ratios }
  const lines = compare(ratios, cases)
  const worse = lines.filter(({ verdict }) => verdict === 'worse')
  process.stdout.write(`${tableOfLines(lines)}\n\n${worse.length === 0 ? `no case takes more than ${WORSE} times what it took` : `more than ${WORSE} times the baseline: ${worse.map(({ name }) => name).join('; ')}`}\n`)
  return worse.length === 0 ? 0 : 1
}

/** Rounds of everything, so that what else the machine does meets all alike; the median of the rounds counts. */
function measure (): Ratios {
  const seen = new Map<string, number[]>(CASES.map(({ name }) => [name, []]))
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    for (const { name, against, work } of CASES) {
      const references = REFERENCES[against satisfies ReferenceName]
      const before = timeOf(references, REFERENCE_MS)
      const own = timeOf(work, CASE_MS)
      const after = timeOf(references, REFERENCE_MS)
      if (round >= 0) seen.get(name)!.push(own * 2 / (before + after))
    }
  }
  return Object.fromEntries([...seen].map(([name, values]) => [name, Number(median(values).toPrecision(4))]))
}

/** ms of one unit. */
function timeOf (work: () => number, leastMs: number): number {
  const began = performance.now()
  let units = 0
  let elapsed = 0
  do {
    units += work()
    elapsed = performance.now() - began
  } while (elapsed < leastMs)
  return elapsed / units
}

function baselineFile (): URL { return new URL('baseline.json', import.meta.url) }

const WARM_UP_ROUNDS = 2
const ROUNDS = 9
const CASE_MS = 20
const REFERENCE_MS = 8

process.exitCode = main(process.argv.slice(2))
