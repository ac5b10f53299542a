/**
 * `pilotgate map|unmap|expose|unexpose`: change the running gateway; `map` and `expose` start one if none is running.
 */
import type { Command } from 'commander'
import { PilotError } from '../../base/errors.ts'
import type { Edit } from '../../gateway/control.ts'
import { expandExposeSpec, parseExposeSpec } from '../../gateway/model/expose-spec.ts'
import { expandMapSpec, parseMapSpec } from '../../gateway/model/map-spec.ts'
import { TICKET_PREFIX } from '../../gateway/tickets/text.ts'
import type { Output } from '../output.ts'
import { exposedLine, mappedLine } from '../event-line.ts'
import type { Cli } from '../cli.ts'
import { serve } from '../serve.ts'
import { askOrStart, editOf, withEdit, type ChangeOptions } from '../start.ts'
import { withStartOptions } from './options.ts'
import { clientOf, withAdmin } from './reader.ts'

export interface ExposeOptions extends ChangeOptions {
  readonly for?: string
  readonly once?: boolean
}

export function addChange(cli: Cli): void {
  addMap(cli)
  addExpose(cli)
  withEdit(
    withAdmin(
      cli.add(cli.program, 'unmap <name>', 'remove a mapping; its open connections continue until they end', [
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
      cli.add(cli.program, 'unexpose <name>', 'remove an exposure; its open connections continue until they end', [
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

function addMap(cli: Cli): void {
  const command = cli.add(
    cli.program,
    'map <spec>',
    'map a remote port, or a range, to a local address: [[BIND-IP:]LOCAL-PORT:]PEER:PORT[/udp]',
    ['pilotgate map 8080:agent-b:80', 'pilotgate map agent-b:8000-8010', 'pilotgate map agent-b:5432 --name db --save'],
  )
  withStartOptions(withEdit(named(command))).action(
    cli.action(async (out, spec: string, options: ChangeOptions) => {
      if (spec.startsWith(TICKET_PREFIX))
        throw new PilotError(
          'USAGE',
          'this is a ticket, not a mapping',
          {},
          undefined,
          'Use a ticket with `pilotgate join TICKET [LOCAL]`.',
        )
      return await askOrStart(
        cli.world,
        options,
        async (client) => {
          const records = await each(expandMapSpec(spec), options, client.map, client.unmap, parseMapSpec)
          tell(out, records, (record) => `mapped ${mappedLine(record)}, as ${record.name}`)
          if (records.length === 1) undo(out, `pilotgate unmap ${records[0]!.name}`, options)
        },
        async () => serve(out, cli.world, { ...options, map: [...(options.map ?? []), spec] }),
      )
    }),
  )
}

function addExpose(cli: Cli): void {
  const command = cli.add(
    cli.program,
    'expose <spec>',
    'expose a local service to trusted peers: PORT[/udp]=TARGET[,allow=PEER]...',
    [
      'pilotgate expose 80=3000',
      'pilotgate expose 8000-8010=127.0.0.1:9000',
      'pilotgate expose 80=3000 --for 2h',
      'pilotgate expose 5432=127.0.0.1:5432,allow=agent-a --save',
    ],
  )
  withStartOptions(withEdit(limited(named(command)))).action(
    cli.action(async (out, written: string, options: ExposeOptions) => {
      if (/^\d{1,5}$/.test(written))
        throw new PilotError(
          'USAGE',
          `expose "${written}": there is no "=" followed by a target`,
          {},
          undefined,
          `To share port ${written} with a ticket: \`pilotgate share ${written}\`. To expose it to every trusted peer: \`pilotgate expose ${written}=${written}\`.`,
        )
      const spec = withTerms(written, options)
      return await askOrStart(
        cli.world,
        options,
        async (client) => {
          const records = await each(expandExposeSpec(spec), options, client.expose, client.unexpose, parseExposeSpec)
          tell(out, records, (record) => `exposed ${exposedLine(record)}, as ${record.name}`)
          if (records.length === 1) undo(out, `pilotgate unexpose ${records[0]!.name}`, options)
        },
        async () => serve(out, cli.world, { ...options, expose: [...(options.expose ?? []), spec] }),
      )
    }),
  )
}

/** One change for each spec, all of them or none; `--if-version` guards the first, `--name` gets the port of each. */
async function each<T extends { readonly name: string }>(
  specs: readonly string[],
  options: ChangeOptions,
  make: (spec: string, edit: Edit) => Promise<T>,
  unmake: (name: string, edit: Edit) => Promise<unknown>,
  parse: (spec: string) => { readonly port: number },
): Promise<readonly T[]> {
  const { ifVersion, name, save } = editOf(options)
  const made: T[] = []
  try {
    for (const spec of specs) {
      const named = specs.length === 1 || name === undefined ? name : `${name}:${parse(spec).port}`
      made.push(await make(spec, { save, name: named, ifVersion: made.length === 0 ? ifVersion : undefined }))
    }
  } catch (error) {
    for (const record of made.reverse()) await unmake(record.name, { save })
    throw error
  }
  return made
}

/** One record as before; several as a list. */
function tell<T>(out: Output, records: readonly T[], line: (record: T) => string): void {
  out.result(records.length === 1 ? records[0] : records, records.map(line))
}

export function named(command: Command): Command {
  return command.option('--name <name>', 'name of the new entry')
}

/** How long, and how often, an exposure can be used. */
export function limited(command: Command): Command {
  return command
    .option('--for <time>', 'end the exposure and its connections after 90s, 10m, 2h or 1d')
    .option('--once', 'accept one connection, then end the exposure')
}

function undo(out: Output, command: string, { save }: ChangeOptions): void {
  out.undo(`${command}${save === true ? ' --save' : ''}`)
}

/** The spec, extended by the flags. */
export function withTerms(spec: string, { for: duration, once }: ExposeOptions): string {
  return [spec, ...(duration === undefined ? [] : [`for=${duration}`]), ...(once === true ? ['once'] : [])].join(',')
}
