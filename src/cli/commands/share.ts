/**
 * `pilotgate share TARGET`: exposes it to holders of a ticket, and prints one; if no gateway is running, it starts one
 * in the foreground.
 */
import type { AdminClient } from '../../admin/client.ts'
import { MAX_TICKET_MS, MIN_TICKET_MS } from '../../admin/routes.ts'
import { PilotError } from '../../base/errors.ts'
import { OPTIONS } from '../../config/option-table.ts'
import { INVITED } from '../../gateway/model/allow.ts'
import { parseExposeSpec, parseTarget } from '../../gateway/model/expose-spec.ts'
import type { ExposedRecord, TicketRecord } from '../../gateway/model/records.ts'
import type { Cli } from '../cli.ts'
import { embeddedAddress, startEmbedded } from '../embedded.ts'
import { exposedLine } from '../event-line.ts'
import type { Output } from '../output.ts'
import { readOptions, serve, type UpOptions } from '../serve.ts'
import { askOrStart, editOf, withEdit } from '../start.ts'
import type { World } from '../world.ts'
import { limited, named, withTerms, type ExposeOptions } from './change.ts'
import { ticketLines, TICKET_MS, warnOfLoopback } from './invite.ts'
import { numberOption } from './numbers.ts'
import { withStartOptions } from './options.ts'

interface ShareOptions extends ExposeOptions {
  readonly port?: number
  readonly lan?: boolean
  readonly lanAddress?: string
}

export function addShare(cli: Cli): void {
  const command = cli.add(
    cli.program,
    'share <target>',
    'expose a local service and print a one-use ticket for it (the other side: `pilotgate join TICKET`)',
    ['pilotgate share 3000', 'pilotgate share 3000 --lan --for 1h', 'pilotgate share unix:/run/pg.sock --port 5432'],
  )
  limited(command)
    .option('--port <n>', 'overlay port (default: the port of TARGET)', numberOption('--port', 1, 65_535))
    .option(
      '--lan',
      'if this starts a gateway with its own rendezvous, listen on the LAN, so that the ticket works on other machines',
    )
    .option('--lan-address <ip>', 'like --lan, on this one of several addresses of this machine')
  withStartOptions(withEdit(named(command))).action(
    cli.action(async (out, target: string, options: ShareOptions) => {
      const spec = withTerms(shareSpec(target, options.port), options)
      const { name, forMs = TICKET_MS } = parseExposeSpec(spec)
      const validMs = Math.max(MIN_TICKET_MS, Math.min(forMs, TICKET_MS, MAX_TICKET_MS)) // not longer than what it opens
      return await askOrStart(
        cli.world,
        options,
        async (client) => share(out, cli.world, client, spec, options, validMs),
        async () => shareInForeground(out, cli.world, options, spec, name, validMs),
      )
    }),
  )
}

/** `3000`, `127.0.0.1:3000`, `53/udp`, `unix:/run/pg.sock`, … as an exposure for holders of a ticket. @throws PilotError USAGE. */
export function shareSpec(written: string, port: number | undefined): string {
  const body = /^([^/]+)\/udp$/.exec(written)?.[1]
  const target = parseTarget(body ?? written, body === undefined ? 'tcp' : 'udp')
  const overlayPort = port ?? (target.kind === 'unix' ? undefined : target.port)
  if (overlayPort === undefined)
    throw new PilotError(
      'USAGE',
      `share "${written}": this target has no port of its own`,
      { target: written },
      undefined,
      'Choose the overlay port with --port.',
    )
  return `${overlayPort}${body === undefined ? '' : '/udp'}=${body ?? written},allow=${INVITED}`
}

async function share(
  out: Output,
  world: World,
  client: AdminClient,
  spec: string,
  options: ShareOptions,
  validMs: number,
): Promise<void> {
  const record = await exposeOrFind(client, spec, options)
  const ticket = await client.invite(record.name, validMs)
  if (world.terminal) out.note(`exposed ${exposedLine(record)}, as ${record.name}`)
  out.result({ ...record, ticket }, ticketLines(ticket, [], out, world))
  out.undo(`pilotgate unexpose ${record.name}`)
  warnOfLoopback(ticket, world)
}

/** Sharing the same target again requests another ticket. */
async function exposeOrFind(client: AdminClient, spec: string, options: ShareOptions): Promise<ExposedRecord> {
  try {
    return await client.expose(spec, editOf(options))
  } catch (error) {
    if (!(error instanceof PilotError) || error.code !== 'CONFLICT' || options.ifVersion !== undefined) throw error
    const wanted = parseExposeSpec(spec)
    const name = options.name ?? wanted.name
    const same = (await client.exposures()).find(
      (record) => record.name === name && record.target === wanted.target.text && record.allow.includes(INVITED),
    )
    if (same === undefined || wanted.forMs !== undefined || wanted.once === true) throw error
    return same
  }
}

/** If no rendezvous is configured, the gateway runs one. */
async function shareInForeground(
  out: Output,
  world: World,
  options: ShareOptions,
  spec: string,
  name: string,
  validMs: number,
): Promise<number> {
  const flags = { ...options, expose: [...(options.expose ?? []), spec] }
  const show = (ticket: TicketRecord): void => {
    out.event({ event: 'invited', ...ticket }, ticketLines(ticket, [], out, world).join('\n'))
    if (out.quiet && !out.json) world.out(`${ticket.ticket}\n`) // the purpose of the command
    warnOfLoopback(ticket, world)
  }
  const run = (more: UpOptions): Promise<number> =>
    serve(out, world, { ...flags, ...more }, async (control) => show(await control.invite(name, validMs)))
  const { stateDir, registry } = await readOptions(flags, world)
  if (namesRendezvous(options, registry, world)) {
    if (options.lan === true || options.lanAddress !== undefined)
      throw new PilotError(
        'USAGE',
        `--lan is for a gateway with its own rendezvous; this one uses ${registry}`,
        {},
        undefined,
        'Leave out --lan: the ticket works wherever that registry can be reached.',
      )
    return await run({})
  }
  const log = (await world.modules.log()).createLogger(out.logLevel('warn'), out.logFormat)
  const embedded = await startEmbedded(world, stateDir, embeddedAddress(options), log)
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

function namesRendezvous(options: ShareOptions, registry: string, world: World): boolean {
  return (
    options.registry !== undefined ||
    (world.env['PILOTGATE_REGISTRY'] ?? '') !== '' ||
    registry !== DEFAULT_REGISTRY ||
    options.daemon !== undefined
  )
}

const DEFAULT_REGISTRY = OPTIONS.registry.fallback
