/** `pilotgate config …`: is a file right, what would it change, what may stand in it. */
import { readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { ConfigChange } from '../../gateway/control.ts'
import { PilotError } from '../../base/errors.ts'
import { schemaText } from '../../config/json-schema.ts'
import { loadConfig } from '../../config/load.ts'
import { resolveOptions } from '../../config/options.ts'
import { STARTER } from '../../config/starter.ts'
import { formatTarget } from '../../gateway/model/expose-spec.ts'
import type { Cli } from '../cli.ts'
import { plural } from '../text.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

export function addConfig(cli: Cli): void {
  const config = cli.add(cli.program, 'config', 'work with configuration files', [
    'pilotgate config check gateway.yaml',
    'pilotgate config init gateway.yaml',
  ])
  cli
    .add(config, 'check <file>', 'check a configuration file; nothing is started', [
      'pilotgate config check gateway.yaml',
    ])
    .option('--allow-lan', 'allow listeners beyond loopback, as `up --allow-lan` does')
    .action(
      cli.action(async (out, file: string, flags: { readonly allowLan?: boolean }) => {
        const { HOME, XDG_STATE_HOME } = cli.world.env // not PILOTGATE_*: the file is judged, not this shell
        const options = resolveOptions({ flags, env: { HOME, XDG_STATE_HOME }, file: await loadConfig(file) })
        const maps = options.maps.map(({ name, peer, port, localAddress, localPort }) => ({
          name,
          peer,
          port,
          localAddress: localAddress ?? null,
          localPort,
        }))
        const exposes = options.exposes.map(({ name, port, target, allow }) => ({
          name,
          port,
          target: formatTarget(target),
          allow,
        }))
        out.result({ file, maps, exposes }, [
          `${file} is right: ${plural(maps.length, 'mapping')}, ${plural(exposes.length, 'exposure')}`,
        ])
      }),
    )
  withAdmin(
    cli.add(config, 'diff <file>', 'show what this file would change of the running gateway; nothing is changed', [
      'pilotgate config diff gateway.yaml',
    ]),
  ).action(
    cli.action(async (out, file: string, options: ReaderOptions) => {
      const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
        throw new PilotError(
          'CONFIG_INVALID',
          `${file}: cannot be read (${error.code ?? error.message})`,
          { file },
          error,
        )
      })
      const change = await clientOf(options, cli.world).diff(resolve(file), text)
      out.result(change, changeLines(change))
    }),
  )
  cli
    .add(config, 'init [file]', 'print a configuration file to begin with, or write it', [
      'pilotgate config init gateway.yaml',
      'pilotgate config init > gateway.yaml',
    ])
    .option('--force', 'replace the file if there is one')
    .action(
      cli.action(async (out, file: string | undefined, { force }: { readonly force?: boolean }) => {
        if (file === undefined) return out.result({ text: STARTER }, [STARTER.trimEnd()])
        await writeFile(file, STARTER, { flag: force === true ? 'w' : 'wx', mode: 0o600 }).catch(
          (error: NodeJS.ErrnoException) => {
            if (error.code === 'EEXIST')
              throw new PilotError(
                'CONFLICT',
                `${file} is there already; it was left alone`,
                { file },
                error,
                'Choose another name, or replace it with --force.',
              )
            throw new PilotError(
              'FAILED',
              `${file}: cannot be written (${error.code ?? error.message})`,
              { file },
              error,
            )
          },
        )
        out.result({ file }, [`wrote ${file}; edit it, then run: pilotgate up -c ${file}`])
      }),
    )
  cli
    .add(config, 'schema', 'print the JSON Schema of the configuration file', [
      'pilotgate config schema > gateway.schema.json',
    ])
    .action(
      cli.action(async (out) => {
        const text = schemaText()
        out.result(JSON.parse(text), [text.trimEnd()])
      }),
    )
}

/** A change of the configuration for people, one line for each thing that is affected. */
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
