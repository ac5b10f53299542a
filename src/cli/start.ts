/** `map`, `expose`, `share` and `join`: they use the running gateway, or start one in the foreground. */
import type { Command } from 'commander'
import type { AdminClient } from '../admin/client.ts'
import { PilotError } from '../base/errors.ts'
import { flagName, OPTION_NAMES } from '../config/option-table.ts'
import { resolveAdminSocket } from '../config/paths.ts'
import type { Edit } from '../gateway/control.ts'
import { numberOption } from './commands/numbers.ts'
import { readSources, type UpOptions } from './serve.ts'
import { sideNote } from './output.ts'
import type { World } from './world.ts'

export interface ChangeOptions extends UpOptions, Edit {}

/** @param alone runs a gateway in the foreground and returns its exit code. */
export async function askOrStart(
  world: World,
  options: ChangeOptions,
  ask: (client: AdminClient) => Promise<void>,
  alone: () => Promise<number>,
): Promise<number> {
  const sources = await readSources(options, world)
  try {
    const client = world.client(resolveAdminSocket(sources))
    await ask(client)
    for (const peer of options.trust ?? []) await client.requestTrust(peer, '')
    const ignored = OPTION_NAMES.filter((name) => ONLY_AT_START.has(name) && options[name] !== undefined).map(flagName)
    if (ignored.length > 0) {
      const were = ignored.length === 1 ? 'was' : 'were'
      sideNote(world, `a gateway is already running; ${ignored.join(', ')} ${were} ignored`)
    }
    return 0
  } catch (error) {
    if (!(error instanceof PilotError) || error.code !== 'NOT_RUNNING') throw withoutLan(error, options)
  }
  for (const [key, flag] of ONLY_WHEN_RUNNING)
    if (options[key] !== undefined)
      throw new PilotError('NOT_RUNNING', `no gateway is running here, and ${flag} only applies to a running gateway`)
  return await alone()
}

/** The permission of this command is not the gateway's. */
function withoutLan(error: unknown, { allowLan }: ChangeOptions): unknown {
  if (!(error instanceof PilotError) || error.details['needs'] !== 'allow-lan' || allowLan === undefined) return error
  return new PilotError(
    error.code,
    'the running gateway was started without --allow-lan',
    error.details,
    error,
    'Stop it (`pilotgate down`) and start it again with --allow-lan; or listen on 127.0.0.1.',
  )
}

export function withEdit(command: Command): Command {
  return command
    .option('--save', 'also write the change to the configuration file, keeping its comments')
    .option(
      '--if-version <n>',
      'make the change only if the configuration has this version (see `status --json`)',
      numberOption('--if-version', 1, 999_999_999_999),
    )
}

export function editOf({ name, save, ifVersion }: Edit): Edit {
  return { name, save, ifVersion }
}

/** Options that locate a running gateway or apply to it; the others are read when one starts. */
const FOR_A_RUNNING_ONE: ReadonlySet<string> = new Set(['config', 'stateDir', 'admin', 'trust'])
const ONLY_AT_START: ReadonlySet<string> = new Set(OPTION_NAMES.filter((name) => !FOR_A_RUNNING_ONE.has(name)))
const ONLY_WHEN_RUNNING = [
  ['save', '--save'],
  ['ifVersion', '--if-version'],
  ['name', '--name'],
] as const
