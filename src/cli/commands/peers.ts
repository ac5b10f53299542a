/** `pilotgate peers`: the nodes this gateway knows, and over which path it reaches them. */
import type { PeerRecord } from '../../gateway/model/records.ts'
import type { Cli } from '../cli.ts'
import { formatAge, formatBytes, formatRtt, table, unverified } from '../text.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

export function addPeers(cli: Cli): void {
  withAdmin(
    cli.add(cli.program, 'peers', 'list peers, their paths and traffic', [
      'pilotgate peers',
      'pilotgate peers --paths',
    ]),
  )
    .option('--paths', 'every way that is known to each peer, with packet size, loss and bytes')
    .action(
      cli.action(async (out, options: ReaderOptions & { readonly paths?: boolean }) => {
        const peers = await clientOf(options, cli.world).peers()
        if (peers.length === 0) return out.result(peers, ['no peers yet'])
        const rows = peers.map((peer) => [
          peer.hostname ?? unverified(peer.unverifiedName, peer.fingerprint) ?? '-',
          peer.address,
          peer.trusted ? 'yes' : 'no',
          peer.state,
          peer.path?.kind ?? '-',
          peer.path?.endpoint ?? '-',
          peer.path?.rttMs === null || peer.path === null ? '-' : formatRtt(peer.path.rttMs),
          String(peer.streams),
          formatBytes(peer.bytesIn),
          formatBytes(peer.bytesOut),
          peer.lastHeardMs === null ? '-' : `${formatAge(peer.lastHeardMs)} ago`,
        ])
        if (options.paths === true)
          return out.result(
            peers,
            peers.flatMap((peer) => pathLines(peer, (text) => out.bold(text))),
          )
        const why = peers.flatMap((peer) =>
          peer.reason === null ? [] : [`${peer.hostname ?? peer.address}: ${peer.reason}`],
        )
        out.result(peers, [
          ...table(
            ['HOSTNAME', 'ADDRESS', 'TRUSTED', 'STATE', 'PATH', 'ENDPOINT', 'RTT', 'STREAMS', 'IN', 'OUT', 'HEARD'],
            rows,
            (text) => out.bold(text),
          ),
          ...(why.length === 0 ? [] : ['', ...why]),
        ])
      }),
    )
}

function pathLines(peer: PeerRecord, heading: (text: string) => string): string[] {
  const title = `${peer.hostname ?? peer.address}, ${peer.state}${peer.reason === null ? '' : `; ${peer.reason}`}`
  if (peer.paths.length === 0) return [title, '  no way is known', '']
  const rows = peer.paths.map((path) => [
    `  ${path.kind}`,
    path.endpoint,
    path.state,
    path.rttMs === null ? '-' : formatRtt(path.rttMs),
    String(path.mtu),
    path.lossPercent === null ? '-' : `${path.lossPercent} %`,
    formatBytes(path.bytesIn),
    formatBytes(path.bytesOut),
  ])
  return [title, ...table(['  PATH', 'ENDPOINT', 'STATE', 'RTT', 'MTU', 'LOSS', 'IN', 'OUT'], rows, heading), '']
}
