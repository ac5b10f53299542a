/** `pilotgate whois IP:PORT`: which peer is behind a connection that a local program sees. */
import type { WhoisRecord } from '../../gateway/model/records.ts'
import type { Cli } from '../cli.ts'
import { formatAge } from '../text.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

export function addWhois(cli: Cli): void {
  withAdmin(
    cli.add(cli.program, 'whois <ip:port>', 'show which peer is behind a local connection', [
      'pilotgate whois 127.0.0.1:40001',
      'pilotgate whois 127.0.0.1:40001 --json',
    ]),
  ).action(
    cli.action(async (out, local: string, options: ReaderOptions) => {
      const record = await clientOf(options, cli.world).whois(local)
      out.result(
        record,
        whoisLines(record, (text) => out.bold(text)),
      )
    }),
  )
}

function whoisLines(
  { direction, service, peer, nodeId, address, hostname, publicKey, path, openedMs }: WhoisRecord,
  heading: (text: string) => string,
): string[] {
  const rows: [string, string | null][] = [
    ['peer', hostname ?? peer],
    ['node', nodeId === null ? 'not reached yet' : `${nodeId}, ${address ?? ''}`],
    ['key', publicKey],
    ['path', path],
    [
      'service',
      `${service}, ${direction === 'expose' ? 'exposed: the peer connected to it' : 'mapped: the local program connected to the peer'}`,
    ],
    ['open', `for ${formatAge(openedMs)}`],
  ]
  return rows.flatMap(([name, value]) => (value === null ? [] : [`${heading(name.padEnd(WIDTH))}  ${value}`]))
}

const WIDTH = 'service'.length
