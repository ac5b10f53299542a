/** `pilotgate send PEER FILE|-|--text T`: a message or a file, which waits for a peer that is away. */
import { isUtf8 } from 'node:buffer'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Option } from 'commander'
import type { AdminClient } from '../../admin/client.ts'
import { MAX_TTL_MS, MAX_WAIT_MS, MIN_TTL_MS } from '../../admin/message-routes.ts'
import { PilotError } from '../../base/errors.ts'
import type { InboxRecord, MessageType, OutgoingRecord } from '../../services/messages/records.ts'
import { MAX_DATA_BYTES } from '../../wire/data-frame.ts'
import type { Cli } from '../cli.ts'
import type { Output } from '../output.ts'
import { whileWaiting } from '../progress.ts'
import { formatBytes } from '../text.ts'
import type { World } from '../world.ts'
import { readMessage } from './message-content.ts'
import { durationOption } from './numbers.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

interface SendOptions extends ReaderOptions {
  readonly text?: string
  readonly type?: Exclude<MessageType, 'file'>
  readonly name?: string
  readonly replyTo?: string
  readonly for?: number
  readonly wait?: number
}

export function addSend(cli: Cli): void {
  withAdmin(
    cli.add(cli.program, 'send <peer> [file]', 'send a message or a file; it waits here for a peer that is away', [
      'pilotgate send agent-b report.pdf',
      'pilotgate send agent-b --text "are you there?" --wait 30s',
      'git diff | pilotgate send agent-b -',
    ]),
  )
    .option('--text <text>', 'send this text as a message')
    .addOption(
      new Option('--type <type>', 'send as a message of this type, not as a file').choices(['text', 'json', 'binary']),
    )
    .option('--name <name>', 'name of the file for the other side; sends `-` as a file')
    .option('--reply-to <id>', 'id of the message that this one answers')
    .addOption(
      new Option('--for <time>', 'give up after this time (default 7d)').argParser(
        durationOption('--for', MIN_TTL_MS, MAX_TTL_MS),
      ),
    )
    .addOption(
      new Option('--wait <time>', 'wait at most this long for an answer, and print it').argParser(
        durationOption('--wait', 1, 86_400_000),
      ),
    )
    .action(
      cli.action(async (out, peer: string, file: string | undefined, options: SendOptions) =>
        send(out, cli.world, clientOf(options, cli.world), peer, file, options),
      ),
    )
}

async function send(
  out: Output,
  world: World,
  client: AdminClient,
  peer: string,
  file: string | undefined,
  options: SendOptions,
): Promise<void> {
  const until = Date.now() + (options.wait ?? Infinity)
  if ((file === undefined) === (options.text === undefined))
    throw new PilotError('USAGE', 'send needs either a file, `-` for standard input, or --text')
  const sent = await hand(client, world, peer, file, options)
  const isOver = options.wait === undefined ? isDeferred : (): boolean => Date.now() >= until
  const last = await follow(out, world, client, sent, isOver)
  if (last.state === 'refused') throw new PilotError('FAILED', `${peer} cannot take it: ${last.error}`, { id: last.id })
  if (options.wait === undefined) return out.result(last, [outcomeText(last)])
  const answer = last.state === 'delivered' ? await awaitAnswer(client, last, until) : undefined
  if (answer === undefined) throw unanswered(last)
  const { text } = await readMessage(answer)
  out.result({ ...last, answer: { ...answer, text } }, [text ?? answer.path])
}

/** To the gateway: on its disk when this resolves. */
async function hand(
  client: AdminClient,
  world: World,
  peer: string,
  file: string | undefined,
  { text, type, name, replyTo, for: forMs }: SendOptions,
): Promise<OutgoingRecord> {
  const { messages } = client
  const about = { peer, replyTo, forMs }
  if (text !== undefined) return await messages.send({ ...about, type: type ?? 'text', content: Buffer.from(text) })
  if (file !== '-')
    return await messages.send({ ...about, type: type ?? 'file', path: resolve(world.cwd, file!), name })
  const folder = await mkdtemp(join(tmpdir(), 'pilotgate-send-'))
  const path = join(folder, 'content')
  try {
    await writeFile(path, world.input, { mode: 0o600 })
    const guessed = name !== undefined ? 'file' : (await isText(path)) ? 'text' : 'binary'
    return await messages.send({ ...about, type: type ?? guessed, path, name })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function isText(path: string): Promise<boolean> {
  const { size } = await stat(path)
  return size <= MAX_DATA_BYTES && isUtf8(await readFile(path)) // a longer one is refused as a message
}

/** Until it has ended, or this is enough. */
async function follow(
  out: Output,
  world: World,
  client: AdminClient,
  sent: OutgoingRecord,
  isEnough: (sent: OutgoingRecord) => boolean,
): Promise<OutgoingRecord> {
  let last = sent
  const done = async (): Promise<OutgoingRecord> => {
    while ((last.state === 'waiting' || last.state === 'sending') && !isEnough(last)) {
      await world.sleep(POLL_MS)
      last = (await client.messages.outgoing(sent.id))[0]!
    }
    return last
  }
  const columns = (world.columns ?? 80) - 30
  return await whileWaiting(out, world, done(), () => progressText(last, columns), PROGRESS)
}

/** Its peer is away: it was tried, or waits behind one that was. */
function isDeferred({ state, attempts, nextAttemptMs }: OutgoingRecord): boolean {
  return state === 'waiting' && (attempts > 0 || (nextAttemptMs ?? 0) > 0)
}

/** The answer names our message; that of a program which knows no ids is the next message of the peer. */
async function awaitAnswer(client: AdminClient, sent: OutgoingRecord, until: number): Promise<InboxRecord | undefined> {
  let after = sent.createdAt
  for (;;) {
    const waitMs = Math.min(MAX_WAIT_MS, until - Date.now())
    if (waitMs <= 0) return undefined
    const arrival = await client.messages.wait({ from: sent.peer, after }, waitMs)
    if (arrival.record !== null && (arrival.record.replyTo ?? sent.id) === sent.id) return arrival.record
    after = arrival.after
  }
}

function unanswered(sent: OutgoingRecord): PilotError {
  return sent.state === 'delivered'
    ? new PilotError(
        'TIMED_OUT',
        `${sent.peer} has it, and has not answered in time`,
        { id: sent.id },
        undefined,
        'An answer that comes later is in the inbox: `pilotgate inbox list`.',
      )
    : new PilotError(
        'TIMED_OUT',
        outcomeText(sent),
        { id: sent.id },
        undefined,
        'Look again with `pilotgate outbox list`.',
      )
}

function outcomeText({ id, peer, state, bytes, expiresAt, error }: OutgoingRecord): string {
  if (state === 'delivered') return `${peer} has it: ${id}, ${formatBytes(bytes)}`
  if (state === 'expired' || state === 'cancelled') return `not delivered: ${id} was ${state}`
  return `queued as ${id} until ${expiresAt}${error === null ? '' : `: ${error}`}`
}

function progressText({ peer, bytes, deliveredBytes, state }: OutgoingRecord, columns: number): string {
  if (state !== 'sending') return `waiting for ${peer}`
  const share = bytes === 0 ? 1 : deliveredBytes / bytes
  const full = Math.round(share * Math.max(10, columns))
  const bar = '█'.repeat(full).padEnd(Math.max(10, columns), '░')
  return `${bar} ${Math.floor(share * 100)} % of ${formatBytes(bytes)}`
}

const POLL_MS = 200
const PROGRESS = { patienceMs: 500, everyMs: 250 }
