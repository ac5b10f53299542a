/**
 * `pilotgate config show`: the effective configuration, and the flag, variable, line or default that each value comes
 * from.
 */
import { PilotError } from '../../base/errors.ts'
import { OPTION_NAMES } from '../../config/option-table.ts'
import type { SettingOrigin, SettingRecord } from '../../gateway/model/records.ts'
import type { Output } from '../output.ts'
import { readSources, type UpOptions } from '../serve.ts'
import type { World } from '../world.ts'
import { clientOf } from './reader.ts'

export type ShowOptions = UpOptions

export async function showConfig(out: Output, world: World, options: ShowOptions): Promise<void> {
  const settings = await readSettings(world, options)
  const rows = settings.map(({ key, value, origin }) => [key, formatValue(value), formatOrigin(origin)])
  out.result(settings, out.table(['KEY', 'VALUE', 'ORIGIN'], rows))
}

/** With options of `up`, what such a gateway would use; without, what the running one uses, if there is one. */
async function readSettings(world: World, options: ShowOptions): Promise<readonly SettingRecord[]> {
  const isAsked = OPTION_NAMES.some((name) => name !== 'admin' && name !== 'stateDir' && options[name] !== undefined)
  if (!isAsked) {
    try {
      return await clientOf(options, world).settings()
    } catch (error) {
      if (!(error instanceof PilotError) || error.code !== 'NOT_RUNNING' || options.admin !== undefined) throw error
    }
  }
  const { settingsOf } = await import('../../config/origins.ts')
  return settingsOf(await readSources(options, world))
}

function formatValue(value: unknown): string {
  if (value === null) return '-'
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function formatOrigin(origin: SettingOrigin): string {
  switch (origin.kind) {
    case 'flag':
    case 'variable':
      return origin.name
    case 'file':
      return `${origin.file}:${origin.line}`
    case 'command':
      return 'command'
    case 'default':
      return 'default'
  }
}
