/** What others do to us: backends, readers, clients and strangers misbehave while everyone else is served. */
import { parseEndpoint } from '../../../src/base/types.ts'
import { inside } from '../../nat/lab.ts'
import type { AbuseReport, AbuseRequest } from '../load/abuse.ts'
import type { OddMode } from '../load/odd.ts'
import { SLOW_MS } from '../load/odd.ts'
import type { LoadedRow, RowPromise } from '../row.ts'
import { pause } from '../world.ts'
import type { World } from '../world.ts'

/** Others are served throughout. */
const UNHARMED: RowPromise = { recoveryMs: 3_000, silenceMs: 4_000, newDuring: true }

export const ABUSE_ROWS: readonly LoadedRow[] = [
  backend('down', 'the service does not listen', ({ refused, slowestMs }) => refused === 30 && slowestMs < 10_000),
  backend(
    'reset',
    'the service resets each connection',
    ({ refused, slowestMs }) => refused === 30 && slowestMs < 10_000,
  ),
  backend('slow', `the service answers after ${SLOW_MS / 1_000} s`, ({ answered }) => answered === 30),
  {
    name: 'backend-never-reads',
    what: 'ten clients pour into a service that never reads',
    promise: UNHARMED,
    fault: async (world) => {
      await world.server('odd', { mode: 'never reads' satisfies OddMode })
      const report = await abuse(world, { kind: 'pour', flow: 'odd', count: 10 })
      world.notes.push(report.note ?? '')
      if (report.answered !== 10) throw new Error(`a writer was not blocked: ${report.note}`)
      return async () => {
        await world.client('stopAbuse')
        await world.server('odd', { mode: 'echo' })
      }
    },
  },
  {
    name: 'slow-reader',
    what: 'a client sends to an echo for 10 s without reading, then reads everything',
    promise: UNHARMED,
    fault: async (world) => {
      const report = await abuse(world, { kind: 'slow reader', flow: 'idle', count: 10 })
      world.notes.push(report.note ?? '')
      if (report.answered !== 1) throw new Error(`not all came back: ${report.note}`)
      return () => {}
    },
  },
  {
    name: 'half-open',
    what: '2,000 local clients connect and stay silent',
    promise: { ...UNHARMED, silenceMs: 10_000 },
    fault: async (world) => {
      await abuse(world, { kind: 'open', flow: 'idle', count: 2_000, write: '' })
      return async () => void (await world.client('stopAbuse'))
    },
    check: async (world) => {
      const left = (): number => Math.max(world.a.resources()!.descriptors, world.b.resources()!.descriptors)
      for (let tries = 0; tries < 60 && left() > FEW_DESCRIPTORS; tries++) await pause(250)
      return left() > FEW_DESCRIPTORS ? [`${left()} descriptors are open after the clients have gone`] : []
    },
  },
  {
    name: 'flood-connections',
    what: 'a trusted peer makes 3,000 connections as fast as it can',
    promise: { ...UNHARMED, silenceMs: 8_000 },
    fault: async (world) => {
      const report = await abuse(world, { kind: 'dial', flow: 'idle', count: 3_000, concurrency: 60 })
      world.notes.push(`${report.answered} answered, ${report.refused} refused, slowest ${report.slowestMs} ms`)
      if (report.silent > 0) throw new Error(`${report.silent} connections were left waiting`)
      return () => {}
    },
  },
  {
    name: 'flood-refused',
    what: 'a trusted peer dials a port that is not exposed 3,000 times',
    promise: { ...UNHARMED, silenceMs: 8_000 },
    fault: async (world) => {
      const report = await abuse(world, { kind: 'dial', flow: 'nowhere', count: 3_000, concurrency: 60 })
      if (report.refused !== 3_000) throw new Error(`not all were refused: ${JSON.stringify(report)}`)
      return () => {}
    },
    check: async ({ a, b }) => {
      const lines = Math.max(a.logLines, b.logLines)
      return lines > MAX_LOG_LINES ? [`3,000 refusals became ${lines} log lines`] : []
    },
  },
  flood(
    'flood-garbage',
    'a stranger sends random datagrams to both gateways and the beacon for 8 s',
    'garbage',
    (world) => [udpOf(world, 'a'), udpOf(world, 'b'), world.beacon],
  ),
  flood('flood-discover', 'a stranger sends discover and punch messages to the beacon for 8 s', 'discover', (world) => [
    world.beacon,
  ]),
  flood('flood-silent', 'a stranger opens 1,500 connections to the registry and stays silent', 'silent', (world) => [
    world.registry,
  ]),
  {
    name: 'flood-replay',
    what: "the mapping gateway's datagrams are captured for 3 s and replayed from its address for 8 s",
    promise: UNHARMED,
    fault: replay,
  },
]

function backend(mode: OddMode, what: string, isRight: (report: AbuseReport) => boolean): LoadedRow {
  return {
    name: `backend-${mode}`,
    what: `${what}: 30 clients`,
    promise: UNHARMED,
    fault: async (world) => {
      await world.server('odd', { mode })
      const report = await abuse(world, { kind: 'dial', flow: 'odd', count: 30 })
      if (!isRight(report)) throw new Error(`the clients saw ${JSON.stringify(report)}`)
      world.notes.push(`slowest: ${report.slowestMs} ms`)
      await pause(OTHERS_MS)
      return async () => void (await world.server('odd', { mode: 'echo' }))
    },
  }
}

function flood(name: string, what: string, kind: string, targets: (world: World) => readonly string[]): LoadedRow {
  return {
    name,
    what,
    promise: UNHARMED,
    fault: async (world) => {
      const stranger = world.lab.site('x')
      const program = world.script(stranger, 'load/flood.ts', [kind, String(FLOOD_MS), ...targets(world)])
      const { sent } = await program.event('done', () => true, FLOOD_MS + 30_000)
      world.notes.push(`${String(sent)} sent`)
      return () => {}
    },
  }
}

/**
 * A copy of each datagram goes to a stranger with the receiver's address on its loopback; then it takes the sender's.
 */
async function replay(world: World): Promise<() => void> {
  const { a, b } = world.sites
  const stranger = world.lab.site('x')
  const [from, to] = [udpOf(world, 'a'), udpOf(world, 'b')]
  for (const namespace of [world.lab.middle, stranger.host])
    for (const device of [
      'all',
      'default',
      ...(namespace === stranger.host ? [stranger.device] : [stranger.outerDevice]),
    ])
      world.lab.sysctl(namespace, `net.ipv4.conf.${device}.rp_filter=0`)
  inside(stranger.host, 'ip', 'addr', 'add', `${b.address}/32`, 'dev', 'lo')
  const copy = ['FORWARD', '-p', 'udp', '-s', a.address, '-d', b.address, '-j', 'TEE', '--gateway', stranger.address]
  inside(world.lab.middle, 'iptables', '-t', 'mangle', '-A', ...copy)
  const program = world.script(stranger, 'load/flood.ts', ['replay', String(FLOOD_MS), to])
  const { captured } = await program.event('captured', () => true, 30_000)
  inside(world.lab.middle, 'iptables', '-t', 'mangle', '-D', ...copy)
  inside(stranger.host, 'ip', 'addr', 'del', `${b.address}/32`, 'dev', 'lo')
  inside(stranger.host, 'iptables', '-t', 'nat', '-A', 'POSTROUTING', '-p', 'udp', '-j', 'SNAT', '--to-source', from)
  const { sent } = await program.event('done', () => true, FLOOD_MS + 30_000)
  world.notes.push(`${String(captured)} captured, ${String(sent)} sent again`)
  if (Number(captured) < 100) throw new Error(`only ${String(captured)} datagrams were captured`)
  return () => {}
}

async function abuse(world: World, request: AbuseRequest): Promise<AbuseReport> {
  return await world.client<AbuseReport>('abuse', request, ABUSE_LIMIT_MS)
}

/** The source of a gateway's datagrams, as others see it. */
function udpOf(world: World, side: 'a' | 'b'): string {
  const { port } = parseEndpoint(world.ready(side).udp!)!
  return `${world.sites[side].address}:${port}`
}

const FLOOD_MS = 8_000
/** Checks the others meanwhile. */
const OTHERS_MS = 3_000
const ABUSE_LIMIT_MS = 120_000
const FEW_DESCRIPTORS = 100
/** 30 at once and one per second (gateway/service/sparse-log.ts), for each gateway. */
const MAX_LOG_LINES = 200
