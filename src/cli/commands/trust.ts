/** `pilotgate trust …`: who may see and reach us. Both sides must agree. */
import type { Command } from 'commander'
import type { TrustRecord } from '../../gateway/model/records.ts'
import type { AdminClient } from '../../admin/client.ts'
import { MAX_TRUST_MS, MIN_TRUST_MS } from '../../admin/routes.ts'
import type { Cli } from '../cli.ts'
import { formatNode } from '../text.ts'
import { durationOption } from './numbers.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

export function addTrust(cli: Cli): void {
  const trust = cli.add(cli.program, 'trust', 'list, request, approve, reject and revoke trust', [
    'pilotgate trust request agent-b "it is me, Ann"',
    'pilotgate trust approve agent-a',
  ])
  withAdmin(cli.add(trust, 'list', 'list trusted peers, and those asked for trust', ['pilotgate trust list'])).action(
    cli.action(async (out, options: ReaderOptions) => {
      const client = clientOf(options, cli.world)
      const trusted = await client.trusted()
      const { trustRequests = [] } = await client.status()
      const waiting = trustRequests.map((peer) => `asked ${peer}, no answer yet`)
      const rows = trusted.map((peer) => [...who(peer), peer.since ?? '-', peer.until ?? '-'])
      out.result(trusted, [
        ...(trusted.length === 0 ? ['no trusted peers'] : out.table([...WHO, 'SINCE', 'UNTIL'], rows)),
        ...waiting,
      ])
    }),
  )
  withAdmin(
    cli.add(trust, 'pending', 'list the trust requests that await our decision', ['pilotgate trust pending']),
  ).action(
    cli.action(async (out, options: ReaderOptions) => {
      const pending = await clientOf(options, cli.world).pending()
      const rows = pending.map((peer) => [...who(peer), oneLine(peer.justification)])
      out.result(pending, pending.length === 0 ? ['no pending trust requests'] : out.table([...WHO, 'REASON'], rows))
    }),
  )
  addDecisions(cli, trust)
}

function addDecisions(cli: Cli, trust: Command): void {
  withAdmin(
    cli.add(trust, 'request <peer> [reason]', 'ask a peer for trust', [
      'pilotgate trust request agent-b "it is me, Ann"',
    ]),
  ).action(
    cli.action(async (out, peer: string, reason: string | undefined, options: ReaderOptions) => {
      const record = await clientOf(options, cli.world).requestTrust(peer, reason ?? '')
      out.result(record, [
        record.state === 'approved'
          ? `${record.peer} and this node trust each other`
          : `requested trust from ${record.peer}: it is asked once the registry knows it, and must approve`,
      ])
      out.undo(`pilotgate trust revoke ${record.peer}`)
    }),
  )
  for (const { name, summary, done, act } of ACTS) {
    const command = withAdmin(cli.add(trust, `${name} <peer>`, summary, [`pilotgate trust ${name} agent-b`]))
    if (name === 'approve')
      command.option(
        '--for <time>',
        'revoke it again after 10m, 8h, 30d (default: no end)',
        durationOption('--for', MIN_TRUST_MS, MAX_TRUST_MS),
      )
    command.action(
      cli.action(async (out, peer: string, { for: forMs, ...options }: ReaderOptions & { readonly for?: number }) => {
        const record = await act(clientOf(options, cli.world), peer, forMs)
        out.result(record, [
          record.nodeId === 0
            ? `${done} ${record.hostname ?? peer}: it was asked and had not answered`
            : `${done} ${formatNode(record)}${record.until === undefined ? '' : ` until ${record.until}`}`,
        ])
        if (name !== 'reject')
          out.undo(`pilotgate trust ${name === 'approve' ? 'revoke' : 'request'} ${record.hostname ?? record.address}`)
      }),
    )
  }
}

function who(peer: TrustRecord): string[] {
  const { hostname, nameVerified, fingerprint } = peer
  const name = hostname === null || nameVerified ? hostname : `${hostname} (unverified)`
  return [
    [name, peer.label].filter(Boolean).join(', ') || '-',
    peer.address,
    String(peer.nodeId),
    fingerprint ?? '-',
    peer.publicKey ?? '-',
  ]
}

/** Written by a stranger: one line of the however long it is. */
function oneLine(text: string): string {
  return text.replace(/\s+/gu, ' ').slice(0, 120)
}

const WHO = ['HOSTNAME', 'ADDRESS', 'NODE', 'FINGERPRINT', 'KEY']

const ACTS: readonly {
  readonly name: string
  readonly summary: string
  readonly done: string
  readonly act: (client: AdminClient, peer: string, forMs: number | undefined) => Promise<TrustRecord>
}[] = [
  {
    name: 'approve',
    summary: 'approve the trust request of a peer',
    done: 'approved',
    act: (client, peer, forMs) => client.approveTrust(peer, forMs),
  },
  {
    name: 'reject',
    summary: 'reject the trust request of a peer',
    done: 'rejected',
    act: (client, peer) => client.rejectTrust(peer),
  },
  {
    name: 'revoke',
    summary: 'revoke trust; open connections end',
    done: 'revoked',
    act: (client, peer) => client.revokeTrust(peer),
  },
]
