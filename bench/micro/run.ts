/**
 * `npm run bench:check`: the micro benchmarks against baseline.json, as ratios to a reference loop of the same run.
 * Ends with 1 when a case leaves the bounds of verdict.ts. `-- --update` writes a new baseline for this version of Node.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { CASES, REFERENCES } from './cases.ts'
import type { Case } from './cases.ts'
import { brokenRelations, compare, tableOfLines } from './verdict.ts'
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
  const baselines = JSON.parse(readFileSync(baselineFile(), 'utf8')) as Record<string, Ratios>
  const node = process.version.split('.')[0]! // V8's compilers differ from one major version to the next
  if (args.includes('--update')) {
    const most = [measure(CASES), measure(CASES)].reduce((seen, more) => combine(seen, more, Math.max), ratios)
    writeFileSync(baselineFile(), `${JSON.stringify({ ...baselines, [node]: most }, null, 2)}\n`)
    process.stdout.write(`${tableOfLines(compare(ratios, most))}\nbaseline of Node ${node} written\n`)
    return 0
  }
  const baseline = baselines[node]
  if (baseline === undefined) process.stdout.write(`no baseline for Node ${node}: only the relations are checked\n`)
  const best: Record<string, number> = { ...ratios }
  for (let look = 0; look < MORE_LOOKS; look++) {
    const suspects = CASES.filter(({ name }) => named('worse', compare(best, baseline ?? best)).includes(name))
    if (suspects.length === 0) break
    Object.assign(best, combine(measure(suspects), best, Math.min))
  }
  const lines = compare(best, baseline ?? best)
  const faults = [
    ...named('worse', lines).map((name) => `${name} takes too long: docs/bench.md`),
    ...brokenRelations(best),
  ]
  const stale = named('better', lines).map(
    (name) => `${name}: the baseline is too old to guard it; renew it with -- --update`,
  )
  process.stdout.write(
    `${[tableOfLines(lines), '', ...stale, ...(faults.length === 0 ? ['all within their bounds'] : faults)].join('\n')}\n`,
  )
  return faults.length === 0 ? 0 : 1
}

function named(verdict: Line['verdict'], lines: readonly Line[]): string[] {
  return lines.filter((line) => line.verdict === verdict).map(({ name }) => name)
}

function combine(some: Ratios, others: Ratios, pick: (a: number, b: number) => number): Ratios {
  return Object.fromEntries(Object.entries(some).map(([name, ratio]) => [name, pick(ratio, others[name]!)]))
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
const ROUNDS = 30 // short and many: one of them is not interrupted, whatever else the machine does
const CASE_MS = 10
const REFERENCE_MS = 5
const MORE_LOOKS = 3

process.exitCode = main(process.argv.slice(2))
