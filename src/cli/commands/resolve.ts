/**
 * `pilotgate resolve NAME`: the meaning of a peer's name on this machine; `--hosts`: all peers, as lines of a hosts
 * file.
 */
import { PilotError } from '../../base/errors.ts'
import type { Cli } from '../cli.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

export function addResolve(cli: Cli): void {
  withAdmin(
    cli.add(cli.program, 'resolve [name]', 'show the node and the local address behind a name', [
      'pilotgate resolve agent-b',
      'pilotgate resolve agent-b.pilot',
      'pilotgate resolve 127.77.12.34',
      'pilotgate resolve --hosts >> /etc/hosts',
    ]),
  )
    .option('--hosts', 'print the mapped peers as lines of a hosts file')
    .action(
      cli.action(async (out, name: string | undefined, options: ReaderOptions & { readonly hosts?: boolean }) => {
        const client = clientOf(options, cli.world)
        if (options.hosts === true) {
          const hosts = await client.hosts()
          return out.result(
            hosts,
            hosts.map(({ address, names }) => `${address}\t${names.join(' ')}`),
          )
        }
        if (name === undefined) throw new PilotError('USAGE', 'resolve needs a name, or --hosts')
        const record = await client.resolve(name)
        const { nodeId, address, hostname, dnsName, local, ports } = record
        out.result(record, [
          `node      ${nodeId ?? 'unknown at the moment'}${address === null ? '' : ` (${address})`}`,
          ...(hostname === null ? [] : [`hostname  ${hostname}`]),
          `local     ${local}${dnsName === null ? '' : ` (${dnsName})`}`,
          ...ports.map((mapped) => `port      ${mapped.port}/${mapped.protocol} at ${mapped.local}`),
          ...(ports.length === 0 ? ['none of its ports is mapped'] : []),
        ])
      }),
    )
}
