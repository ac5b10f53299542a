/**
 * `pilotgate map|unmap|expose|unexpose`: change the running gateway; `map` and `expose` start one if none is running.
 */
import type { Command } from 'commander'
import { PilotError } from '../../base/errors.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { Edit } from '../../gateway/control.ts'
import { expandExposeSpec, parseExposeSpec } from '../../gateway/model/expose-spec.ts'
import { expandMapSpec, formatMapSpec, parseMapSpec } from '../../gateway/model/map-spec.ts'
import { TICKET_PREFIX } from '../../gateway/tickets/text.ts'
import type { MappedRecord } from '../../gateway/model/records.ts'
import type { Output } from '../output.ts'
import { exposedLine, mappedLine } from '../event-line.ts'
import type { Cli } from '../cli.ts'
import { serve } from '../serve.ts'
import { sideNote } from '../output.ts'
import type { World } from '../world.ts'
import { qrLines } from './invite.ts'
import { checkFree, isForOthers, noteIfSilent, urlOf } from '../where.ts'
import { askOrStart, editOf, withEdit, type ChangeOptions } from '../start.ts'
import { withStartOptions } from './options.ts'
import { clientOf, withAdmin } from './reader.ts'

export interface ExposeOptions extends ChangeOptions {
  readonly for?: string
  readonly once?: boolean
  readonly rewriteHost?: boolean
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
  withStartOptions(withEdit(named(scannable(command)))).action(
    cli.action(async (out, spec: string, options: ChangeOptions & ScanOptions) => {
      if (spec.startsWith(TICKET_PREFIX))
        throw new PilotError(
          'USAGE',
          'this is a ticket, not a mapping',
          {},
          undefined,
          'Use a ticket with `pilotgate join TICKET [LOCAL]`.',
        )
      for (const one of expandMapSpec(spec)) await checkLocal(cli.world, one)
      return await askOrStart(
        cli.world,
        options,
        async (client) => {
          const records = await each(expandMapSpec(spec), options, client.map, client.unmap, parseMapSpec)
          const lines = records.map(async (record) => [
            `mapped ${mappedLine(record)}, as ${record.name}`,
            ...(await openLines(record, options, cli.world)),
          ])
          tell(out, records, (await Promise.all(lines)).flat())
          if (records.length === 1) undo(out, `pilotgate unmap ${records[0]!.name}`, options)
        },
        async () =>
          serve(out, cli.world, { ...options, map: [...(options.map ?? []), spec] }, async (control) => {
            if (options.qr === true) out.note(...(await openLines(control.mappings().at(-1)!, options, cli.world)))
          }),
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
          `To share port ${written} with a ticket: \`pilotgate share ${written}${termsOf(options)}\`. To expose it to every trusted peer: \`pilotgate expose ${written}=${written}${termsOf(options)}\`.`,
        )
      const spec = withTerms(written, options)
      await noteIfSilent(cli.world, parseExposeSpec(spec).target)
      return await askOrStart(
        cli.world,
        options,
        async (client) => {
          const records = await each(expandExposeSpec(spec), options, client.expose, client.unexpose, parseExposeSpec)
          tell(
            out,
            records,
            records.map((record) => `exposed ${exposedLine(record)}, as ${record.name}`),
          )
          if (records.length === 1) undo(out, `pilotgate unexpose ${records[0]!.name}`, options)
        },
        async () => serve(out, cli.world, { ...options, expose: [...(options.expose ?? []), spec] }),
      )
    }),
  )
}

/** As they were given, for another command. */
function termsOf({ for: duration, once }: ExposeOptions): string {
  return `${duration === undefined ? '' : ` --for ${duration}`}${once === true ? ' --once' : ''}`
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
function tell(out: Output, records: readonly unknown[], lines: readonly string[]): void {
  out.result(records.length === 1 ? records[0] : records, lines)
}

/** @throws PilotError PORT_IN_USE with the way on, if another program listens where this mapping would. */
async function checkLocal(world: World, spec: string): Promise<void> {
  const { localAddress, localPort, ...rest } = parseMapSpec(spec)
  if (localAddress === undefined || localPort === 0) return
  await checkFree(
    world,
    formatEndpoint({ address: localAddress, port: localPort }),
    (port) => `pilotgate map ${formatMapSpec({ ...rest, localAddress, localPort: Number(port) })}`,
  )
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

/** For servers that check `Host`. */
export function rewriting(command: Command): Command {
  return command.option('--rewrite-host', 'let the web server see its own name as Host (MCP SDK, Django, Vite)')
}

/** What to open. A port does not say for certain whether its service speaks HTTP. */
export async function openLines(record: MappedRecord, { qr }: ScanOptions, world: World): Promise<string[]> {
  const url = urlOf(record)
  if (url === undefined) return []
  if (qr === true && !isForOthers(record.local))
    sideNote(world, 'no QR code: other machines cannot reach this address; name one of this machine, with --allow-lan')
  return [`open ${url}`, ...(qr === true && isForOthers(record.local) ? await qrLines(url, world) : [])]
}

export interface ScanOptions {
  readonly qr?: boolean | undefined
}

/** For a phone in the same network. */
export function scannable(command: Command): Command {
  return command.option('--qr', 'draw the URL as a QR code, if the local address is one that a phone can reach')
}

function undo(out: Output, command: string, { save }: ChangeOptions): void {
  out.undo(`${command}${save === true ? ' --save' : ''}`)
}

/** The spec, extended by the flags. */
export function withTerms(spec: string, { for: duration, once, rewriteHost }: ExposeOptions): string {
  return [
    spec,
    ...(rewriteHost === true ? ['host=rewrite'] : []),
    ...(duration === undefined ? [] : [`for=${duration}`]),
    ...(once === true ? ['once'] : []),
  ].join(',')
}
