/**
 * `pilotgate list …`: mappings, exposures, connections and peers of the running gateway, and the known services of a
 * peer.
 */
import type { Command } from 'commander'
import type { AdminClient } from '../../admin/client.ts'
import type {
  ConnectionRecord,
  EndedConnectionRecord,
  ExposedRecord,
  GroupPeerRecord,
  MappedRecord,
  PeerRecord,
  ResolveRecord,
} from '../../gateway/model/records.ts'
import type { Limits } from '../../gateway/model/expose-spec.ts'
import type { Cli } from '../cli.ts'
import type { Output } from '../output.ts'
import { causeText, whoIs } from '../event-line.ts'
import { clock, formatAge, formatBytes, formatRtt, formatUntil, plural, unverified, pathName } from '../text.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

export function addList(cli: Cli): void {
  const list = cli.add(cli.program, 'list', 'list mappings, exposures, connections, peers, or the services of a peer', [
    'pilotgate list mappings',
    'pilotgate list connections --json',
  ])
  addKind(cli, list, 'mappings', 'list the remote ports that are mapped to local addresses', mappings)
  addKind(cli, list, 'exposures', 'list the local services that peers can reach', exposures)
  withAdmin(
    cli.add(list, 'connections', 'list the connections that are open now, or those that ended lately', [
      'pilotgate list connections',
      'pilotgate list connections --recent',
    ]),
  )
    .option('--recent', 'those that ended lately, with how they ended')
    .action(
      cli.action(async (out, options: ReaderOptions & { readonly recent?: boolean }) => {
        const client = clientOf(options, cli.world)
        if (options.recent === true) recent(out, (await client.recent()).connections)
        else connections(out, await client.connections())
      }),
    )
  withAdmin(
    cli.add(list, 'peers', 'list peers, their paths and their traffic', [
      'pilotgate list peers',
      'pilotgate list peers --paths',
    ]),
  )
    .option('--paths', 'show every known path to each peer, with packet size, loss and bytes')
    .action(
      cli.action(async (out, options: ReaderOptions & { readonly paths?: boolean }) => {
        const peers = await clientOf(options, cli.world).peers()
        out.result(
          peers,
          options.paths === true ? peers.flatMap((peer) => pathLines(peer, out)) : peerLines(peers, out),
        )
      }),
    )
  withAdmin(
    cli.add(list, 'services <peer>', 'list the ports of a peer that are mapped here', [
      'pilotgate list services agent-b',
    ]),
  ).action(
    cli.action(async (out, peer: string, options: ReaderOptions) => services(out, clientOf(options, cli.world), peer)),
  )
}

function addKind(
  cli: Cli,
  list: Command,
  kind: string,
  summary: string,
  show: (out: Output, client: AdminClient) => Promise<void>,
): void {
  withAdmin(cli.add(list, kind, summary, [`pilotgate list ${kind}`])).action(
    cli.action(async (out, options: ReaderOptions) => show(out, clientOf(options, cli.world))),
  )
}

async function mappings(out: Output, client: AdminClient): Promise<void> {
  const records = await client.mappings()
  if (records.length === 0) return out.result(records, ['no mappings'])
  const rows = records.map((entry) => [entry.name, entry.local, entry.peer, entry.remote, entry.protocol, state(entry)])
  const groups = records.flatMap(({ name, peers }) =>
    peers === undefined ? [] : [`${name}: ${peers.length === 0 ? 'no peer yet' : peers.map(peerText).join(', ')}`],
  )
  out.result(records, [...out.table(['NAME', 'LOCAL', 'PEER', 'REMOTE', 'PROTOCOL', 'STATE'], rows), ...groups])
}

async function exposures(out: Output, client: AdminClient): Promise<void> {
  const records = await client.exposures()
  if (records.length === 0) return out.result(records, ['no exposures'])
  const rows = records.map((entry) => [
    entry.name,
    String(entry.port),
    entry.target,
    entry.allow.join(', '),
    entry.protocol,
    state(entry),
    termsText(entry),
  ])
  out.result(records, out.table(['NAME', 'PORT', 'TARGET', 'ALLOW', 'PROTOCOL', 'STATE', 'TERMS'], rows))
}

/** When an exposure ends, its limits, and its open tickets; `-` if it has none of these. */
export function termsText({ endsAt, once, limits, tickets, host }: ExposedRecord, now = Date.now()): string {
  const terms = [
    ...(endsAt === undefined ? [] : [`ends in ${formatUntil(endsAt, now)}`]),
    ...(once === true ? ['once'] : []),
    ...Object.entries(limits ?? {}).map(([name, value]) => LIMIT_TEXTS[name as keyof Limits](value as number)),
    ...(host === undefined ? [] : ['host rewritten']),
    ...(tickets === undefined ? [] : [plural(tickets, 'open ticket')]),
  ]
  return terms.length === 0 ? '-' : terms.join(', ')
}

const LIMIT_TEXTS: Readonly<Record<keyof Limits, (value: number) => string>> = {
  connections: (value) => `at most ${value} open`,
  connectionsPerPeer: (value) => `${value} per peer`,
  newPerSecond: (value) => `${value} new per second`,
  newPerSecondPerPeer: (value) => `${value} new per second and peer`,
  bytesPerSecond: (value) => `${formatBytes(value)}/s`,
  bytesPerSecondPerPeer: (value) => `${formatBytes(value)}/s per peer`,
}

function state({ draining }: Pick<MappedRecord | ExposedRecord, 'draining'>): string {
  return draining === true ? 'draining' : 'open'
}

/** One of several peers behind a mapping. */
function peerText({ peer, state: peerState, connections: open, retryMs }: GroupPeerRecord): string {
  const next = peerState === 'up' || retryMs === null ? '' : `, retrying in ${formatAge(retryMs)}`
  return `${peer} ${peerState}${open === 0 ? '' : `, ${open} open`}${next}`
}

function connections(out: Output, records: readonly ConnectionRecord[]): void {
  if (records.length === 0) return out.result(records, ['no connections'])
  out.result(
    records,
    out.table(
      ['ID', 'DIRECTION', 'SERVICE', 'PEER', 'STATE', 'LOCAL', 'REMOTE', 'IN', 'OUT', 'AGE'],
      records.map(connectionRow),
    ),
  )
}

function recent(out: Output, records: readonly EndedConnectionRecord[]): void {
  if (records.length === 0) return out.result(records, ['no connection has ended yet'])
  const rows = records.map((entry) => [
    clock(entry.endedAt),
    entry.direction,
    entry.service,
    whoIs(entry),
    formatBytes(entry.bytesIn),
    formatBytes(entry.bytesOut),
    formatAge(entry.durationMs),
    causeText(entry),
  ])
  out.result(records, out.table(['ENDED', 'DIRECTION', 'SERVICE', 'PEER', 'IN', 'OUT', 'DURATION', 'HOW'], rows))
}

function connectionRow(entry: ConnectionRecord): string[] {
  return [
    String(entry.id),
    entry.direction,
    entry.service,
    whoIs(entry),
    entry.state,
    entry.local,
    entry.remote,
    formatBytes(entry.bytesIn),
    formatBytes(entry.bytesOut),
    formatAge(entry.openedMs),
  ]
}

function peerLines(peers: readonly PeerRecord[], out: Output): string[] {
  if (peers.length === 0) return ['no peers yet']
  const rows = peers.map((peer) => [
    peer.hostname ?? unverified(peer.unverifiedName, peer.fingerprint) ?? '-',
    peer.address,
    peer.trusted ? 'yes' : 'no',
    peer.state,
    peer.path === null ? '-' : pathName(peer.path),
    peer.path?.endpoint ?? '-',
    peer.path?.rttMs === null || peer.path === null ? '-' : formatRtt(peer.path.rttMs),
    String(peer.streams),
    formatBytes(peer.bytesIn),
    formatBytes(peer.bytesOut),
    peer.lastHeardMs === null ? '-' : `${formatAge(peer.lastHeardMs)} ago`,
  ])
  const why = peers.flatMap((peer) =>
    peer.reason === null ? [] : [`${peer.hostname ?? peer.address}: ${peer.reason}`],
  )
  const head = ['HOSTNAME', 'ADDRESS', 'TRUSTED', 'STATE', 'PATH', 'ENDPOINT', 'RTT', 'STREAMS', 'IN', 'OUT', 'HEARD']
  return [...out.table(head, rows), ...(why.length === 0 ? [] : ['', ...why])]
}

function pathLines(peer: PeerRecord, out: Output): string[] {
  const title = `${peer.hostname ?? peer.address}, ${peer.state}${peer.reason === null ? '' : `; ${peer.reason}`}`
  if (peer.paths.length === 0) return [title, '  no known path', '']
  const rows = peer.paths.map((path) => [
    `  ${pathName(path)}`,
    path.endpoint,
    path.state,
    path.rttMs === null ? '-' : formatRtt(path.rttMs),
    String(path.mtu),
    path.lossPercent === null ? '-' : `${path.lossPercent} %`,
    formatBytes(path.bytesIn),
    formatBytes(path.bytesOut),
  ])
  return [title, ...out.table(['  PATH', 'ENDPOINT', 'STATE', 'RTT', 'MTU', 'LOSS', 'IN', 'OUT'], rows), '']
}

/** A peer announces nothing, so that scanning it reveals nothing: only ports mapped here can be listed. */
async function services(out: Output, client: AdminClient, asked: string): Promise<void> {
  const record = await client.resolve(asked)
  out.result(servicesRecord(record), [
    ...(record.ports.length === 0
      ? [`no port of ${record.peer} is mapped here`]
      : out.table(
          ['PORT', 'PROTOCOL', 'LOCAL'],
          record.ports.map(({ port, protocol, local }) => [String(port), protocol, local]),
        )),
    '',
    `Peers do not announce what they expose. To test a port: pilotgate doctor ${record.peer}:PORT`,
  ])
}

function servicesRecord({ peer, nodeId, address, hostname, ports }: ResolveRecord): object {
  return { peer, nodeId, address, hostname, complete: false, services: ports }
}
