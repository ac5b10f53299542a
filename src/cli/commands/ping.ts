/** `pilotgate ping PEER`: echoes through the tunnel: their path, their speed, and how many came back. */
import { Option } from 'commander'
import type { PingRecord } from '../../gateway/model/records.ts'
import { PilotError } from '../../base/errors.ts'
import type { AdminClient } from '../../admin/client.ts'
import type { Output } from '../output.ts'
import type { Cli } from '../cli.ts'
import { formatRtt, pathName, plural } from '../text.ts'
import type { World } from '../world.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'
import { durationOption, numberOption } from './numbers.ts'

interface PingOptions extends ReaderOptions {
  readonly count: number
  readonly interval: number
  readonly timeout: number
}

export function addPing(cli: Cli): void {
  withAdmin(
    cli.add(cli.program, 'ping <peer>', 'send echoes to a peer through the tunnel', [
      'pilotgate ping agent-b --count 3',
    ]),
  )
    .option('--count <n>', 'number of echoes', numberOption('--count', 1, 1_000_000), 4)
    .addOption(
      new Option('--interval <time>', 'pause between two echoes, such as 200ms; a number alone is ms')
        .argParser(durationOption('--interval', 0, 3_600_000, 1))
        .default(1_000, '1s'),
    )
    .addOption(
      new Option('--timeout <time>', 'time to wait for each reply, such as 500ms; a number alone is ms')
        .argParser(durationOption('--timeout', 1, 60_000, 1))
        .default(5_000, '5s'),
    )
    .action(
      cli.action(async (out, peer: string, options: PingOptions) =>
        ping(out, clientOf(options, cli.world), cli.world, peer, options),
      ),
    )
}

async function ping(
  out: Output,
  client: AdminClient,
  world: World,
  peer: string,
  { count, interval, timeout }: PingOptions,
): Promise<void> {
  const replies: PingRecord[] = []
  let lastMiss: PilotError | undefined
  let unsubscribe = (): void => {}
  const stopped = new Promise<'stopped'>((resolve) => {
    unsubscribe = world.onStop(() => resolve('stopped'))
  }) // Ctrl+C still prints the summary
  let sent = 0
  while (sent < count) {
    if (sent > 0 && (await Promise.race([world.sleep(interval), stopped])) === 'stopped') break
    const reply = await Promise.race([echo(client, peer, sent++, timeout), stopped])
    if (reply === 'stopped') break
    if (reply instanceof PilotError) lastMiss = reply
    else replies.push(reply)
    out.note(
      reply instanceof PilotError
        ? `seq ${sent - 1}: ${reply.message}`
        : `${reply.peer} (node ${reply.nodeId}): seq ${reply.seq}, ${formatRtt(reply.rttMs)}${reply.path === null ? '' : `, ${pathName({ kind: reply.path, transport: reply.transport ?? 'udp' })} ${reply.endpoint ?? ''}`}`,
    )
  }
  unsubscribe()
  if (replies.length === 0)
    throw new PilotError(
      'PEER_UNREACHABLE',
      `no answer from ${peer} to ${plural(sent, 'echo', 'echoes')}${lastMiss === undefined ? '' : ` (${lastMiss.message})`}`,
      { peer, sent, received: 0 },
    )
  const why = replies.at(-1)?.reason
  const rtts = replies.map((reply) => reply.rttMs)
  const [least, mean, most] = [
    Math.min(...rtts),
    rtts.reduce((sum, rtt) => sum + rtt, 0) / rtts.length,
    Math.max(...rtts),
  ]
  out.result(
    {
      peer,
      nodeId: replies[0]!.nodeId,
      sent,
      received: replies.length,
      rtts,
      minMs: least,
      avgMs: Math.round(mean * 1_000) / 1_000,
      maxMs: most,
      replies,
    },
    [
      `${sent} sent, ${replies.length} received, ${Math.round(100 * (1 - replies.length / sent))} % lost; min/avg/max ${least.toFixed(2)}/${mean.toFixed(2)}/${most.toFixed(2)} ms`,
      ...(why === undefined ? [] : [why]),
    ],
  )
}

/** A lost echo is a result; a gateway that does not answer, or an unknown peer, ends the command. */
async function echo(
  client: AdminClient,
  peer: string,
  seq: number,
  timeoutMs: number,
): Promise<PingRecord | PilotError> {
  try {
    return await client.ping(peer, seq, timeoutMs)
  } catch (error) {
    const lost =
      error instanceof PilotError &&
      (error.code === 'PEER_UNREACHABLE' || error.code === 'TIMED_OUT') &&
      error.details['socketPath'] === undefined
    if (lost) return error
    throw error
  }
}
