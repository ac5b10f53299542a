/** Faults of the parts themselves: killed, stopped, shut down, restarted repeatedly. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Part } from '../part.ts'
import type { LoadedRow, RowPromise } from '../row.ts'
import { pause } from '../world.ts'
import type { Side, World } from '../world.ts'

/** docs/reliability.md: everything works again within this after a restart. */
const RESTART_MS = 12_000

export const PROCESS_ROWS: readonly LoadedRow[] = [
  {
    name: 'kill-rendezvous',
    what: 'kill -9 of the rendezvous, back after 6 s',
    promise: { recoveryMs: 5_000, silenceMs: 2_000, newDuring: true },
    fault: async ({ rendezvous }) => {
      await rendezvous.kill()
      await pause(6_000)
      return async () => void (await rendezvous.start())
    },
    check: registeredAgain,
  },
  {
    name: 'term-rendezvous',
    what: 'SIGTERM of the rendezvous, back after 4 s',
    promise: { recoveryMs: 5_000, silenceMs: 2_000, newDuring: true },
    fault: async (world) => {
      const { exit, ms } = await world.rendezvous.end(10_000)
      world.notes.push(`ended with ${exit.code} after ${Math.round(ms)} ms`)
      await pause(4_000)
      return async () => void (await world.rendezvous.start())
    },
    check: registeredAgain,
  },
  ...(['a', 'b'] as const).flatMap((side): LoadedRow[] => [
    {
      name: `kill-${side}`,
      what: `kill -9 of the ${sideName(side)} gateway, back after up to 9 s`,
      promise: { recoveryMs: RESTART_MS, resets: true, localEnds: side },
      fault: async (world) => {
        await world.part(side).kill()
        await pause([800, 2_600, 9_100][world.random(3)]!)
        return async () => void (await world.part(side).start())
      },
    },
    {
      name: `term-${side}`,
      what: `SIGTERM of the ${sideName(side)} gateway under load, back at once`,
      promise: { recoveryMs: RESTART_MS, resets: true },
      fault: async (world) => {
        const { exit, ms } = await world.part(side).end(TERM_LIMIT_MS)
        world.notes.push(`ended with ${exit.code} after ${Math.round(ms)} ms`)
        if (exit.code !== 0) throw new Error(`SIGTERM: ${JSON.stringify(exit)}`)
        return async () => void (await world.part(side).start())
      },
    },
    stopped(side, 8, { recoveryMs: 5_000 }),
    stopped(side, 25, { recoveryMs: RESTART_MS, resets: true }),
  ]),
  stopped('rendezvous', 12, { recoveryMs: 3_000, silenceMs: 2_000, newDuring: true }),
  {
    name: 'registry-empty',
    what: 'kill -9 of the rendezvous, back with an empty store',
    promise: { recoveryMs: RESTART_MS, resets: true },
    fault: async (world) => {
      await world.rendezvous.kill()
      rmSync(join(world.folder('rendezvous'), 'store'), { recursive: true })
      await pause(2_000)
      return async () => {
        await world.rendezvous.start()
        await registered(world)
      }
    },
  },
  {
    name: 'all-restarted',
    what: 'kill -9 of all three, the registry back with an empty store',
    promise: { recoveryMs: RESTART_MS, resets: true, localEnds: 'both' },
    fault: async (world) => {
      await Promise.all(world.parts.map((part) => part.kill()))
      rmSync(join(world.folder('rendezvous'), 'store'), { recursive: true })
      return async () => {
        await world.rendezvous.start()
        await Promise.all([world.a.start(), world.b.start()])
      }
    },
  },
  {
    name: 'restart-storm',
    what: 'for 25 s one of the three is killed and restarted every 2 to 4 s',
    promise: { recoveryMs: RESTART_MS, resets: true, localEnds: 'both' },
    fault: async (world) => {
      const until = performance.now() + 25_000
      let kills = 0
      while (performance.now() < until) {
        const part = pick(world)
        await part.kill()
        await pause(world.random(1_000))
        await part.start()
        kills += 1
        await pause(1_000 + world.random(1_000))
      }
      world.notes.push(`${kills} kills`)
      return () => {}
    },
  },
]

function stopped(target: Side | 'rendezvous', seconds: number, promise: RowPromise): LoadedRow {
  const isLong = seconds > 15
  return {
    name: `stop-${target}${isLong ? '-long' : ''}`,
    what: `SIGSTOP of the ${target === 'rendezvous' ? target : `${sideName(target)} gateway`} for ${seconds} s`,
    promise,
    fault: async (world) => {
      const part = target === 'rendezvous' ? world.rendezvous : world.part(target)
      part.signal('SIGSTOP')
      await pause(seconds * 1_000)
      return () => part.signal('SIGCONT')
    },
  }
}

export function sideName(side: Side): string {
  return side === 'a' ? 'mapping' : 'exposing'
}

function pick(world: World): Part {
  return world.parts[world.random(world.parts.length)]!
}

async function registered(world: World): Promise<void> {
  const until = performance.now() + REGISTER_MS
  for (const side of ['a', 'b'] as const)
    while ((await world.status(side)).registry?.state !== 'registered') {
      if (performance.now() > until) throw new Error(`${side} was not registered again within ${REGISTER_MS} ms`)
      await pause(100)
    }
}

async function registeredAgain(world: World): Promise<readonly string[]> {
  return await registered(world).then(
    () => [],
    (error: Error) => [error.message],
  )
}

/** 7 s for open connections, plus the exit on a busy machine. */
const TERM_LIMIT_MS = 30_000
const REGISTER_MS = 20_000
