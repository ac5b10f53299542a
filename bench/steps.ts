/**
 * How each row is measured. A step yields one sample of its rows for one variant; the run measures all variants in
 * turn, round after round. Every transfer is exact: its size is agreed beforehand, and one byte too few or too many is
 * a failure.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from './crew.ts'
import { cpuSeconds, residentBytes } from './proc.ts'
import type { Direction, Rate } from './roles/tcp-client.ts'
import { isGo } from './rows.ts'
import type { PeerId, Place } from './rows.ts'
import type { Scale } from './scale.ts'
import { median, quantile } from './stats.ts'
import type { Way, World } from './ways.ts'

/** What one sample is made from. */
export interface Setting {
  readonly world: World
  readonly scale: Scale
  readonly place: Place
  readonly peer: PeerId
  readonly way: Way
  /** A second client process, for connections that are held; `fresh`: a new one, whose memory nothing has grown yet. */
  holder(fresh: boolean): Promise<Client>
}

/** The values of one round by row (without its place), and what they were made from. */
export interface Taken {
  readonly values: Readonly<Record<string, number>>
  readonly from?: Readonly<Record<string, number>>
}

export interface Step {
  readonly id: string
  readonly rows: readonly string[]
  readonly peers: readonly PeerId[]
  readonly rounds?: (scale: Scale) => number // absent: those of the scale
  readonly sample: (setting: Setting) => Promise<Taken>
}

const ALL: readonly PeerId[] = [
  'tcp',
  'tcp-proxy',
  'tls-proxy',
  'gateway',
  'gateway-node',
  'grpc',
  'grpc-gateway',
  'nats',
  'nats-gateway',
  'go-go',
  'gateway-go',
]
const TCP: readonly PeerId[] = ['tcp', 'tcp-proxy', 'tls-proxy', 'gateway', 'gateway-node']
const STREAMS: readonly PeerId[] = [...TCP, 'grpc', 'grpc-gateway', 'nats', 'nats-gateway']

/** Memory first: later the heaps have spare room from the transfers. */
export const STEPS: readonly Step[] = [
  {
    id: 'memory',
    rows: ['memory', 'memory-10k'],
    peers: ['tcp-proxy', 'tls-proxy', 'gateway', 'grpc', 'nats'],
    rounds: () => 1,
    sample: memory,
  },
  { id: 'setup', rows: ['setup'], peers: ALL, sample: setUp },
  { id: 'rtt', rows: ['rtt', 'rtt-p99'], peers: ALL, sample: roundTrip },
  { id: 'one', rows: ['one', 'cpu'], peers: STREAMS, sample: (setting) => transferStep(setting, 'down', 1, 'one') },
  { id: 'sixteen', rows: ['sixteen'], peers: TCP, sample: (setting) => transferStep(setting, 'down', 16, 'sixteen') },
  { id: 'both', rows: ['both'], peers: TCP, sample: (setting) => transferStep(setting, 'both', 1, 'both') },
  {
    id: 'echo',
    rows: ['echo'],
    peers: ['gateway', 'go-go', 'gateway-go'],
    sample: (setting) => transferStep(setting, 'echo', 1, 'echo'),
  },
  { id: 'bulk', rows: ['bulk', 'bulk-rate'], peers: TCP, sample: bulk },
  { id: 'http', rows: ['http'], peers: TCP, sample: (setting) => rate(setting, 'http', setting.way.http!) },
  {
    id: 'unary',
    rows: ['unary'],
    peers: ['grpc', 'grpc-gateway'],
    sample: (setting) => rate(setting, 'unary', setting.way.to),
  },
  {
    id: 'accept',
    rows: ['accept'],
    peers: TCP,
    sample: (setting) => rate(setting, 'connections', setting.way.to, 'accept'),
  },
  { id: 'idle', rows: ['idle'], peers: ['tls-proxy', 'gateway'], rounds: () => 1, sample: besideIdle },
]

async function setUp({ world, scale, peer, way }: Setting): Promise<Taken> {
  if (isGo(peer)) await sleep(GO_PAUSE_MS)
  const times = await world.client.ask<number[]>({
    do: 'setUps',
    by: way.by,
    to: way.to,
    count: isGo(peer) ? GO_SET_UPS : scale.setUps,
  })
  return {
    values: { setup: median(times) },
    from: { count: times.length, least: Math.min(...times), most: Math.max(...times) },
  }
}

async function roundTrip({ world, scale, way }: Setting): Promise<Taken> {
  const times = await world.client.ask<number[]>({
    do: 'roundTrips',
    by: way.by,
    to: way.to,
    count: scale.roundTrips,
    bytes: MESSAGE_BYTES,
  })
  return {
    values: { rtt: median(times), 'rtt-p99': quantile(times, 0.99) },
    from: { count: times.length, least: Math.min(...times), most: Math.max(...times) },
  }
}

async function transferStep(setting: Setting, direction: Direction, streams: number, row: string): Promise<Taken> {
  const bytes = await agreedBytes(setting, direction, streams)
  const { ms, seconds } = await transfer(setting, direction, streams, bytes)
  const cpu = setting.way.pids.length === 0 || row !== 'one' ? {} : { cpu: (seconds / bytes) * 1e9 }
  return {
    values: { [row]: (bytes * 8) / ms / 1e6, ...(Number.isNaN(cpu.cpu) ? {} : cpu) },
    from: { bytes, ms, cpuSeconds: seconds },
  }
}

/** @returns how long it took, and what it cost the processes in between. */
async function transfer(
  { world, way }: Setting,
  direction: Direction,
  streams: number,
  bytes: number,
): Promise<{ readonly ms: number; readonly seconds: number }> {
  const before = cpuSeconds(way.pids)
  const to = direction === 'echo' ? way.echo! : way.to
  const ms = await world.client.ask<number>({ do: 'transfer', by: way.by, to, direction, streams, bytes }, TRANSFER_MS)
  return { ms, seconds: cpuSeconds(way.pids) - before }
}

/** As many bytes as this variant carries in the target time; determined once, and the same in every round. */
const agreed = new WeakMap<Way, Map<string, number>>()

async function agreedBytes(setting: Setting, direction: Direction, streams: number): Promise<number> {
  const known = agreed.get(setting.way) ?? new Map<string, number>()
  agreed.set(setting.way, known)
  const key = `${setting.place} ${direction} ${streams}`
  const found = known.get(key)
  if (found !== undefined) return found
  const { ms: leastMs } = await transfer(setting, direction, streams, LEAST_BYTES)
  for (let bytes = 4 * LEAST_BYTES; ; bytes *= 4) {
    const { ms } = await transfer(setting, direction, streams, bytes)
    if (ms < leastMs + TELLING_MS && bytes < MOST_BYTES) continue
    const fitting =
      Math.round((((bytes - LEAST_BYTES) / (ms - leastMs)) * setting.scale.transferMs) / WHOLE_BYTES) * WHOLE_BYTES
    known.set(key, Math.min(MOST_BYTES, Math.max(WHOLE_BYTES, fitting)))
    return known.get(key)!
  }
}

async function bulk({ world, scale, way }: Setting): Promise<Taken> {
  const times = await world.client.ask<number[]>({ do: 'requests', to: way.to, count: scale.requests, bytes: 1e6 })
  const total = times.reduce((sum, ms) => sum + ms, 0)
  return {
    values: { bulk: median(times), 'bulk-rate': (times.length * 1_000) / total },
    from: { count: times.length, ms: total },
  }
}

async function rate(
  { world, scale }: Setting,
  order: 'http' | 'unary' | 'connections',
  to: Way['to'],
  row: string = order,
): Promise<Taken> {
  const { count, ms } = await world.client.ask<Rate>({ do: order, to, forMs: scale.rateMs, concurrency: CONCURRENCY })
  return { values: { [row]: (count * 1_000) / ms }, from: { count, ms } }
}

/** Of what is between; of gRPC of both ends, of NATS of its server. Kernel buffers are in no one's figure. */
async function memory({ scale, way, holder }: Setting): Promise<Taken> {
  const client = await holder(way.by === 'grpc')
  try {
    const pids = way.by === 'grpc' ? [...(way.ends ?? []), client.pid] : way.pids
    await client.ask({ do: 'hold', by: way.by, to: way.to, count: WARM_UP_CONNECTIONS })
    await client.ask({ do: 'release' })
    await sleep(SETTLE_MS)
    const before = residentBytes(pids)
    const grown = async (more: number, all: number): Promise<number> => {
      await client.ask({ do: 'hold', by: way.by, to: way.to, count: more }, HOLD_MS)
      await sleep(SETTLE_MS)
      return (residentBytes(pids) - before) / all / 1_024
    }
    const idle = way.by === 'grpc' ? scale.idle / 2 : scale.idle // they are slow to open
    const some = await grown(idle, idle)
    if (Number.isNaN(some)) throw new Error('there is no /proc to read memory from')
    if (scale.many === 0 || way.by === 'grpc') return { values: { memory: some }, from: { connections: idle } }
    const many = Math.min(scale.many, mostConnections(way))
    return {
      values: { memory: some, 'memory-10k': await grown(many - scale.idle, many) },
      from: { connections: scale.idle, many },
    }
  } finally {
    await client.ask({ do: 'release' }, HOLD_MS)
  }
}

/** CPU for the same bytes without, with and again without many open connections beside. */
async function besideIdle(setting: Setting): Promise<Taken> {
  const { scale, way, holder } = setting
  const bytes = IDLE_TRANSFERS * (await agreedBytes(setting, 'down', 1))
  const costs = async (): Promise<number[]> => {
    const found: number[] = []
    for (let i = 0; i < scale.rounds; i++) found.push((await transfer(setting, 'down', 1, bytes)).seconds)
    return found
  }
  const before = await costs()
  const connections = Math.min(scale.many === 0 ? scale.idle : scale.many, mostConnections(way))
  const client = await holder(false)
  let beside: number[] = []
  try {
    await client.ask({ do: 'hold', by: way.by, to: way.to, count: connections }, HOLD_MS)
    await sleep(SETTLE_MS)
    beside = await costs()
  } finally {
    await client.ask({ do: 'release' }, HOLD_MS)
  }
  await sleep(SETTLE_MS)
  const without = median([...before, ...(await costs())])
  return {
    values: { idle: median(beside) / without },
    from: { connections, bytes, cpuSecondsWithout: without, cpuSecondsWith: median(beside) },
  }
}

/** A proxy needs two descriptors per connection, a gateway one. */
function mostConnections(way: Way): number {
  const limit = Number(/Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1_024)
  return Math.floor((limit - SPARE_DESCRIPTORS) / (way.echo === undefined && way.by === 'tcp' ? 2 : 1))
}

const MESSAGE_BYTES = 1_024
const CONCURRENCY = 32
/** A Go node takes ten new connections at once from one peer, then ten a second, and is silent about further ones. */
const GO_SET_UPS = 5
const GO_PAUSE_MS = 700
const LEAST_BYTES = 262_144
const MOST_BYTES = 16e9
const WHOLE_BYTES = 65_536
/** Shorter transfers say little about the rate. */
const TELLING_MS = 80
const TRANSFER_MS = 120_000
const WARM_UP_CONNECTIONS = 100
const SETTLE_MS = 700
const HOLD_MS = 240_000
/** The clock of CPU time ticks every 10 ms: the transfers of the row about idle connections are so many times as long. */
const IDLE_TRANSFERS = 4
const SPARE_DESCRIPTORS = 500
