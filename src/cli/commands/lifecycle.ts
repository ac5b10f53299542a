/** `pilotgate reload|drain|down`: what is asked of the running gateway as a whole. */
import { PilotError } from '../../base/errors.ts'
import type { AdminClient } from '../../admin/client.ts'
import type { DrainRecord } from '../../gateway/model/records.ts'
import type { Output } from '../output.ts'
import type { Cli } from '../cli.ts'
import { GRACE_MS } from '../serve.ts'
import { plural } from '../text.ts'
import type { World } from '../world.ts'
import { changeLines } from './config.ts'
import { numberOption } from './numbers.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

interface DrainOptions extends ReaderOptions {
  readonly expose?: string
  readonly undo?: boolean
  readonly timeout?: number
}

export function addLifecycle(cli: Cli): void {
  withAdmin(
    cli.add(cli.program, 'reload', 'have the running gateway read its file again', ['pilotgate reload']),
  ).action(
    cli.action(async (out, options: ReaderOptions) => {
      const change = await clientOf(options, cli.world).reload()
      out.result(change, [...changeLines(change), `configuration ${change.version} is in force`])
    }),
  )
  withAdmin(
    cli.add(cli.program, 'drain', 'take no new connections, and wait until the open ones have ended', [
      'pilotgate drain',
      'pilotgate drain --expose api --timeout 60',
      'pilotgate drain --undo',
    ]),
  )
    .option('--expose <name>', 'only at this exposure')
    .option('--undo', 'take new connections again')
    .option(
      '--timeout <s>',
      'wait at most so many seconds, then end with 124; the drain goes on',
      numberOption('--timeout', 0, 1_000_000),
    )
    .action(
      cli.action(async (out, options: DrainOptions) => drain(out, cli.world, clientOf(options, cli.world), options)),
    )
  withAdmin(cli.add(cli.program, 'down', 'end the running gateway gracefully', ['pilotgate down'])).action(
    cli.action(async (out, options: ReaderOptions) => down(out, cli.world, clientOf(options, cli.world))),
  )
}

async function drain(
  out: Output,
  world: World,
  client: AdminClient,
  { expose, undo, timeout }: DrainOptions,
): Promise<void> {
  if (undo === true) {
    const record = await client.resume(expose)
    return out.result(record, ['new connections are taken again'])
  }
  let record = await client.drain(expose)
  if (record.connections > 0) out.note(`draining; ${plural(record.connections, 'connection')} still open`)
  const until = performance.now() + (timeout === undefined ? Infinity : timeout * 1_000)
  const wait = { over: false }
  const unsubscribe = world.onStop(() => {
    wait.over = true
  }) // Ctrl+C ends the waiting, not the drain
  while (record.connections > 0 && !wait.over) {
    if (performance.now() >= until)
      throw new PilotError(
        'TIMED_OUT',
        `${plural(record.connections, 'connection')} still open after ${timeout} s; the drain goes on`,
        { connections: record.connections },
        undefined,
        '`pilotgate connections` shows them; `pilotgate drain --undo` takes the drain back.',
      )
    await world.sleep(LOOK_MS)
    record = await lookAt(client, expose)
    if (record.state === 'ready') break
  }
  unsubscribe()
  out.result(record, [drainLine(record)])
  if (record.state === 'ready') return
  out.undo(`pilotgate drain --undo${expose === undefined ? '' : ` --expose ${expose}`}`)
}

/** As `drain` answers, without draining again: somebody may have taken the drain back meanwhile. */
async function lookAt(client: AdminClient, expose: string | undefined): Promise<DrainRecord> {
  const status = await client.status()
  if (expose === undefined)
    return {
      state: status.state === 'draining' ? 'draining' : 'ready',
      expose: null,
      connections: status.connections,
    }
  const isDraining = status.exposes.some(({ name, draining }) => name === expose && draining === true)
  const open = (await client.connections()).filter(
    ({ direction, service }) => direction === 'expose' && service === expose,
  )
  return { state: isDraining ? 'draining' : 'ready', expose, connections: open.length }
}

function drainLine({ state, connections }: DrainRecord): string {
  if (state === 'ready') return 'the drain was undone; new connections are taken again'
  return connections === 0
    ? 'drained: no connection is open'
    : `still draining; ${plural(connections, 'connection')} open`
}

async function down(out: Output, world: World, client: AdminClient): Promise<void> {
  const record = await client.down()
  if (record.connections > 0)
    out.note(`ending; ${plural(record.connections, 'connection')} may take up to ${GRACE_MS / 1_000} s`)
  const until = performance.now() + GRACE_MS + PATIENCE_MS
  while (performance.now() < until) {
    await world.sleep(LOOK_MS)
    const gone = await client.status().then(
      () => false,
      (error: unknown) => error instanceof PilotError && error.code === 'NOT_RUNNING',
    )
    if (gone) return out.result({ state: 'stopped' }, ['the gateway has ended'])
  }
  throw new PilotError('TIMED_OUT', 'the gateway still answers')
}

const LOOK_MS = 200
/** For the last packets, and for a busy machine. */
const PATIENCE_MS = 10_000
