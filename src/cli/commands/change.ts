/** `pilotgate map|unmap|expose|unexpose`: change what the running gateway does; `map` and `expose` become one where none runs. */
import { PilotError } from '../../base/errors.ts'
import type { AdminClient } from '../../admin/client.ts'
import type { Edit } from '../../gateway/control.ts'
import { resolveAdminSocket } from '../../config/options.ts'
import { TICKET_PREFIX } from '../../gateway/tickets/text.ts'
import type { Output } from '../output.ts'
import { exposedLine, mappedLine } from '../event-line.ts'
import type { Cli } from '../cli.ts'
import { readSources, serve, type UpOptions } from '../serve.ts'
import { exposeInForeground, exposeRunning, isPortAlone, mapInForeground, mapRunning } from '../tickets.ts'
import type { World } from '../world.ts'
import { numberOption } from './numbers.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'
import { withUpOptions } from './up.ts'
import type { Command } from 'commander'

interface ChangeOptions extends ReaderOptions, Edit {
  readonly lan?: string | boolean
  readonly for?: string
  readonly once?: boolean
}

export function addChange(cli: Cli): void {
  starter(
    cli,
    'map',
    'make a remote port local: [[BIND-IP:]LOCAL-PORT:]PEER:PORT, or a TICKET and perhaps [BIND-IP:]LOCAL-PORT',
    ['pilotgate map 8080:agent-b:80', 'pilotgate map pgt1_… 8080', 'pilotgate map agent-b:5432 --name db --save'],
    async (out, client, spec, edit, local) => {
      if (spec.startsWith(TICKET_PREFIX)) return await mapRunning(out, client, spec, local, edit)
      const record = await client.map(spec, edit)
      out.result(record, [`mapped ${mappedLine(record)}, as ${record.name}`])
      out.undo(`pilotgate unmap ${record.name}${edit.save === true ? ' --save' : ''}`)
    },
  )
  starter(
    cli,
    'expose',
    'offer a local service: PORT=TARGET[,allow=PEER]..., or a local port alone for the holder of the ticket that it prints',
    [
      'pilotgate expose 3000',
      'pilotgate expose 80=3000 --for 2h',
      'pilotgate expose 5432=127.0.0.1:5432,allow=agent-a --save',
    ],
    async (out, client, spec, edit) => {
      if (isPortAlone(spec)) return await exposeRunning(out, cli.world, client, spec, edit)
      const record = await client.expose(spec, edit)
      out.result(record, [`exposed ${exposedLine(record)}, as ${record.name}`])
      out.undo(`pilotgate unexpose ${record.name}${edit.save === true ? ' --save' : ''}`)
    },
  )
  withEdit(
    withAdmin(
      cli.add(cli.program, 'unmap <name>', 'take a mapping away; its open connections go on until they end', [
        'pilotgate unmap agent-b:80',
      ]),
    ),
  ).action(
    cli.action(async (out, name: string, options: ChangeOptions) => {
      const record = await clientOf(options, cli.world).unmap(name, editOf(options))
      out.result(record, [`unmapped ${mappedLine(record)}`])
    }),
  )
  withEdit(
    withAdmin(
      cli.add(cli.program, 'unexpose <name>', 'offer a service no longer; its open connections go on until they end', [
        'pilotgate unexpose 80',
      ]),
    ),
  ).action(
    cli.action(async (out, name: string, options: ChangeOptions) => {
      const record = await clientOf(options, cli.world).unexpose(name, editOf(options))
      out.result(record, [`unexposed ${exposedLine(record)}`])
    }),
  )
}

type Ask = (out: Output, client: AdminClient, spec: string, edit: Edit, local: string | undefined) => Promise<void>

function starter(cli: Cli, verb: 'map' | 'expose', summary: string, examples: readonly string[], ask: Ask): void {
  const usage = verb === 'map' ? 'map <spec> [local]' : 'expose <spec>'
  const command = withEdit(
    withUpOptions(
      cli.add(cli.program, usage, `${summary}; runs a gateway in the foreground where none runs`, examples),
    ),
  ).option('--name <name>', 'what to call it')
  if (verb === 'expose')
    command
      .option('--for <duration>', 'end the exposure and its connections after 90s, 10m, 2h, 1d')
      .option('--once', 'take one connection, then end the exposure')
      .option(
        '--lan [ip]',
        'with a port alone and no rendezvous named: have the rendezvous of this gateway listen on the LAN, so that the ticket is good on other machines',
      )
  command.action(
    cli.action(async (out, written: string, ...rest: readonly unknown[]) => {
      const local = verb === 'map' ? (rest[0] as string | undefined) : undefined
      const options = rest[verb === 'map' ? 1 : 0] as UpOptions & ChangeOptions
      const spec = withTerms(written, options)
      if (local !== undefined && !spec.startsWith(TICKET_PREFIX))
        throw new PilotError(
          'USAGE',
          `map "${spec}" "${local}": only behind a ticket is there a second word; write LOCAL:PEER:PORT as one`,
        )
      const sources = await readSources(options, cli.world)
      try {
        const client = cli.world.client(resolveAdminSocket(sources))
        await ask(out, client, spec, editOf(options), local)
        for (const peer of options.trust ?? []) await client.requestTrust(peer, '')
        const unused = Object.keys(options)
          .filter((key) => OF_A_START.has(key))
          .map((key) => `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`)
        if (unused.length > 0)
          cli.world.err(`note: a gateway runs already; ${unused.join(', ')} changes nothing of it\n`)
        return 0
      } catch (error) {
        if (!(error instanceof PilotError) || error.code !== 'NOT_RUNNING') throw error
      }
      return await inForeground(out, cli.world, options, verb, spec, local)
    }),
  )
}

async function inForeground(
  out: Output,
  world: World,
  options: UpOptions & ChangeOptions,
  verb: 'map' | 'expose',
  spec: string,
  local: string | undefined,
): Promise<number> {
  for (const key of ['save', 'ifVersion', 'name'] as const) {
    if (options[key] !== undefined)
      throw new PilotError(
        'NOT_RUNNING',
        `no gateway runs here, and --${key === 'ifVersion' ? 'if-version' : key} is about one that does`,
      )
  }
  if (spec.startsWith(TICKET_PREFIX) && verb === 'map') return await mapInForeground(out, world, options, spec, local)
  if (isPortAlone(spec) && verb === 'expose') return await exposeInForeground(out, world, options, spec)
  if (options.lan !== undefined)
    throw new PilotError('USAGE', '--lan goes with a port alone, as in `pilotgate expose 3000 --lan`')
  return await serve(out, world, { ...options, [verb]: [...(options[verb] ?? []), spec] })
}

function withEdit(command: Command): Command {
  return command
    .option('--save', 'write it into the configuration file as well, and keep its comments')
    .option(
      '--if-version <n>',
      'only while the configuration has this version (see `status --json`)',
      numberOption('--if-version', 1, 999_999_999_999),
    )
}

/** The spec with what the flags say behind it. */
function withTerms(spec: string, { for: duration, once }: ChangeOptions): string {
  if (duration === undefined && once !== true) return spec
  if (isPortAlone(spec))
    throw new PilotError(
      'USAGE',
      '--for and --once go with PORT=TARGET; a port alone makes a ticket, which has a time and one use of its own',
    )
  return [spec, ...(duration === undefined ? [] : [`for=${duration}`]), ...(once === true ? ['once'] : [])].join(',')
}

function editOf({ name, save, ifVersion }: ChangeOptions): Edit {
  return { name, save, ifVersion }
}

/** Options that a running gateway was started without. */
const OF_A_START: ReadonlySet<string> = new Set([
  'registry',
  'registryFingerprint',
  'beacon',
  'listen',
  'endpoint',
  'hostname',
  'public',
  'identity',
  'map',
  'expose',
  'observe',
  'daemon',
  'allowLan',
  'lan',
])
