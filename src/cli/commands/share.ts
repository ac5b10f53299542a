/**
 * `pilotgate share TARGET`: exposes it to holders of a ticket, and prints one; if no gateway is running, it starts one
 * in the foreground.
 */
import type { AdminClient } from '../../admin/client.ts'
import { MAX_TICKET_MS, MIN_TICKET_MS } from '../../admin/routes.ts'
import { PilotError } from '../../base/errors.ts'
import { OPTIONS } from '../../config/option-table.ts'
import { INVITED } from '../../gateway/model/allow.ts'
import { formatExposeSpec, parseExposeSpec } from '../../gateway/model/expose-spec.ts'
import type { ExposeSpec } from '../../gateway/model/expose-spec.ts'
import type { ExposedRecord, TicketRecord } from '../../gateway/model/records.ts'
import type { Cli } from '../cli.ts'
import { embeddedAddress, startEmbedded } from '../embedded.ts'
import { exposedLine } from '../event-line.ts'
import type { Output } from '../output.ts'
import { readOptions, serve, type UpOptions } from '../serve.ts'
import { askOrStart, editOf, withEdit } from '../start.ts'
import { noteIfSilent } from '../where.ts'
import type { World } from '../world.ts'
import { limited, named, rewriting, withTerms, type ExposeOptions } from './change.ts'
import { labelled, ticketLines, TICKET_MS, warnOfLoopback } from './invite.ts'
import { numberOption } from './numbers.ts'
import { withStartOptions } from './options.ts'
import { sharedOf, type Shared } from './share-target.ts'

interface ShareOptions extends ExposeOptions {
  readonly port?: number | undefined
  readonly label?: string
  readonly lan?: boolean
  readonly lanAddress?: string
}

export function addShare(cli: Cli): void {
  const command = cli.add(
    cli.program,
    'share [target...]',
    'share a port, a folder or a command, and print a one-use ticket (the other side: `pilotgate join TICKET`)',
    [
      'pilotgate share 3000',
      'pilotgate share ./folder --for 1h --label bob',
      'pilotgate share -- python3 tool.py',
      'pilotgate share 3000 --lan',
    ],
  )
  labelled(limited(rewriting(command)))
    .option(
      '--port <n>',
      'overlay port (default: the port of TARGET, or one that is free)',
      numberOption('--port', 1, 65_535),
    )
    .option(
      '--lan',
      'if this starts a gateway with its own rendezvous, listen on the LAN, so that the ticket works on other machines',
    )
    .option('--lan-address <ip>', 'like --lan, on this one of several addresses of this machine')
  withStartOptions(withEdit(named(command))).action(
    cli.action(async (out, written: readonly string[], options: ShareOptions) => {
      const shared = await sharedOf(written, cli.rest, cli.world)
      await noteIfSilent(cli.world, shared.target)
      return await askOrStart(
        cli.world,
        options,
        async (client) => share(out, cli.world, client, shared, options),
        async () => {
          const taken = (options.expose ?? []).map((each) => parseExposeSpec(each))
          return await shareInForeground(out, cli.world, options, specOf(shared, options, taken), shared.what)
        },
      )
    }),
  )
}

/** An exposure for holders of a ticket, on a port that none of the others uses. @throws PilotError USAGE, CONFLICT. */
export function specOf(
  { target, protocol, port: own }: Shared,
  options: ShareOptions,
  others: readonly Pick<ExposeSpec, 'port' | 'protocol'>[],
): ExposeSpec {
  if (target.kind === 'unix' && options.port === undefined)
    throw new PilotError(
      'USAGE',
      `share: a socket has no port of its own`,
      { target: target.text },
      undefined,
      'Choose the overlay port with --port.',
    )
  const isTaken = (port: number): boolean => others.some((other) => other.port === port && other.protocol === protocol)
  const first = target.kind === 'folder' ? FOLDER_PORT : COMMAND_PORT
  const free = [first, ...MORE_PORTS].find((port) => !isTaken(port))
  const port = options.port ?? own ?? free ?? first
  const bare = parseExposeSpec(`${port}${protocol === 'udp' ? '/udp' : ''}=1,allow=${INVITED}`)
  return parseExposeSpec(withTerms(formatExposeSpec({ ...bare, target }), options))
}

/** Not longer than what it opens. */
function ticketMs({ forMs = TICKET_MS }: Pick<ExposeSpec, 'forMs'>): number {
  return Math.max(MIN_TICKET_MS, Math.min(forMs, TICKET_MS, MAX_TICKET_MS))
}

async function share(
  out: Output,
  world: World,
  client: AdminClient,
  shared: Shared,
  options: ShareOptions,
): Promise<void> {
  const exposures = await client.exposures()
  const before =
    options.ifVersion === undefined ? exposures.find((record) => isShare(record, shared, options)) : undefined
  const spec = specOf(shared, { ...options, port: options.port ?? before?.port }, exposures)
  if (before !== undefined) await checkTerms(client, before.name, spec)
  const record = before ?? (await client.expose(formatExposeSpec(spec), editOf(options)))
  const validMs = Math.min(ticketMs(spec), endOf(record))
  const ticket = await client.invite(record.name, validMs, options.label)
  if (world.terminal)
    out.note(`${before === undefined ? 'exposed' : 'already'} ${exposedLine(record)}, as ${record.name}`)
  out.result({ ...record, ticket }, ticketLines(ticket, [], out, world, shared.what))
  if (before === undefined) out.undo(`pilotgate unexpose ${record.name}`)
  warnOfLoopback(ticket, world)
}

/** The same thing, shared before: sharing it again requests another ticket. */
function isShare(record: ExposedRecord, { target, protocol }: Shared, { port, name }: ShareOptions): boolean {
  if (record.target !== target.text || record.protocol !== protocol || !record.allow.includes(INVITED)) return false
  return (port === undefined || port === record.port) && (name === undefined || name === record.name)
}

/** What was promised to earlier guests stays. @throws PilotError CONFLICT. */
async function checkTerms(client: AdminClient, name: string, wanted: ExposeSpec): Promise<void> {
  const running = (await client.config()).exposures.find((spec) => spec.name === name)
  const asks = wanted.forMs !== undefined || wanted.once !== undefined || wanted.host !== undefined
  const isSame = (['forMs', 'once', 'host'] as const).every((key) => wanted[key] === running?.[key])
  if (!asks || isSame) return
  throw new PilotError(
    'CONFLICT',
    `this is shared already, as "${name}", on other terms`,
    { name },
    undefined,
    `Share it without --for, --once and --rewrite-host for another ticket, or end it first: \`pilotgate unexpose ${name}\`.`,
  )
}

function endOf({ endsAt }: ExposedRecord): number {
  return endsAt === undefined ? Infinity : Math.max(MIN_TICKET_MS, Date.parse(endsAt) - Date.now())
}

/** If no rendezvous is configured, the gateway runs one. */
async function shareInForeground(
  out: Output,
  world: World,
  options: ShareOptions,
  spec: ExposeSpec,
  what: string,
): Promise<number> {
  const flags = { ...options, expose: [...(options.expose ?? []), formatExposeSpec(spec)] }
  const show = (ticket: TicketRecord): void => {
    out.event({ event: 'invited', ...ticket }, ticketLines(ticket, [], out, world, what).join('\n'))
    if (out.quiet && !out.json) world.out(`${ticket.ticket}\n`) // the purpose of the command
    warnOfLoopback(ticket, world)
  }
  const run = (more: UpOptions): Promise<number> =>
    serve(out, world, { ...flags, ...more }, async (control) =>
      show(await control.invite(spec.name, ticketMs(spec), options.label)),
    )
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
const FOLDER_PORT = 80
const COMMAND_PORT = 1_000
/** For the next ones. */
const MORE_PORTS: readonly number[] = Array.from({ length: 100 }, (_, index) => 8_000 + index)
