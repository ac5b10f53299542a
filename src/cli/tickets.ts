/** `expose PORT` and `map TICKET`: at the gateway that runs, or as one in the foreground where none does. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { AdminClient } from '../admin/client.ts'
import type { Edit } from '../gateway/control.ts'
import { PilotError } from '../base/errors.ts'
import { resolveOptions } from '../config/options.ts'
import { INVITED } from '../gateway/model/allow.ts'
import type { MappedRecord, TicketRecord, TicketUseRecord } from '../gateway/model/records.ts'
import type { Ticket } from '../gateway/tickets/text.ts'
import { parseTicket } from '../gateway/tickets/text.ts'
import { ticketLines, TICKET_MS, warnOfLoopback } from './commands/invite.ts'
import { embeddedAddress, startEmbedded } from './embedded.ts'
import { exposedLine, mappedLine } from './event-line.ts'
import type { Output } from './output.ts'
import { readSources, serve, type UpOptions } from './serve.ts'
import type { World } from './world.ts'

/** Of the commands `map` and `expose`. */
export interface TicketOptions extends UpOptions {
  readonly lan?: string | boolean
}

/** `3000`: that port of this machine, on the same overlay port, for holders of a ticket. */
export function isPortAlone(spec: string): boolean {
  return /^\d{1,5}$/.test(spec)
}

export function portSpec(port: string): string {
  return `${port}=${port},allow=${INVITED}`
}

export async function exposeRunning(
  out: Output,
  world: World,
  client: AdminClient,
  port: string,
  edit: Edit,
): Promise<void> {
  const record = await client.expose(portSpec(port), edit)
  const ticket = await client.invite(record.name, TICKET_MS)
  if (world.terminal) out.note(`exposed ${exposedLine(record)}, as ${record.name}`)
  out.result({ ...record, ticket }, ticketLines(ticket, world.terminal, out, world))
  out.undo(`pilotgate unexpose ${record.name}`)
  warnOfLoopback(ticket, world)
}

/** Where no rendezvous is named anywhere, one runs with it. */
export async function exposeInForeground(
  out: Output,
  world: World,
  options: TicketOptions,
  port: string,
): Promise<number> {
  const flags = { ...options, expose: [...(options.expose ?? []), portSpec(port)] }
  const tell = (ticket: TicketRecord): void => {
    out.event({ event: 'invited', ...ticket }, ticketLines(ticket, world.terminal, out, world).join('\n'))
    if (out.quiet && !out.json) world.out(`${ticket.ticket}\n`) // what it was called for
    warnOfLoopback(ticket, world)
  }
  const run = (more: UpOptions): Promise<number> =>
    serve(out, world, { ...flags, ...more }, async (control) => tell(await control.invite(port, TICKET_MS)))
  const sources = await readSources(flags, world)
  const { stateDir, registry } = resolveOptions(sources)
  const named =
    options.registry !== undefined ||
    (world.env['PILOTGATE_REGISTRY'] ?? '') !== '' ||
    registry !== DEFAULT_REGISTRY ||
    options.daemon !== undefined
  if (named) {
    if (options.lan !== undefined)
      throw new PilotError(
        'USAGE',
        `--lan is about the rendezvous of a gateway that has no other; this one uses ${registry}`,
      )
    return await run({})
  }
  const log = (await world.modules.log()).createLogger(out.logLevel('warn'))
  const embedded = await startEmbedded(world, stateDir, embeddedAddress(options.lan), log)
  try {
    return await run({
      registry: embedded.registry,
      beacon: embedded.beacon,
      ...(embedded.fingerprint !== undefined && { registryFingerprint: embedded.fingerprint }),
    })
  } finally {
    await embedded.stop()
  }
}

export async function mapRunning(
  out: Output,
  client: AdminClient,
  ticket: string,
  local: string | undefined,
  edit: Edit,
): Promise<void> {
  const { used, record } = await mapTicket(client, ticket, local, edit)
  out.result({ ...record, ticket: used }, [
    `mapped ${mappedLine(record)}, as ${record.name}: ${used.service} of ${used.peer}`,
  ])
  out.undo(`pilotgate unmap ${record.name}; pilotgate trust revoke ${used.peer}`)
}

/**
 * As a node of the rendezvous that the ticket names, unless the command line or the environment names one. Whoever made
 * the ticket chose it, so unless it is the one configured here it sees an identity made for it, and none of our trust.
 */
export async function mapInForeground(
  out: Output,
  world: World,
  options: TicketOptions,
  text: string,
  local: string | undefined,
): Promise<number> {
  const ticket = parseTicket(text)
  const named =
    options.registry !== undefined || (world.env['PILOTGATE_REGISTRY'] ?? '') !== '' || options.daemon !== undefined
  const way = named ? {} : { ...rendezvousOf(ticket), ...(await guestState(world, options, ticket)) }
  if (ticket.expires * 1_000 <= Date.now())
    throw new PilotError('TICKET_EXPIRED', `the ticket expired at ${new Date(ticket.expires * 1_000).toISOString()}`)
  return await serve(out, world, { ...options, ...way }, async (control) => {
    const { used, record } = await mapTicket(
      { redeem: async (secret) => control.redeem(secret), map: async (spec, edit) => control.map(spec, edit) },
      text,
      local,
      {},
    )
    const pin = ticket.fingerprint === undefined ? '' : ` --registry-fingerprint ${ticket.fingerprint}`
    const state = way.stateDir === undefined ? '' : ` --state-dir ${way.stateDir}`
    if (!named)
      out.note(
        'from now on, without the ticket:',
        `  pilotgate up${state} --registry ${ticket.registry}${pin} --beacon ${ticket.beacon} --map ${record.local}:${used.peer}:${used.port}`,
      )
  })
}

function rendezvousOf({ registry, beacon, fingerprint }: Ticket): UpOptions {
  return { registry, beacon, ...(fingerprint !== undefined && { registryFingerprint: fingerprint }) }
}

/** Where the node that a foreign registry sees keeps what it is and whom it trusts. It is found where ours would be. */
async function guestState(world: World, options: TicketOptions, ticket: Ticket): Promise<UpOptions> {
  const own = resolveOptions(await readSources(options, world))
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

async function mapTicket(
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

const DEFAULT_REGISTRY = resolveOptions({ flags: {}, env: { HOME: '/' } }).registry
