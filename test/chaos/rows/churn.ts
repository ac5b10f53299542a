/** For hours: connections come and go, the peer restarts, and nothing in the other gateway or the rendezvous grows. */
import type { AbuseReport } from '../load/abuse.ts'
import type { Part } from '../part.ts'
import type { LoadedRow } from '../row.ts'
import { pause } from '../world.ts'
import type { World } from '../world.ts'
import { probe } from './machine.ts'

interface Sample {
  readonly heapMiB: number
  readonly rssMiB: number
  readonly descriptors: number
  readonly timers: number
}

export function churnRow(minutes: number): LoadedRow {
  return {
    name: 'churn',
    what: `${minutes} min of connections that come and go, while the exposing gateway restarts every 30 s`,
    promise: { recoveryMs: 12_000, resets: true, localEnds: 'b' },
    world: { probe: true },
    fault: async (world) => {
      const samples = new Map<Part, Sample[]>([
        [world.a, []],
        [world.rendezvous, []],
      ])
      const until = performance.now() + minutes * 60_000
      const [restarts, dials] = [{ count: 0 }, { count: 0 }]
      let restartAt = performance.now() + RESTART_MS
      while (performance.now() < until) {
        dials.count += await churn(world)
        if (performance.now() > restartAt) {
          await world.b.restart()
          restarts.count += 1
          restartAt = performance.now() + RESTART_MS
        }
        await pause(QUIET_MS)
        for (const [part, list] of samples) list.push(await sample(world, part))
      }
      world.notes.push(`${dials.count} connections, ${restarts.count} restarts of the exposing gateway`)
      for (const [part, list] of samples) judge(world, part.name, list)
      return () => {}
    },
  }
}

/** One round of connections: some are answered, some refused, some left open for a while. */
async function churn(world: World): Promise<number> {
  await world.client('abuse', { kind: 'open', flow: 'idle', count: 50, write: '' })
  const answered = await world.client<AbuseReport>('abuse', { kind: 'dial', flow: 'idle', count: 200, concurrency: 10 })
  await world.client('abuse', { kind: 'dial', flow: 'nowhere', count: 50, concurrency: 10 })
  await world.client('stopAbuse')
  return 300 - answered.silent
}

async function sample(world: World, part: Part): Promise<Sample> {
  const { heapBytes, resources } = await probe(world, part)
  const { rssBytes, descriptors } = part.resources()!
  const timers = (resources['Timeout'] ?? 0) + (resources['Immediate'] ?? 0)
  return { heapMiB: heapBytes / 2 ** 20, rssMiB: rssBytes / 2 ** 20, descriptors, timers }
}

/** Compares the last quarter of the samples with the first, which begins once everything has been done once. */
function judge(world: World, name: string, samples: readonly Sample[]): void {
  const warm = samples.slice(Math.min(WARM_SAMPLES, samples.length >> 2))
  const quarter = Math.max(1, warm.length >> 2)
  const [first, last] = [warm.slice(0, quarter), warm.slice(-quarter)]
  const grown = (of: (sample: Sample) => number): readonly [number, number] => [
    median(first.map(of)),
    median(last.map(of)),
  ]
  for (const [what, [before, after], allowed] of [
    ['heap MiB', grown(({ heapMiB }) => heapMiB), HEAP_GROWTH_MIB],
    ['RSS MiB', grown(({ rssMiB }) => rssMiB), RSS_GROWTH_MIB],
    ['descriptors', grown(({ descriptors }) => descriptors), DESCRIPTOR_GROWTH],
    ['timers', grown(({ timers }) => timers), TIMER_GROWTH],
  ] as const) {
    world.notes.push(`${name}, ${what}: ${before.toFixed(1)} in the first quarter, ${after.toFixed(1)} in the last`)
    if (after > before + allowed)
      throw new Error(`${name} grows: ${what} from ${before.toFixed(1)} to ${after.toFixed(1)}`)
  }
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0
}

const RESTART_MS = 30_000
/** Before each sample: time for ended connections to leave every table. */
const QUIET_MS = 3_000
const WARM_SAMPLES = 4
/** After a full collection: tables that grow and shrink, no more. */
const HEAP_GROWTH_MIB = 3
/** The allocator keeps what bursts needed. */
const RSS_GROWTH_MIB = 25
/** Load connections that are just being re-established. */
const DESCRIPTOR_GROWTH = 12
const TIMER_GROWTH = 12
