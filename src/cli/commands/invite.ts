/** `pilotgate invite`, and the display of a ticket for this command and `share`. */
import { MAX_TICKET_MS, MIN_TICKET_MS } from '../../admin/routes.ts'
import type { TicketRecord } from '../../gateway/model/records.ts'
import type { Cli } from '../cli.ts'
import type { Output } from '../output.ts'
import type { World } from '../world.ts'
import { durationOption } from './numbers.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

interface InviteOptions extends ReaderOptions {
  readonly for?: number // ms
  readonly service?: string
  readonly qr?: boolean
}

export function addInvite(cli: Cli): void {
  withAdmin(
    cli.add(cli.program, 'invite', 'print a one-use ticket for an exposure', [
      'pilotgate invite',
      'pilotgate invite --service api --for 1h',
    ]),
  )
    .option(
      '--for <time>',
      'how long the ticket is valid: 30s, 10m, 2h, 1d (default 10m)',
      durationOption('--for', MIN_TICKET_MS, MAX_TICKET_MS),
    )
    .option('--service <name>', 'exposure that the ticket opens, if there are several')
    .option('--qr', 'also draw it as a QR code')
    .action(
      cli.action(async (out, options: InviteOptions) => {
        const record = await clientOf(options, cli.world).invite(options.service, options.for ?? TICKET_MS)
        out.result(record, ticketLines(record, options.qr === true ? await qrCode(record.ticket) : [], out, cli.world))
        warnOfLoopback(record, cli.world)
      }),
    )
}

/** Only the ticket into a pipe; for people also a description. @param drawn also as a QR code. */
export function ticketLines(record: TicketRecord, code: readonly string[], out: Output, world: World): string[] {
  const command = `pilotgate join ${record.ticket}`
  if (!world.terminal || out.quiet) return [record.ticket, ...code]
  return [
    `A ticket for ${record.service} (port ${record.port}): one node can use it, once, until ${record.expires}.`,
    ...code,
    'On the other side:',
    '',
    `  ${out.bold(command)}`,
    '',
  ]
}

async function qrCode(text: string): Promise<string[]> {
  const { renderUnicodeCompact } = await import('uqr')
  return renderUnicodeCompact(text, { border: 2 }).split('\n')
}

/** On stderr: stdout holds the ticket alone. */
export function warnOfLoopback({ loopback, registry }: TicketRecord, world: World): void {
  if (loopback)
    world.err(
      `note: this ticket uses the rendezvous at ${registry}, so it works on this machine only; for other machines use \`share TARGET --lan\` or a rendezvous that they can reach\n`,
    )
}

export const TICKET_MS = 600_000
