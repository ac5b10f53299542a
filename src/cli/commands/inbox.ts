/** `pilotgate inbox list|read|rm|wait`: what peers have sent. */
import { createReadStream } from 'node:fs'
import { Option } from 'commander'
import { MAX_WAIT_MS } from '../../admin/message-routes.ts'
import type { AdminClient } from '../../admin/client.ts'
import { PilotError } from '../../base/errors.ts'
import type { InboxFilter, InboxRecord } from '../../services/messages/records.ts'
import type { Cli } from '../cli.ts'
import type { Output } from '../output.ts'
import { formatBytes, plural } from '../text.ts'
import type { World } from '../world.ts'
import { readMessage } from './message-content.ts'
import { durationOption } from './numbers.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

interface FilterOptions extends ReaderOptions, InboxFilter {}

export function addInbox(cli: Cli): void {
  const { world } = cli
  const inbox = cli.add(cli.program, 'inbox', 'messages and files that peers have sent', [
    'pilotgate inbox list',
    'pilotgate inbox wait --from agent-b --timeout 10m',
  ])
  withFilter(
    cli.add(inbox, 'list', 'list what has arrived, oldest first', ['pilotgate inbox list --from agent-b']),
  ).action(
    cli.action(async (out, options: FilterOptions) =>
      list(out, await clientOf(options, world).messages.inbox(filterOf(options))),
    ),
  )
  withAdmin(
    cli.add(inbox, 'read <id>', 'write the content of a message or file to standard output', [
      'pilotgate inbox read TEXT-20261130-150812.123-000001',
    ]),
  ).action(
    cli.action(async (out, id: string, options: ReaderOptions) =>
      read(out, world, await clientOf(options, world).messages.find(id)),
    ),
  )
  withAdmin(
    cli.add(inbox, 'rm [id...]', 'remove messages and files', ['pilotgate inbox rm TEXT-20261130-150812.123-000001']),
  )
    .option('--all', 'remove everything')
    .action(
      cli.action(async (out, ids: readonly string[], options: ReaderOptions & { readonly all?: boolean }) =>
        remove(out, clientOf(options, world), ids, options.all === true),
      ),
    )
  withFilter(
    cli.add(inbox, 'wait', 'wait for the next message, and print it', [
      'pilotgate inbox wait --from agent-b --timeout 10m --json',
    ]),
  )
    .addOption(
      new Option('--timeout <time>', 'wait at most this long (default: no limit)').argParser(
        durationOption('--timeout', 1, 30 * 86_400_000),
      ),
    )
    .action(
      cli.action(async (out, options: FilterOptions & { readonly timeout?: number }) =>
        wait(out, world, clientOf(options, world), filterOf(options), options.timeout ?? Infinity),
      ),
    )
}

function withFilter(command: ReturnType<Cli['add']>): ReturnType<Cli['add']> {
  return withAdmin(command)
    .option('--from <peer>', 'only from this peer')
    .option('--reply-to <id>', 'only answers to this message')
    .option('--after <id>', 'only what came after this message, or after this time (RFC 3339)')
}

function filterOf({ from, replyTo, after }: FilterOptions): InboxFilter {
  return { from, replyTo, after }
}

function list(out: Output, records: readonly InboxRecord[]): void {
  if (records.length === 0) return out.result(records, ['the inbox is empty'])
  const rows = records.map(({ id, fromName, from, type, bytes, receivedAt, name }) => [
    id.replace(/\.json$/, ''),
    fromName ?? from ?? '-',
    name ?? type,
    formatBytes(bytes),
    receivedAt,
  ])
  out.result(records, out.table(['ID', 'FROM', 'WHAT', 'SIZE', 'RECEIVED'], rows))
}

/** For a pipe: the bytes alone, unchanged. */
async function read(out: Output, world: World, record: InboxRecord): Promise<void> {
  if (out.json) {
    if (record.type === 'file') return out.result(record, [])
    const { text, bytes } = await readMessage(record)
    return out.result({ ...record, text, ...(text === null && { base64: bytes.toString('base64') }) }, [])
  }
  if (record.type !== 'file') return await world.write((await readMessage(record)).bytes)
  for await (const part of createReadStream(record.path)) await world.write(part as Buffer)
}

async function remove(out: Output, client: AdminClient, ids: readonly string[], all: boolean): Promise<void> {
  if (all === ids.length > 0) throw new PilotError('USAGE', 'inbox rm needs either the ids of messages, or --all')
  const wanted = all ? (await client.messages.inbox({})).map(({ id }) => id) : ids
  const removed: InboxRecord[] = []
  for (let at = 0; at < wanted.length; at += IDS_AT_ONCE)
    removed.push(...(await client.messages.remove(wanted.slice(at, at + IDS_AT_ONCE))))
  out.result(removed, [`removed ${plural(removed.length, 'message')}`])
}

async function wait(
  out: Output,
  world: World,
  client: AdminClient,
  filter: InboxFilter,
  timeoutMs: number,
): Promise<void> {
  const until = Date.now() + timeoutMs
  let { after } = filter
  for (;;) {
    const waitMs = Math.min(MAX_WAIT_MS, until - Date.now())
    if (waitMs <= 0) throw new PilotError('TIMED_OUT', 'no message arrived in time', { timeoutMs })
    const arrival = await client.messages.wait({ ...filter, after }, waitMs)
    if (arrival.record !== null) {
      if (!out.json) out.note(`from ${arrival.record.fromName ?? arrival.record.from}, ${arrival.record.id}:`)
      if (arrival.record.type === 'file') return out.result(arrival.record, [arrival.record.path])
      return await read(out, world, arrival.record)
    }
    after = arrival.after
  }
}

/** In one request: its body is limited. */
const IDS_AT_ONCE = 1_000
