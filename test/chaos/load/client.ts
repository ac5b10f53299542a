/**
 * The load in front of the mapping gateway, as one program in its namespace: five long streams both ways, two loops of
 * half-closing requests, three UDP sessions, two HTTP clients with kept connections, three idle connections. Whatever ends is restarted.
 * Run: node --import tsx client.ts CONTROL-SOCKET
 */
import { serveControl } from './control.ts'
import { abuse, stopAbuse } from './abuse.ts'
import { DatagramFlow } from './datagram-flow.ts'
import { HttpFlow, RequestFlow } from './request-flows.ts'
import { IdleFlow, StreamFlow } from './stream-flows.ts'
import { Faults, latest, Tally } from './tally.ts'
import type { LoadStats } from './tally.ts'

/** Something that runs until it is finished. */
export interface Flow {
  /** Closes cleanly; resolves once it has ended, however long that takes within its limits. */
  finish(): Promise<void>
}

const faults = new Faults()
const resets = { count: 0 }
const tallies = ['streams', 'requests', 'datagrams', 'http', 'idle'].map((name) => new Tally(name))
const [streams, requests, datagrams, http, idle] = tallies as [Tally, Tally, Tally, Tally, Tally]
let flows: Flow[] = []
let markedAt = performance.now()

serveControl(process.argv[2]!, { start, mark, stats, finish, abuse, stopAbuse })

function start(): void {
  const onReset = (): void => void (resets.count += 1)
  flows = [
    ...FRAMES_A_TICK.map((frames) => new StreamFlow(streams, faults, frames, onReset)),
    ...[1, 2].map((number) => new RequestFlow(requests, faults, number)),
    ...[1, 2, 3].map((number) => new DatagramFlow(datagrams, faults, number)),
    ...[1, 2].map((number) => new HttpFlow(http, faults, number)),
    ...[1, 2, 3].map(() => new IdleFlow(idle, faults, onReset)),
  ]
}

function mark(): void {
  markedAt = performance.now()
  resets.count = 0
  for (const tally of tallies) tally.mark()
}

function stats(): LoadStats {
  const flowStats = Object.fromEntries(tallies.map((tally) => [tally.name, tally.stats]))
  const moving = [streams, requests, datagrams, http].map((tally) => tally.stats.movedMs)
  return {
    sinceMs: Math.round(performance.now() - markedAt),
    flows: flowStats,
    movedMs: latest(moving),
    resets: resets.count,
    earlyEnds: faults.earlyEnds,
    wrong: faults.wrong,
    hangs: faults.hangs,
  }
}

async function finish(): Promise<LoadStats> {
  await Promise.all(flows.map((flow) => flow.finish()))
  return stats()
}

/** Of the five streams: from 10 to 160 KB a second. */
const FRAMES_A_TICK = [1, 2, 4, 8, 16]
