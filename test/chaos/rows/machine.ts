/** Faults of the machine: disks, descriptors, clocks, a log without a reader. */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AbuseReport } from '../load/abuse.ts'
import type { Part } from '../part.ts'
import type { LoadedRow } from '../row.ts'
import { pause } from '../world.ts'
import type { Side, World } from '../world.ts'

type Folder = 'a' | 'b' | 'rendezvous'

export const MACHINE_ROWS: readonly LoadedRow[] = [
  {
    name: 'disk-full-state',
    what: 'the disks of both state folders are full; the exposing gateway is killed and started on its',
    promise: { recoveryMs: 12_000, resets: true, localEnds: 'b' },
    prepare: (world) => mountDisks(world, ['a', 'b']),
    fault: async (world) => {
      for (const folder of ['a', 'b'] as const) fill(world, folder)
      const { code, stdout } = await world.cli('b', 'invite', '--service', '85')
      if (code === 0) throw new Error(`a ticket that cannot be saved was given out: ${stdout}`)
      await pause(4_000)
      await world.b.restart()
      return () => {
        for (const folder of ['a', 'b'] as const) rmSync(filler(world, folder))
      }
    },
  },
  {
    name: 'disk-full-revoke',
    what: 'trust is revoked while the disk is full: an error; once there is room it is saved, even across a kill -9',
    promise: { recoveryMs: 12_000, resets: true, localEnds: 'b' },
    prepare: (world) => mountDisks(world, ['b']),
    fault: revokeOnFullDisk,
  },
  {
    name: 'disk-full-store',
    what: 'the disk of the registry is full, then there is room and it is restarted',
    promise: { recoveryMs: 5_000, silenceMs: 2_000, newDuring: true },
    prepare: (world) => mountDisks(world, ['rendezvous']),
    fault: async (world) => {
      fill(world, 'rendezvous')
      // Something to write: the registry stores a trust request until it is answered.
      await world.cli('a', 'trust', 'request', '0:0000.0000.0001')
      await pause(8_000)
      if (!world.rendezvous.isRunning) throw new Error(`the rendezvous ended: ${world.rendezvous.program.stderr}`)
      return async () => {
        rmSync(filler(world, 'rendezvous'))
        await world.rendezvous.restart()
      }
    },
  },
  {
    name: 'read-only-state',
    what: 'both state folders become read-only for 8 s',
    promise: { recoveryMs: 3_000, silenceMs: 2_000, newDuring: true },
    prepare: (world) => mountDisks(world, ['a', 'b']),
    fault: async (world) => {
      remount(world, 'ro')
      const { code } = await world.cli('b', 'invite', '--service', '85')
      if (code === 0) throw new Error('a ticket that cannot be kept was given out')
      await pause(8_000)
      return () => remount(world, 'rw')
    },
  },
  {
    name: 'few-descriptors',
    what: '300 clients against gateways limited to 160 descriptors',
    promise: { recoveryMs: 5_000 },
    world: { openFiles: 160 },
    fault: async (world) => {
      const report = await world.client<AbuseReport>('abuse', { kind: 'open', flow: 'idle', count: 300 })
      world.notes.push(
        `300 clients: ${report.answered} served, ${report.refused} refused, ${report.silent} left waiting`,
      )
      if (report.silent > 0) throw new Error(`${report.silent} clients were left waiting`)
      for (const side of ['a', 'b'] as const) await world.status(side)
      return async () => void (await world.client('stopAbuse'))
    },
  },
  {
    name: 'log-blocked',
    what: 'the reader of both gateways’ logs stalls for 10 s while 1,500 dials fail',
    promise: { recoveryMs: 3_000, silenceMs: 3_000, newDuring: true },
    fault: async (world) => {
      const resume = [world.a, world.b].map((part) => part.program.stallLog())
      await world.client('abuse', { kind: 'dial', flow: 'nowhere', count: 1_500, concurrency: 20 })
      await pause(4_000)
      for (const side of ['a', 'b'] as const) await world.status(side)
      return () => {
        for (const one of resume) one()
      }
    },
  },
  ...(
    [
      ['clock-plus-hour', 3_600_000],
      ['clock-minus-hour', -3_600_000],
      ['clock-plus-year', 365 * 86_400_000],
    ] as const
  ).map(([name, shiftMs]): LoadedRow => ({
    name,
    what: `the wall clock, as the programs see it, jumps by ${shiftMs / 3_600_000} h, one part after another`,
    promise: { recoveryMs: 3_000, silenceMs: 2_000, newDuring: true },
    world: { probe: true },
    fault: async (world) => {
      for (const part of world.parts) {
        await probe(world, part, shiftMs)
        await pause(4_000)
      }
      return () => {}
    },
  })),
]

/** Asks load/probe.mjs inside a part to collect garbage and report; `shiftMs` moves its wall clock. */
export async function probe(world: World, part: Part, shiftMs = 0): Promise<ProbeReport> {
  const path = world.stage.path(`${part.name}.probe`)
  rmSync(`${path}.out`, { force: true })
  writeFileSync(`${path}.in`, JSON.stringify({ shiftMs }))
  part.signal('SIGUSR2')
  for (let tries = 0; tries < 200; tries++) {
    await pause(50)
    try {
      return JSON.parse(readFileSync(`${path}.out`, 'utf8')) as ProbeReport
    } catch {
      /* not written yet */
    }
  }
  throw new Error(`${part.name} did not answer the probe`)
}

export interface ProbeReport {
  readonly heapBytes: number // after a full collection
  readonly resources: Readonly<Record<string, number>> // timers, sockets, … by kind
}

/** Answered with an error while it cannot be saved; saved as soon as possible. Then both sides request trust again. */
async function revokeOnFullDisk(world: World): Promise<() => Promise<void>> {
  fill(world, 'b')
  const { code, stdout } = await world.cli('b', 'trust', 'revoke', 'agent-a')
  if (code === 0 || !stdout.includes('STATE_UNWRITABLE'))
    throw new Error(`a revocation that cannot be saved was acknowledged: ${code} ${stdout}`)
  rmSync(filler(world, 'b'))
  await pause(RETRY_MS)
  await world.b.kill()
  await world.b.start()
  await world.client('mark')
  await pause(4_000)
  const { flows } = await world.stats()
  const passed = flows['requests']!.ok + flows['streams']!.ok
  if (passed > 0) throw new Error(`${passed} messages passed after the revocation and a restart`)
  return async () => await trustAgain(world)
}

/** Both request, which also approves; one request may be in flight when the other arrives. */
export async function trustAgain(world: World): Promise<void> {
  for (const [side, peer] of [
    ['a', 'agent-b'],
    ['b', 'agent-a'],
  ] as const satisfies readonly (readonly [Side, string])[]) {
    const { code, stdout } = await world.cli(side, 'trust', 'request', peer)
    if (code !== 0) throw new Error(`trust request of ${side}: ${code} ${stdout}`)
  }
}

/** Small in-memory file systems, removed with the world. */
function mountDisks(world: World, folders: readonly Folder[]): void {
  for (const name of folders) {
    const folder = world.folder(name)
    mount('-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'none', folder)
    world.stage.defer(async () => void spawnSync('umount', ['-l', folder]))
  }
}

function remount(world: World, mode: 'ro' | 'rw'): void {
  for (const name of ['a', 'b'] as const) mount('-o', `remount,${mode}`, world.folder(name))
}

function mount(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`mount ${args.join(' ')}: ${stderr}`)
}

/** Until there is no room for another byte. */
function fill(world: World, folder: Folder): void {
  const block = Buffer.alloc(65_536, 1)
  for (let bytes = block.length; bytes >= 1;)
    try {
      writeFileSync(filler(world, folder), block.subarray(0, bytes), { flag: 'a' })
    } catch {
      bytes >>= 1
    }
}

function filler(world: World, folder: Folder): string {
  return join(world.folder(folder), 'filler')
}

/** trust-keeper.ts retries a failed write after 10 s. */
const RETRY_MS = 12_000
