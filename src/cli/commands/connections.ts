/** `pilotgate connections`: what is open through the gateway right now. */
import type { Cli } from '../cli.ts'
import { formatAge, formatBytes, table } from '../text.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

export function addConnections(cli: Cli): void {
  withAdmin(
    cli.add(cli.program, 'connections', 'list the connections that are open now', ['pilotgate connections']),
  ).action(
    cli.action(async (out, options: ReaderOptions) => {
      const connections = await clientOf(options, cli.world).connections()
      if (connections.length === 0) return out.result(connections, ['no connections'])
      const rows = connections.map((entry) => [
        String(entry.id),
        entry.direction,
        entry.service,
        entry.peer,
        entry.state,
        entry.local,
        entry.remote,
        formatBytes(entry.bytesIn),
        formatBytes(entry.bytesOut),
        formatAge(entry.openedMs),
      ])
      out.result(
        connections,
        table(['ID', 'DIRECTION', 'SERVICE', 'PEER', 'STATE', 'LOCAL', 'REMOTE', 'IN', 'OUT', 'AGE'], rows, (text) =>
          out.bold(text),
        ),
      )
    }),
  )
}
