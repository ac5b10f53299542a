/** The checks and test groups by name, each with a time limit: a run always ends. */
import { rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { CONTAINED_ENV, containment } from './contained.mjs'
import { COVERAGE_FOLDER, reportCoverage } from './coverage.mjs'
import { ROOT, ScriptError, bin, filesBelow, run } from './lib.mjs'
import { testNative } from './native.mjs'
import { testNodeVersions, withNode } from './node-versions.mjs'
import { installWheel } from './wheel.mjs'

/** Runs the steps in order and reports each; 0 when all passed. Later steps run even when an earlier one failed. */
export async function runSteps(names) {
  const unknown = names.filter((name) => !(name in STEPS))
  if (unknown.length > 0) throw new ScriptError(`no group ${unknown.join(', ')}; there are ${ALL_STEPS.join(', ')}`)
  const results = []
  const measured = names.includes('coverage')
  if (measured) rmSync(COVERAGE_FOLDER, { recursive: true, force: true })
  for (const name of names) {
    console.log(`\n── ${name}`)
    const began = performance.now()
    const code = await STEPS[name](measured)
    results.push({ name, code, seconds: (performance.now() - began) / 1000 })
    if (code === 130) break // Ctrl+C
  }
  console.log('')
  for (const { name, code, seconds } of results)
    console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${name.padEnd(13)} ${seconds.toFixed(1)} s`)
  return results.some(({ code }) => code !== 0) ? 1 : 0
}

/** @param options.node The program that runs the tests, and what they start: the one that runs this script if not given. */
export async function runFiles(
  name,
  files,
  { timeoutMs = 300_000, concurrency = availableParallelism(), node = process.execPath, env = {}, wrap = plainly } = {},
) {
  const flags = ['--import', 'tsx', '--test', '--test-reporter=spec', `--test-timeout=${timeoutMs}`]
  flags.push(`--test-concurrency=${concurrency}`) // Node's default leaves one core idle: on two, one file at a time
  const code = await run(...wrap(node, [...flags, ...files]), { timeoutMs, env: { ...withNode(node), ...env } })
  if (code === 124) console.error(`error: ${name} was not done after ${timeoutMs / 1000} s`)
  return code
}

function plainly(command, args) {
  return [command, args]
}

/**
 * With the reference programs of today, where they can be had, and where nothing of them can leave the machine.
 * @param long the rows that take minutes too
 */
export async function runInterop(name, files, { long = false, ...options } = {}) {
  const wrap = await containment()
  const bin = wrap === undefined ? undefined : await installWheel()
  const env = { ...(wrap && CONTAINED_ENV), ...(bin && { PILOT_TODAY_BIN: bin }), ...(long && { PILOTGATE_LONG: '1' }) }
  return await runFiles(name, files, { concurrency: 1, ...options, env, ...(wrap && { wrap }) })
}

/**
 * Node 20's --test takes no globs, so the files are listed here. A group without files fails: running nothing is not a
 * pass.
 */
function group(name, { runner = runFiles, ...options }) {
  return async (measured) => {
    const env = measured && options.covers ? { NODE_V8_COVERAGE: COVERAGE_FOLDER } : {}
    const files = filesBelow(join(ROOT, 'test', name))
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => relative(ROOT, file))
    if (files.length > 0) return await runner(name, files, { ...options, env })
    console.error(`error: no *.test.ts below test/${name}`)
    return options.optional === true ? 0 : 1
  }
}

const SOURCES = ['src', 'test', 'scripts', 'examples', 'bench']

const STEPS = {
  types: () => run(bin('tsc'), ['-p', '.'], { timeoutMs: 120_000 }),
  lint: () => run(bin('oxlint'), ['--deny-warnings', ...SOURCES], { timeoutMs: 60_000 }),
  format: () => run(bin('oxfmt'), ['--check', ...SOURCES], { timeoutMs: 60_000 }),
  schema: () => run(process.execPath, ['--import', 'tsx', 'scripts/schema.mjs', '--check'], { timeoutMs: 60_000 }),
  architecture: () => runFiles('architecture', ['test/architecture.test.ts'], { timeoutMs: 60_000 }),
  documents: group('documents', { timeoutMs: 60_000 }),
  native: () => testNative(), // before the tests that use it
  unit: group('unit', { timeoutMs: 240_000, concurrency: availableParallelism() + 1, covers: true }), // many only wait
  vectors: group('vectors', { timeoutMs: 120_000, covers: true }),
  sim: group('sim', { timeoutMs: 900_000, covers: true }),
  fuzz: group('fuzz', { timeoutMs: 300_000 }),
  interop: group('interop', { timeoutMs: 1_500_000, runner: runInterop }),
  'interop-long': group('interop', { timeoutMs: 3_600_000, runner: runInterop, long: true }),
  nat: group('nat', { timeoutMs: 300_000, concurrency: 1 }), // the kernel's own NATs, in namespaces
  e2e: group('e2e', { timeoutMs: 900_000, concurrency: 1 }), // real sockets and clocks: one at a time
  bench: () => run(process.execPath, ['--import', 'tsx', 'bench/micro/run.ts'], { timeoutMs: 120_000 }), // npm run bench:check
  'node-versions': () => testNodeVersions(runFiles),
  coverage: () => Promise.resolve(reportCoverage()), // of unit, vectors and sim; last, so that the table is what one sees
}

/** Only for CI, or by name: about the machine as well, fetching Node itself three times, compiling a cipher. */
const CI_ONLY = ['bench', 'node-versions', 'native']
/** Only by name: rows of half an hour. */
const BY_NAME = ['interop-long']

const ALL_STEPS = Object.keys(STEPS)
export const CI_STEPS = ALL_STEPS.filter((name) => !BY_NAME.includes(name))
export const DEFAULT_STEPS = CI_STEPS.filter((name) => !CI_ONLY.includes(name))
