/**
 * `npm run bench:check`: the micro benchmarks against baseline.json, as ratios to a reference loop of the same run.
 * Exits 1 if a case leaves the bounds in verdict.ts. `-- --update` writes a new baseline for this version of Node.
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
/** Only the young generation: that is where buffers and cipher objects die. */
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
 * Rounds of everything, each case between two runs of its reference. Other work on the machine only ever adds time: the
 * minimum counts, for the case and for its reference.
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

/** ms per unit, including its garbage: the next case must not pay for it. */
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
const ROUNDS = 30 // short and many: at least one is not interrupted, however busy the machine is
const CASE_MS = 10
const REFERENCE_MS = 5
const MORE_LOOKS = 3

process.exitCode = main(process.argv.slice(2))
