/** `pilotgate bench PEER`: measures the path to a peer with its echo service. */
import { Option } from 'commander'
import { MAX_BENCH_BYTES, MAX_BENCH_MS, MIN_BENCH_BYTES, MIN_BENCH_MS } from '../../admin/routes.ts'
import type { AdminClient } from '../../admin/client.ts'
import type { BenchOptions, BenchRecord } from '../../gateway/model/records.ts'
import type { Output } from '../output.ts'
import type { Cli } from '../cli.ts'
import { whileWaiting } from '../progress.ts'
import { formatBytes, formatRate, formatRtt, pathName } from '../text.ts'
import type { World } from '../world.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'
import { bytesOption, durationOption } from './numbers.ts'

interface Options extends ReaderOptions {
  readonly bytes: number
  readonly for: number
}

export function addBench(cli: Cli): void {
  withAdmin(
    cli.add(
      cli.program,
      'bench <peer>',
      'measure the path to a peer with its echo service: connection set-up, round trip, throughput',
      ['pilotgate bench agent-b', 'pilotgate bench agent-b --bytes 1G --for 30s --json'],
    ),
  )
    .addOption(
      new Option('--bytes <n>', 'bytes to send there and back, at most: 500k, 64M, 1G')
        .argParser(bytesOption('--bytes', MIN_BENCH_BYTES, MAX_BENCH_BYTES))
        .default(64_000_000, '64M'),
    )
    .addOption(
      new Option('--for <time>', 'stop sending after this time, such as 30s')
        .argParser(durationOption('--for', MIN_BENCH_MS, MAX_BENCH_MS))
        .default(5_000, '5s'),
    )
    .action(
      cli.action(async (out, peer: string, options: Options) =>
        bench(out, cli.world, clientOf(options, cli.world), peer, { bytes: options.bytes, forMs: options.for }),
      ),
    )
}

async function bench(
  out: Output,
  world: World,
  client: AdminClient,
  peer: string,
  options: BenchOptions,
): Promise<void> {
  const mostMs = 1.25 * options.forMs // it measures round trips too
  const record = await whileWaiting(out, world, client.bench(peer, options), (ms) => {
    return `measuring ${peer}: ${Math.round(ms / 1_000)} s of at most ${Math.ceil(mostMs / 1_000)} s`
  })
  out.result(record, lines(record))
}

function lines({ peer, nodeId, setUp, roundTrip, throughput, path }: BenchRecord): string[] {
  const rtt = path?.rttMs === null || path?.rttMs === undefined ? '' : `, RTT ${formatRtt(path.rttMs)}`
  const how = path === null ? '' : `, ${pathName(path)} ${path.endpoint}${rtt}, packets of up to ${path.mtu} bytes`
  const { bytes, elapsedMs, bitsPerSecond, complete } = throughput
  return [
    `${peer} (node ${nodeId})${how}`,
    `set-up      ${formatRtt(setUp.medianMs)} median of ${setUp.count}, first ${formatRtt(setUp.firstMs)}`,
    `round trip  ${formatRtt(roundTrip.medianMs)} median, ${formatRtt(roundTrip.p99Ms)} p99, of ${roundTrip.count} messages of ${roundTrip.bytes} bytes`,
    `throughput  ${formatRate(bitsPerSecond)} in each direction, both at once: ${formatBytes(bytes)} there and back in ${(elapsedMs / 1_000).toFixed(2)} s${complete ? '' : ', then the time was up'}`,
  ]
}
