/** `pilotgate outbox list|rm`: messages that wait for their peers. */
import type { OutgoingRecord } from '../../services/messages/records.ts'
import type { Cli } from '../cli.ts'
import type { Output } from '../output.ts'
import { formatAge, formatBytes } from '../text.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

export function addOutbox(cli: Cli): void {
  const { world } = cli
  const outbox = cli.add(cli.program, 'outbox', 'messages and files that wait for their peers', [
    'pilotgate outbox list',
  ])
  withAdmin(cli.add(outbox, 'list', 'list what waits, oldest first', ['pilotgate outbox list'])).action(
    cli.action(async (out, options: ReaderOptions) => list(out, await clientOf(options, world).messages.outgoing())),
  )
  withAdmin(cli.add(outbox, 'rm <id>', 'no longer send a message', ['pilotgate outbox rm 0mf2k'])).action(
    cli.action(async (out, id: string, options: ReaderOptions) => {
      const record = await clientOf(options, world).messages.cancel(id)
      out.result(record, [`${record.id} to ${record.peer} is not sent any more`])
    }),
  )
}

function list(out: Output, records: readonly OutgoingRecord[]): void {
  if (records.length === 0) return out.result(records, ['nothing waits'])
  const rows = records.map(({ id, peer, type, name, bytes, state, attempts, nextAttemptMs, error }) => [
    id,
    peer,
    name ?? type,
    formatBytes(bytes),
    state,
    String(attempts),
    nextAttemptMs === null ? '-' : `in ${formatAge(nextAttemptMs)}`,
    error ?? '-',
  ])
  out.result(records, out.table(['ID', 'PEER', 'WHAT', 'SIZE', 'STATE', 'TRIED', 'NEXT', 'WHY'], rows))
}
