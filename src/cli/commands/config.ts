/**
 * `pilotgate config …`: checks a file, shows what it would change, what is in force and why, and what a file may
 * contain.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { ConfigChange } from '../../gateway/control.ts'
import { PilotError } from '../../base/errors.ts'
import { STARTER } from '../../config/starter.ts'
import { formatTarget } from '../../gateway/model/expose-spec.ts'
import type { Cli } from '../cli.ts'
import type { Output } from '../output.ts'
import { plural } from '../text.ts'
import type { World } from '../world.ts'
import { showConfig, type ShowOptions } from './config-show.ts'
import { withOptions, withUpOptions } from './options.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

export function addConfig(cli: Cli): void {
  const config = cli.add(cli.program, 'config', 'work with configuration files', [
    'pilotgate config check gateway.yaml',
    'pilotgate config show',
  ])
  const check = cli.add(config, 'check <file>', 'check a configuration file without starting anything', [
    'pilotgate config check gateway.yaml',
  ])
  withOptions(check, ['allowLan']).action(
    cli.action(async (out, file: string, flags: { readonly allowLan?: boolean }) =>
      checkConfig(out, cli.world, file, flags),
    ),
  )
  cli
    .add(config, 'init [file]', 'print a configuration file to start from, or write it', [
      'pilotgate config init gateway.yaml',
      'pilotgate config init > gateway.yaml',
    ])
    .option('--force', 'replace the file if it exists')
    .action(
      cli.action(async (out, file: string | undefined, { force }: { readonly force?: boolean }) => {
        if (file === undefined) return out.result({ text: STARTER }, [STARTER.trimEnd()])
        await writeStarter(file, force === true)
        out.result({ file }, [`wrote ${file}; edit it, then run: pilotgate up -c ${file}`])
      }),
    )
  cli
    .add(config, 'schema', 'print the JSON Schema of the configuration file', [
      'pilotgate config schema > gateway.schema.json',
    ])
    .action(
      cli.action(async (out) => {
        const { schemaText } = await import('../../config/json-schema.ts')
        const text = schemaText()
        out.result(JSON.parse(text), [text.trimEnd()])
      }),
    )
  const show = cli.add(
    config,
    'show',
    'print the effective configuration and where each value comes from, for the running gateway or for one that `up` would start with these options',
    [
      'pilotgate config show',
      'pilotgate config show -c gateway.yaml --registry rv.example:9000',
      'pilotgate config show --json',
    ],
  )
  withUpOptions(show).action(cli.action(async (out, options: ShowOptions) => showConfig(out, cli.world, options)))
  withAdmin(
    cli.add(config, 'diff <file>', 'show what this file would change in the running gateway, without changing it', [
      'pilotgate config diff gateway.yaml',
    ]),
  ).action(
    cli.action(async (out, file: string, options: ReaderOptions) => {
      const change = await clientOf(options, cli.world).diff(resolve(file), await readText(file))
      out.result(change, changeLines(change))
    }),
  )
}

async function checkConfig(
  out: Output,
  world: World,
  file: string,
  flags: { readonly allowLan?: boolean },
): Promise<void> {
  const { loadConfig } = await import('../../config/load.ts')
  const { resolveOptions } = await import('../../config/options.ts')
  const { HOME, XDG_STATE_HOME } = world.env // not PILOTGATE_*: the file is checked, not this shell
  const options = resolveOptions({ flags, env: { HOME, XDG_STATE_HOME }, file: await loadConfig(file) })
  const mappings = options.maps.map(({ name, peer, port, localAddress, localPort }) => ({
    name,
    peer,
    port,
    localAddress: localAddress ?? null,
    localPort,
  }))
  const exposures = options.exposes.map(({ name, port, target, allow }) => ({
    name,
    port,
    target: formatTarget(target),
    allow,
  }))
  out.result({ file, mappings, exposures }, [
    `${file} is valid: ${plural(mappings.length, 'mapping')}, ${plural(exposures.length, 'exposure')}`,
  ])
}

async function writeStarter(file: string, replace: boolean): Promise<void> {
  try {
    await writeFile(file, STARTER, { flag: replace ? 'w' : 'wx', mode: 0o600 })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EEXIST')
      throw new PilotError(
        'CONFLICT',
        `${file} already exists; it was left unchanged`,
        { file },
        error,
        'Choose another name, or replace it with --force.',
      )
    throw new PilotError('FAILED', `${file}: cannot be written (${code ?? message})`, { file }, error)
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new PilotError('CONFIG_INVALID', `${file}: cannot be read (${code ?? message})`, { file }, error)
  }
}

/** A configuration change for people, one line per affected item. */
export function changeLines({ changes, restart }: ConfigChange): string[] {
  const lines = KINDS.flatMap(([key, sign, what]) => changes[key].map((name) => `${sign} ${what} ${name}`))
  lines.push(...restart.map((key) => `! ${key} differs: needs a restart, and keeps the whole file from being applied`))
  return lines.length === 0 ? ['no change'] : lines
}

const KINDS = [
  ['mapped', '+', 'mapping'],
  ['unmapped', '-', 'mapping'],
  ['remapped', '~', 'mapping'],
  ['exposed', '+', 'exposure'],
  ['unexposed', '-', 'exposure'],
  ['reexposed', '~', 'exposure'],
  ['trust', '+', 'trust'],
  ['sections', '~', 'section'],
] as const
