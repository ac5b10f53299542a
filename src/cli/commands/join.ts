/**
 * `pilotgate join TICKET|- [LOCAL]`: uses a ticket and maps its service; if no gateway is running, it starts one in the
 * foreground.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { AdminClient } from '../../admin/client.ts'
import type { MappedRecord, TicketUseRecord } from '../../gateway/model/records.ts'
import { mappedRow } from '../screen.ts'
import { columnsOf } from '../teller.ts'
import type { Ticket } from '../../gateway/tickets/text.ts'
import { parseTicket } from '../../gateway/tickets/text.ts'
import type { Cli } from '../cli.ts'
import { mappedLine } from '../event-line.ts'
import type { Output } from '../output.ts'
import { readOptions, serve, type UpOptions } from '../serve.ts'
import { askOrStart, editOf, withEdit, type ChangeOptions } from '../start.ts'
import { checkFree } from '../where.ts'
import type { World } from '../world.ts'
import { named, openLines, rewriting, scannable, type ScanOptions } from './change.ts'
import { withStartOptions } from './options.ts'

interface JoinOptions extends ChangeOptions, ScanOptions {
  readonly rewriteHost?: boolean | undefined
}

export function addJoin(cli: Cli): void {
  const command = cli.add(
    cli.program,
    'join <ticket> [local]',
    'use a ticket and map the service that it opens, to [BIND-IP:]LOCAL-PORT if given; `-` reads the ticket from stdin',
    ['pilotgate join pgt1_… 8080', 'pilotgate join - 127.0.0.1:8080 < ticket.txt'],
  )
  withStartOptions(withEdit(named(scannable(rewriting(command))))).action(
    cli.action(async (out, written: string, local: string | undefined, options: JoinOptions) => {
      const ticket = written === '-' ? await cli.world.readLine() : written
      await checkFree(cli.world, local, (port) => `pilotgate join ${written === '-' ? '-' : 'TICKET'} ${port}`)
      return await askOrStart(
        cli.world,
        options,
        async (client) => joinRunning(out, cli.world, client, ticket, local, options),
        async () => joinInForeground(out, cli.world, options, ticket, local),
      )
    }),
  )
}

async function joinRunning(
  out: Output,
  world: World,
  client: AdminClient,
  ticket: string,
  local: string | undefined,
  options: JoinOptions,
): Promise<void> {
  const { used, record } = await redeemAndMap(client, ticket, local, options)
  out.result({ ...record, ticket: used }, [
    `mapped ${mappedLine(record)}, as ${record.name}: ${used.service} of ${used.peer}`,
    ...(await openLines(record, options, world)),
  ])
  out.undo(`pilotgate unmap ${record.name}; pilotgate trust revoke ${used.peer}`)
}

/**
 * Joins the ticket's rendezvous, unless the command line or the environment names one. The maker of the ticket chose
 * it, so unless it is the one configured here, it sees a separate identity and none of our trust.
 */
async function joinInForeground(
  out: Output,
  world: World,
  options: JoinOptions,
  text: string,
  local: string | undefined,
): Promise<number> {
  const ticket = parseTicket(text)
  const named =
    options.registry !== undefined || (world.env['PILOTGATE_REGISTRY'] ?? '') !== '' || options.daemon !== undefined
  const way: UpOptions = named ? {} : { ...rendezvousOf(ticket), ...(await guestState(world, options, ticket)) }
  return await serve(
    out,
    world,
    { ...options, ...way },
    async (control) => {
      const { record } = await redeemAndMap(
        { redeem: async (secret) => control.redeem(secret), map: async (spec, edit) => control.map(spec, edit) },
        text,
        local,
        { rewriteHost: options.rewriteHost },
      )
      const [url, ...code] = await openLines(record, options, world)
      if (world.terminal) out.note(...mappedRow(record, columnsOf(world), out), ...code, '')
      else if (url !== undefined) out.note(url, ...code)
      if (!named)
        out.note(out.dim('To come back later, run the same command: the ticket stays valid for this machine.'))
      if (!named && world.terminal) out.note('')
    },
    'Using the ticket …',
  )
}

function rendezvousOf({ registry, beacon, fingerprint }: Ticket): UpOptions {
  return { registry, beacon, ...(fingerprint !== undefined && { registryFingerprint: fingerprint }) }
}

/** State folder of the node that a foreign registry sees, next to our own state. */
async function guestState(world: World, options: ChangeOptions, ticket: Ticket): Promise<UpOptions> {
  const own = await readOptions(options, world)
  const isOurs =
    own.registry === ticket.registry ||
    (ticket.fingerprint !== undefined &&
      own.registryFingerprint?.replaceAll(':', '').toLowerCase() === ticket.fingerprint)
  if (isOurs) return {}
  const name = createHash('sha256')
    .update(ticket.fingerprint ?? ticket.registry)
    .digest('hex')
    .slice(0, 16)
  const stateDir = join(own.stateDir, 'guest', name)
  return {
    stateDir,
    admin: own.adminSocket,
    ...(options.identity === undefined && { identity: join(stateDir, 'identity.json') }),
  }
}

async function redeemAndMap(
  client: Pick<AdminClient, 'redeem' | 'map'>,
  ticket: string,
  local: string | undefined,
  options: JoinOptions,
): Promise<{ readonly used: TicketUseRecord; readonly record: MappedRecord }> {
  const used = await client.redeem(ticket)
  const remote = `${used.peer}:${used.port}${used.protocol === 'udp' ? '/udp' : ''}`
  const spec = `${local === undefined ? '' : `${local}:`}${remote}${options.rewriteHost === true ? ',host=rewrite' : ''}`
  const record = await client.map(spec, editOf(options))
  return { used, record }
}
