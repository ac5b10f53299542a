/** `pilotgate mappings`: which local address leads to which remote port. */
import type { Cli } from '../cli.ts'
import type { GroupPeerRecord } from '../../gateway/model/records.ts'
import { formatAge, table } from '../text.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

export function addMappings(cli: Cli): void {
  withAdmin(
    cli.add(cli.program, 'mappings', 'list the remote ports that are reachable locally', ['pilotgate mappings']),
  ).action(
    cli.action(async (out, options: ReaderOptions) => {
      const mappings = await clientOf(options, cli.world).mappings()
      if (mappings.length === 0) return out.result(mappings, ['no mappings'])
      const rows = mappings.map((entry) => [entry.name, entry.local, entry.peer, entry.remote, entry.protocol])
      const groups = mappings.flatMap(({ name, peers }) =>
        peers === undefined ? [] : [`${name}: ${peers.length === 0 ? 'no peer yet' : peers.map(peerText).join(', ')}`],
      )
      out.result(mappings, [
        ...table(['NAME', 'LOCAL', 'PEER', 'REMOTE', 'PROTOCOL'], rows, (text) => out.bold(text)),
        ...groups,
      ])
    }),
  )
}

/** One of several peers behind a mapping. */
function peerText({ peer, state, connections, retryMs }: GroupPeerRecord): string {
  return `${peer} ${state}${connections === 0 ? '' : `, ${connections} open`}${state === 'up' || retryMs === null ? '' : `, asked again in ${formatAge(retryMs)}`}`
}
