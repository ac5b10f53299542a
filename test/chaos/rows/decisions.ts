/** User decisions while everything runs: configuration, trust. */
import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import type { LoadedRow } from '../row.ts'
import { pause } from '../world.ts'
import type { World } from '../world.ts'
import { trustAgain } from './machine.ts'

export const DECISION_ROWS: readonly LoadedRow[] = [
  {
    name: 'config-broken',
    what: 'the configuration file is broken, truncated, empty, absent, a link to itself and a folder; then it is valid again',
    promise: { recoveryMs: 3_000, silenceMs: 2_000, newDuring: true },
    world: { configFile: true },
    fault: async (world) => {
      const good = world.config()
      const [path, aside] = [world.configPath, `${world.configPath}.aside`]
      for (const text of ['map: [', good.slice(0, good.length / 2), '', good.replace('map:', 'mop:')]) {
        world.writeConfig(text)
        await pause(1_500)
        await refused(world)
      }
      renameSync(path, aside)
      await pause(1_500)
      symlinkSync(path, path)
      await pause(1_500)
      rmSync(path)
      mkdirSync(path)
      await pause(1_500)
      rmSync(path, { recursive: true })
      renameSync(aside, path)
      return () => world.writeConfig(world.config(EXTRA))
    },
    check: async (world) => await inForce(world),
  },
  {
    name: 'reloads',
    what: '200 reloads in a row, each adding or removing a mapping',
    promise: { recoveryMs: 3_000, silenceMs: 3_000, newDuring: true },
    world: { configFile: true },
    fault: async (world) => {
      for (let reload = 0; reload < 200; reload++) {
        world.writeConfig(world.config(reload % 2 === 0 ? EXTRA : []))
        world.a.signal('SIGHUP')
        await pause(40)
      }
      return () => world.writeConfig(world.config(EXTRA))
    },
    check: async (world) => await inForce(world),
  },
  {
    name: 'trust-revoked',
    what: 'the exposing side revokes trust under load, for 5 s; then both request it again',
    promise: { recoveryMs: 8_000, resets: true },
    fault: async (world) => {
      const { code, stdout } = await world.cli('b', 'trust', 'revoke', 'agent-a')
      if (code !== 0) throw new Error(`trust revoke: ${code} ${stdout}`)
      await world.client('mark')
      await pause(5_000)
      const { flows } = await world.stats()
      const passed = flows['requests']!.ok + flows['http']!.ok + flows['streams']!.ok + flows['datagrams']!.ok
      if (passed > 0) throw new Error(`${passed} messages passed after the revocation`)
      return async () => await trustAgain(world)
    },
  },
]

async function refused(world: World): Promise<void> {
  const { config, mappings } = await world.status('a')
  if (config?.error === null) throw new Error('a broken file is not shown as an error')
  if (mappings.length < 7) throw new Error(`${mappings.length} mappings are left`)
}

/** The last file written is the one in force. */
async function inForce(world: World): Promise<readonly string[]> {
  for (let tries = 0; tries < 40; tries++) {
    const { config, mappings } = await world.status('a')
    if (config?.error === null && mappings.some(({ name }) => name === 'extra')) return []
    await pause(250)
  }
  const { config, mappings } = await world.status('a')
  return [`the last file is not in force: ${JSON.stringify(config)}, ${mappings.map(({ name }) => name).join(' ')}`]
}

const EXTRA = ['  - { name: extra, peer: agent-b, port: 7777, local: "127.0.0.1:7777" }']
