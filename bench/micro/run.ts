/**
 * `npm run bench:check`: the micro benchmarks against baseline.json, as ratios to a reference loop of the same run.
 * Ends with 1 when a case became worse than the bound of verdict.ts. `-- --update` writes the baseline anew.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { CASES, REFERENCES } from './cases.ts'
import type { Case } from './cases.ts'
import { WORSE, compare, tableOfLines } from './verdict.ts'
import type { Line, Ratios } from './verdict.ts'

setFlagsFromString('--no-concurrent-array-buffer-sweeping')
setFlagsFromString('--expose-gc')
/** The young generation only: that is where buffers and cipher objects end. */
const collect = (
  (gc: (options: { readonly type: 'minor' }) => void) => () =>
    gc({ type: 'minor' })
)(runInNewContext('gc') as (options: object) => void)

function main(args: readonly string[]): number {
  const ratios = measure(CASES)
  if (args.includes('--update')) {
    writeFileSync(baselineFile(), `${JSON.stringify({ node: process.version, cases: ratios }, null, 2)}\n`)
    process.stdout.write(`${tableOfLines(compare(ratios, ratios))}\nbaseline written\n`)
    return 0
  }
  const { cases: baseline } = JSON.parse(readFileSync(baselineFile(), 'utf8')) as { readonly cases: Ratios }
  const suspects = worseOf(compare(ratios, baseline))
  const again = measure(CASES.filter(({ name }) => suspects.includes(name))) // a second look, before anybody is blamed
  const lines = compare({ ...ratios, ...least(again, ratios) }, baseline)
  const worse = worseOf(lines)
  process.stdout.write(
    `${tableOfLines(lines)}\n\n${worse.length === 0 ? `no case takes more than ${WORSE} times what it took` : `more than ${WORSE} times the baseline: ${worse.join('; ')}`}\n`,
  )
  return worse.length === 0 ? 0 : 1
}

function worseOf(lines: readonly Line[]): string[] {
  return lines.filter(({ verdict }) => verdict === 'worse').map(({ name }) => name)
}

function least(some: Ratios, others: Ratios): Ratios {
  return Object.fromEntries(Object.entries(some).map(([name, ratio]) => [name, Math.min(ratio, others[name]!)]))
}

/**
 * Rounds of everything, each case between two runs of its reference. What else a machine does only ever adds: the least
 * time that was seen counts, of the case and of its reference.
 */
function measure(cases: readonly Case[]): Ratios {
  const seen = new Map(cases.map(({ name }) => [name, { own: Infinity, reference: Infinity }]))
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    for (const { name, against, work } of cases) {
      const reference = REFERENCES[against]
      const [before, own, after] = [
        timeOf(reference, REFERENCE_MS),
        timeOf(work, CASE_MS),
        timeOf(reference, REFERENCE_MS),
      ]
      const least = seen.get(name)!
      if (round < 0) continue
      least.own = Math.min(least.own, own)
      least.reference = Math.min(least.reference, before, after)
    }
  }
  return Object.fromEntries(
    [...seen].map(([name, { own, reference }]) => [name, Number((own / reference).toPrecision(4))]),
  )
}

/** ms of one unit, with the garbage that it left: what one case makes, the next one must not pay for. */
function timeOf(work: () => number, leastMs: number): number {
  collect()
  const began = performance.now()
  let units = 0
  do units += work()
  while (performance.now() - began < leastMs)
  collect()
  return (performance.now() - began) / units
}

function baselineFile(): URL {
  return new URL('baseline.json', import.meta.url)
}

const WARM_UP_ROUNDS = 1
const ROUNDS = 7
const CASE_MS = 50
const REFERENCE_MS = 20

process.exitCode = main(process.argv.slice(2))
