/** `pilotgate invite`, and the display of a ticket for this command and `share`. */
import type { Command } from 'commander'
import { PilotError } from '../../base/errors.ts'
import { GUEST_LABEL_FORM, isGuestLabel } from '../../gateway/model/guest-label.ts'
import { MAX_TICKET_MS, MIN_TICKET_MS } from '../../admin/routes.ts'
import type { TicketRecord } from '../../gateway/model/records.ts'
import type { Cli } from '../cli.ts'
import { sideNote, type Output } from '../output.ts'
import { serviceText } from '../screen.ts'
import { columnsOf } from '../teller.ts'
import { formatUntil, table } from '../text.ts'
import { wrap } from '../../base/printable.ts'
import { urlOf } from '../where.ts'
import type { World } from '../world.ts'
import { durationOption } from './numbers.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

interface InviteOptions extends ReaderOptions {
  readonly for?: number // ms
  readonly service?: string
  readonly label?: string
  readonly qr?: boolean
}

export function addInvite(cli: Cli): void {
  const command = cli.add(cli.program, 'invite', 'print a one-use ticket for an exposure', [
    'pilotgate invite',
    'pilotgate invite --service api --for 1h --label bob',
    'pilotgate invite cancel bob',
  ])
  labelled(withAdmin(command))
    .option(
      '--for <time>',
      'how long the ticket is valid: 30s, 10m, 2h, 1d (default 10m)',
      durationOption('--for', MIN_TICKET_MS, MAX_TICKET_MS),
    )
    .option('--service <name>', 'exposure that the ticket opens, if there are several')
    .option('--qr', 'also draw it as a QR code')
    .action(
      cli.action(async (out, options: InviteOptions) => {
        const { service, label, qr } = options
        const record = await clientOf(options, cli.world).invite(service, options.for ?? TICKET_MS, label)
        const code = qr === true ? await qrLines(record.ticket, cli.world) : []
        out.result(record, ticketLines(record, code, out, cli.world))
        warnOfLoopback(record, cli.world)
      }),
    )
  // Options that the parent has too are taken by the parent, wherever they are.
  withAdmin(cli.add(command, 'list', 'list the tickets that are open', ['pilotgate invite list'])).action(
    cli.action(async (out) => {
      const tickets = await clientOf(command.opts<InviteOptions>(), cli.world).tickets()
      if (tickets.length === 0) return out.result(tickets, ['no open tickets'])
      const rows = tickets.map(({ id, label = '-', service, port, protocol, expires }) => [
        id,
        label,
        service,
        `${port}${protocol === 'udp' ? '/udp' : ''}`,
        `in ${formatUntil(expires)}`,
      ])
      out.result(
        tickets,
        table(['ID', 'LABEL', 'SERVICE', 'PORT', 'EXPIRES'], rows, (text) => out.bold(text)),
      )
    }),
  )
  withAdmin(
    cli.add(command, 'cancel <ticket>', 'withdraw an open ticket, by its id or label', ['pilotgate invite cancel bob']),
  ).action(
    cli.action(async (out, which: string) => {
      const cancelled = await clientOf(command.opts<InviteOptions>(), cli.world).cancelTicket(which)
      out.result(
        cancelled,
        cancelled.map(
          ({ id, service, label }) => `withdrawn: ${id}, for ${service}${label === undefined ? '' : `, ${label}`}`,
        ),
      )
    }),
  )
}

/** For whom a ticket is. */
export function labelled(command: Command): Command {
  return command.option(
    '--label <text>',
    'what the one who uses the ticket is called here, in tables and events',
    (text: string) => {
      if (isGuestLabel(text)) return text
      throw new PilotError('USAGE', `--label "${text}": expected ${GUEST_LABEL_FORM}`)
    },
  )
}

/** Only the ticket into a pipe; for people also what to do with it. @param code the same as a QR code, if wanted. @param what it opens. */
export function ticketLines(
  record: TicketRecord,
  code: readonly string[],
  out: Output,
  world: World,
  what = serviceText(record.service),
): string[] {
  const { ticket, port, label, expires } = record
  if (!world.terminal || out.quiet) return [ticket, ...code]
  const isWeb = urlOf({ local: `127.0.0.1:${port}`, remote: `:${port}`, protocol: record.protocol }) !== undefined
  const local = isWeb ? WEB_PORT : port >= FIRST_FREE_PORT ? port : undefined
  const who = label === undefined ? '' : ` for ${label}`
  const there = `${isWeb ? 'http://' : ''}localhost:${local}${isWeb ? '/' : ''}`
  return [
    ...wrap(`A ticket${who} to ${what}, valid once; it expires in ${formatUntil(expires)}.`, columnsOf(world)),
    ...code,
    'On the other machine:',
    '',
    `  ${out.bold(`pilotgate join ${ticket}${local === undefined ? '' : ` ${local}`}`)}`,
    '',
    ...(local === undefined ? [] : [...wrap(`Then it is there at ${there}`, columnsOf(world)), '']),
  ]
}

/** Nothing where it would be broken by the edge of the window. */
export async function qrLines(text: string, world: World): Promise<string[]> {
  const { renderUnicodeCompact } = await import('uqr')
  const lines = renderUnicodeCompact(text, { border: 2 }).split('\n')
  const width = lines[0]!.length
  if (world.columns === undefined || world.columns >= width) return lines
  sideNote(world, `the QR code needs ${width} columns, and this window has ${world.columns}`)
  return []
}

/** On stderr: stdout holds the ticket alone. */
export function warnOfLoopback({ loopback, registry }: TicketRecord, world: World): void {
  if (loopback)
    sideNote(
      world,
      `this ticket uses the rendezvous at ${registry}, so it works on this machine only; for other machines use \`share TARGET --lan\` or a rendezvous that they can reach`,
    )
}

export const TICKET_MS = 600_000
/** Where the other side is likely to have nothing yet. */
const WEB_PORT = 8_080
/** Below, only root may listen. */
const FIRST_FREE_PORT = 1_024
