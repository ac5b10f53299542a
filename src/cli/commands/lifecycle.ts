/** `pilotgate reload|drain|resume|down`: operations on the running gateway as a whole. */
import { PilotError } from '../../base/errors.ts'
import type { AdminClient } from '../../admin/client.ts'
import type { DrainRecord } from '../../gateway/model/records.ts'
import type { Output } from '../output.ts'
import type { Cli } from '../cli.ts'
import { GRACE_MS } from '../serve.ts'
import { plural } from '../text.ts'
import type { World } from '../world.ts'
import { changeLines } from './config.ts'
import { durationOption, written } from './numbers.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

interface DrainOptions extends ReaderOptions {
  readonly exposure?: string
  readonly timeout?: number
}

export function addLifecycle(cli: Cli): void {
  withAdmin(
    cli.add(cli.program, 'reload', 'make the running gateway reread its configuration file', ['pilotgate reload']),
  ).action(
    cli.action(async (out, options: ReaderOptions) => {
      const change = await clientOf(options, cli.world).reload()
      out.result(change, [...changeLines(change), `configuration ${change.version} is in force`])
    }),
  )
  withAdmin(
    cli.add(cli.program, 'drain', 'stop accepting connections, and wait until the open ones have ended', [
      'pilotgate drain',
      'pilotgate drain --exposure api --timeout 60s',
    ]),
  )
    .option('--exposure <name>', 'only at this exposure')
    .option(
      '--timeout <time>',
      'wait at most 30s, 10m, 2h, then exit with 124; the drain continues; a number alone is seconds',
      durationOption('--timeout', 0, 1_000_000_000, 1_000),
    )
    .action(
      cli.action(async (out, options: DrainOptions) => drain(out, cli.world, clientOf(options, cli.world), options)),
    )
  withAdmin(
    cli.add(cli.program, 'resume', 'accept new connections again after a drain', [
      'pilotgate resume',
      'pilotgate resume --exposure api',
    ]),
  )
    .option('--exposure <name>', 'only at this exposure')
    .action(
      cli.action(async (out, { exposure, ...options }: DrainOptions) => {
        const record = await clientOf(options, cli.world).resume(exposure)
        out.result(record, ['resumed: accepting new connections again'])
      }),
    )
  withAdmin(cli.add(cli.program, 'down', 'stop the running gateway gracefully', ['pilotgate down'])).action(
    cli.action(async (out, options: ReaderOptions) => down(out, cli.world, clientOf(options, cli.world))),
  )
}

async function drain(
  out: Output,
  world: World,
  client: AdminClient,
  { exposure, timeout }: DrainOptions,
): Promise<void> {
  const resume = `pilotgate resume${exposure === undefined ? '' : ` --exposure ${exposure}`}`
  let record = await client.drain(exposure)
  if (record.connections > 0) out.note(`draining; ${plural(record.connections, 'connection')} still open`)
  const until = performance.now() + (timeout === undefined ? Infinity : timeout)
  const wait = { over: false }
  const unsubscribe = world.onStop(() => {
    wait.over = true
  }) // Ctrl+C ends the waiting, not the drain
  while (record.connections > 0 && !wait.over) {
    if (performance.now() >= until)
      throw new PilotError(
        'TIMED_OUT',
        `${plural(record.connections, 'connection')} still open after ${written(timeout ?? 0)}; the drain continues`,
        { connections: record.connections },
        undefined,
        `\`pilotgate list connections\` shows them; \`${resume}\` undoes the drain.`,
      )
    await world.sleep(LOOK_MS)
    record = await lookAt(client, exposure)
    if (record.state === 'ready') break
  }
  unsubscribe()
  out.result(record, [drainLine(record)])
  if (record.state !== 'ready') out.undo(resume)
}

/** Like the answer of `drain`, without draining again: someone may have resumed in the meantime. */
async function lookAt(client: AdminClient, exposure: string | undefined): Promise<DrainRecord> {
  const status = await client.status()
  if (exposure === undefined)
    return {
      state: status.state === 'draining' ? 'draining' : 'ready',
      exposure: null,
      connections: status.connections,
    }
  const isDraining = status.exposures.some(({ name, draining }) => name === exposure && draining === true)
  const open = (await client.connections()).filter(
    ({ direction, service }) => direction === 'expose' && service === exposure,
  )
  return { state: isDraining ? 'draining' : 'ready', exposure, connections: open.length }
}

function drainLine({ state, connections }: DrainRecord): string {
  if (state === 'ready') return 'the drain was undone; new connections are accepted again'
  return connections === 0
    ? 'drained: no open connections'
    : `still draining; ${plural(connections, 'connection')} open`
}

async function down(out: Output, world: World, client: AdminClient): Promise<void> {
  const record = await client.down()
  if (record.connections > 0)
    out.note(`stopping; ${plural(record.connections, 'connection')} may take up to ${GRACE_MS / 1_000} s to end`)
  const until = performance.now() + GRACE_MS + PATIENCE_MS
  while (performance.now() < until) {
    await world.sleep(LOOK_MS)
    const gone = await client.status().then(
      () => false,
      (error: unknown) => error instanceof PilotError && error.code === 'NOT_RUNNING',
    )
    if (gone) return out.result({ state: 'stopped' }, ['the gateway has stopped'])
  }
  throw new PilotError('TIMED_OUT', 'the gateway is still running')
}

const LOOK_MS = 200
/** For the last packets, and for a busy machine. */
const PATIENCE_MS = 10_000
