/**
 * Cluster runs by hand and for hours: `npm run test:soak -- --from 1 --seeds 1000`, or `--minutes 120` with seeds that
 * continue from `--from` (default: the day, so that each day tries others). A failing seed is printed with its last
 * events; add it to test/sim/cluster.sim.test.ts and keep it there. `--twice` runs each seed again and compares every
 * datagram,
 * `--bounds` shows how much any node held, `--shrink SEED` looks for the shortest list of faults that still fails.
 */
import { parseArgs } from 'node:util'
import { runCluster } from './cluster.ts'
import { shrink } from './shrink.ts'

const { values } = parseArgs({
  options: {
    from: { type: 'string' },
    seeds: { type: 'string' },
    minutes: { type: 'string' },
    rounds: { type: 'string' },
    twice: { type: 'boolean' },
    shrink: { type: 'string' },
    bounds: { type: 'boolean' },
  },
})
const from = Number(values.from ?? Math.floor(Date.now() / 86_400_000) * 100_000)
const endAt = values.minutes === undefined ? Infinity : Date.now() + Number(values.minutes) * 60_000
const last = values.seeds === undefined ? (endAt === Infinity ? from + 100 : Infinity) : from + Number(values.seeds)
const rounds = values.rounds === undefined ? undefined : Number(values.rounds)

if (values.shrink !== undefined) {
  const shrunk = shrink(Number(values.shrink), rounds, console.log)
  console.log(shrunk === undefined ? 'it does not fail' : `after ${shrunk.runs} runs: ${shrunk.failure.message}`)
  process.exit(shrunk === undefined ? 0 : 1)
}

const most: Record<string, number> = {}
const sum = { seeds: 0, virtualMs: 0, streams: 0, bytes: 0, faults: 0 }
const failed: number[] = []
const beganAt = Date.now()
for (let seed = from; seed < last && Date.now() < endAt; seed++) {
  try {
    const report = runCluster(seed, { rounds })
    sum.virtualMs += report.virtualMs
    sum.streams += report.streams
    sum.bytes += report.bytes
    sum.faults += report.faults
    for (const [what, count] of Object.entries(report.most)) most[what] = Math.max(most[what] ?? 0, count)
    if (values.twice === true && runCluster(seed, { rounds }).digest !== report.digest)
      throw new Error(`seed ${seed}: two runs differ`)
  } catch (error) {
    failed.push(seed)
    console.log(error instanceof Error ? error.message : String(error))
  }
  sum.seeds += 1
  if (sum.seeds % 25 === 0) tell()
}
tell()
if (values.bounds === true) console.log(most)
process.exitCode = failed.length === 0 ? 0 : 1

function tell(): void {
  const hours = (sum.virtualMs / 3_600_000).toFixed(1)
  const seconds = ((Date.now() - beganAt) / 1_000).toFixed(0)
  const mebibytes = (sum.bytes / 2 ** 20).toFixed(0)
  console.log(
    `${sum.seeds} seeds from ${from}, ${hours} virtual hours, ${sum.streams} streams, ${mebibytes} MiB, ${sum.faults} faults in ${seconds} s; failed: ${failed.join(', ') || 'none'}`,
  )
}
