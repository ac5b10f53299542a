/**
 * `pilotgate join TICKET|- [LOCAL]`: uses a ticket and maps its service; if no gateway is running, it starts one in the
 * foreground.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { AdminClient } from '../../admin/client.ts'
import type { Edit } from '../../gateway/control.ts'
import type { MappedRecord, TicketUseRecord } from '../../gateway/model/records.ts'
import type { Ticket } from '../../gateway/tickets/text.ts'
import { parseTicket } from '../../gateway/tickets/text.ts'
import type { Cli } from '../cli.ts'
import { mappedLine } from '../event-line.ts'
import type { Output } from '../output.ts'
import { readOptions, serve, type UpOptions } from '../serve.ts'
import { askOrStart, editOf, withEdit, type ChangeOptions } from '../start.ts'
import type { World } from '../world.ts'
import { named } from './change.ts'
import { withStartOptions } from './options.ts'

export function addJoin(cli: Cli): void {
  const command = cli.add(
    cli.program,
    'join <ticket> [local]',
    'use a ticket and map the service that it opens, to [BIND-IP:]LOCAL-PORT if given; `-` reads the ticket from stdin',
    ['pilotgate join pgt1_… 8080', 'pilotgate join - 127.0.0.1:8080 < ticket.txt'],
  )
  withStartOptions(withEdit(named(command))).action(
    cli.action(async (out, written: string, local: string | undefined, options: ChangeOptions) => {
      const ticket = written === '-' ? await cli.world.readLine() : written
      return await askOrStart(
        cli.world,
        options,
        async (client) => joinRunning(out, client, ticket, local, options),
        async () => joinInForeground(out, cli.world, options, ticket, local),
      )
    }),
  )
}

async function joinRunning(
  out: Output,
  client: AdminClient,
  ticket: string,
  local: string | undefined,
  options: ChangeOptions,
): Promise<void> {
  const { used, record } = await redeemAndMap(client, ticket, local, editOf(options))
  out.result({ ...record, ticket: used }, [
    `mapped ${mappedLine(record)}, as ${record.name}: ${used.service} of ${used.peer}`,
    ...openLines(record),
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
  options: ChangeOptions,
  text: string,
  local: string | undefined,
): Promise<number> {
  const ticket = parseTicket(text)
  const named =
    options.registry !== undefined || (world.env['PILOTGATE_REGISTRY'] ?? '') !== '' || options.daemon !== undefined
  const way: UpOptions = named ? {} : { ...rendezvousOf(ticket), ...(await guestState(world, options, ticket)) }
  return await serve(out, world, { ...options, ...way }, async (control) => {
    const { used, record } = await redeemAndMap(
      { redeem: async (secret) => control.redeem(secret), map: async (spec, edit) => control.map(spec, edit) },
      text,
      local,
      {},
    )
    const pin = ticket.fingerprint === undefined ? '' : ` --registry-fingerprint ${ticket.fingerprint}`
    const state = way.stateDir === undefined ? '' : ` --state-dir ${way.stateDir}`
    out.note(...openLines(record))
    if (!named)
      out.note(
        'from now on, without the ticket:',
        `  pilotgate up${state} --registry ${ticket.registry}${pin} --beacon ${ticket.beacon} --map ${record.local}:${used.peer}:${used.port}`,
      )
  })
}

/** What to open. The ticket does not say whether the service speaks HTTP. */
function openLines({ local, protocol }: MappedRecord): string[] {
  return protocol === 'tcp'
    ? [`open http://${local.replace(/^127\.0\.0\.1:/, 'localhost:')}/, or connect to ${local}`]
    : []
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
  edit: Edit,
): Promise<{ readonly used: TicketUseRecord; readonly record: MappedRecord }> {
  const used = await client.redeem(ticket)
  const remote = `${used.peer}:${used.port}${used.protocol === 'udp' ? '/udp' : ''}`
  const record = await client.map(local === undefined ? remote : `${local}:${remote}`, edit)
  return { used, record }
}
