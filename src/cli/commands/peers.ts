/** `pilotgate peers`: the nodes this gateway knows, and over which path it reaches them. */
import type { Cli } from '../cli.ts'
import { formatAge, formatBytes, formatRtt, table } from '../text.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

export function addPeers (cli: Cli): void {
  withAdmin(cli.add(cli.program, 'peers', 'list peers, their paths and traffic', ['pilotgate peers']))
    .action(cli.action(async (out, options: ReaderOptions) => {
      const peers = await clientOf(options, cli.world).peers()
      if (peers.length === 0) return out.result(peers, ['no peers yet'])
      const rows = peers.map((peer) => [
        peer.hostname ?? '-', peer.address, peer.trusted ? 'yes' : 'no', peer.state, peer.path?.kind ?? '-', peer.path?.endpoint ?? '-',
        peer.path?.rttMs === null || peer.path === null ? '-' : formatRtt(peer.path.rttMs), String(peer.streams), formatBytes(peer.bytesIn), formatBytes(peer.bytesOut),
        peer.lastHeardMs === null ? '-' : `${formatAge(peer.lastHeardMs)} ago`,
      ])
      out.result(peers, table(['HOSTNAME', 'ADDRESS', 'TRUSTED', 'STATE', 'PATH', 'ENDPOINT', 'RTT', 'STREAMS', 'IN', 'OUT', 'HEARD'], rows, (text) => out.bold(text)))
    }))
}
