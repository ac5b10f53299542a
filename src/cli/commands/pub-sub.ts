/** `pilotgate pub PEER TOPIC` and `sub PEER TOPIC`: events of the broker of a peer. */
import { isUtf8 } from 'node:buffer'
import { Option } from 'commander'
import { PilotError } from '../../base/errors.ts'
import { EVENT_PORT } from '../../base/overlay-ports.ts'
import { resolveAdminSocket } from '../../config/paths.ts'
import { checkEvent } from '../../services/events/desk.ts'
import { EventLink, eventRecord } from '../../services/events/event-link.ts'
import type { StreamEvent } from '../../wire/event-frame.ts'
import type { Cli } from '../cli.ts'
import type { Output } from '../output.ts'
import { formatBytes } from '../text.ts'
import type { World } from '../world.ts'
import { withPort } from './nc.ts'
import { durationOption, numberOption } from './numbers.ts'
import { withAdmin, type ReaderOptions } from './reader.ts'

interface PubOptions extends ReaderOptions {
  readonly data?: string
  readonly lines?: boolean
}

interface SubOptions extends ReaderOptions {
  readonly count?: number
  readonly timeout?: number
}

export function addPubSub(cli: Cli): void {
  const { world } = cli
  withAdmin(
    cli.add(cli.program, 'pub <peer> <topic>', 'publish an event at the broker of a peer', [
      'pilotgate pub agent-b builds --data done',
      'tail -f log | pilotgate pub agent-b log --lines',
    ]),
  )
    .option('--data <text>', 'the event (default: standard input)')
    .option('--lines', 'each line of standard input is an event')
    .action(
      cli.action(async (out, peer: string, topic: string, options: PubOptions) =>
        publish(out, world, peer, topic, options),
      ),
    )
  withAdmin(
    cli.add(
      cli.program,
      'sub <peer> <topic>',
      'print the events of a topic at the broker of a peer; "*" is every topic',
      ['pilotgate sub agent-b builds', 'pilotgate sub agent-b "*" --json --count 10'],
    ),
  )
    .option('--count <n>', 'end after this number of events', numberOption('--count', 1, 1_000_000_000))
    .addOption(
      new Option('--timeout <time>', 'end after this time').argParser(durationOption('--timeout', 1, 30 * 86_400_000)),
    )
    .action(
      cli.action(async (out, peer: string, topic: string, options: SubOptions) =>
        subscribe(out, world, peer, topic, options),
      ),
    )
}

async function open(world: World, peer: string, topic: string, options: ReaderOptions): Promise<EventLink> {
  const socket = resolveAdminSocket({ flags: options, env: world.env })
  return new EventLink(await world.openStream(socket, withPort(peer, EVENT_PORT)), topic)
}

async function publish(out: Output, world: World, peer: string, topic: string, options: PubOptions): Promise<void> {
  if (options.data !== undefined && options.lines === true)
    throw new PilotError('USAGE', 'pub takes either --data or --lines')
  checkEvent(topic, new Uint8Array(0))
  const link = await open(world, peer, topic, options)
  let [events, bytes] = [0, 0]
  for await (const payload of payloads(world, options)) {
    checkEvent(topic, payload)
    if (!(await link.publish(topic, payload)))
      throw new PilotError('PEER_RESET', `${peer} ended the connection after ${events} events`, { events })
    events += 1
    bytes += payload.length
  }
  await link.end()
  out.result({ peer, topic, events, bytes }, [])
}

async function* payloads(world: World, { data, lines }: PubOptions): AsyncGenerator<Buffer> {
  if (data !== undefined) return yield Buffer.from(data)
  let rest = Buffer.alloc(0)
  for await (const part of world.input) {
    rest = Buffer.concat([rest, Buffer.from(part as unknown as Uint8Array)])
    if (lines !== true) continue
    for (let at = rest.indexOf(10); at >= 0; at = rest.indexOf(10)) {
      yield rest.subarray(0, at)
      rest = rest.subarray(at + 1)
    }
  }
  if (lines !== true || rest.length > 0) yield rest
}

async function subscribe(out: Output, world: World, peer: string, topic: string, options: SubOptions): Promise<void> {
  const { count = Infinity, timeout } = options
  checkEvent(topic)
  const link = await open(world, peer, topic, options)
  let isOver = false
  const stop = (): void => {
    isOver = true
    link.destroy()
  }
  const unsubscribe = world.onStop(stop)
  const timer = timeout === undefined ? undefined : setTimeout(stop, timeout)
  let got = 0
  try {
    for await (const event of link.events()) {
      print(out, world, event)
      got += 1
      if (got >= count) return
    }
  } catch (error) {
    if (!isOver) throw error
  } finally {
    clearTimeout(timer)
    unsubscribe()
    link.destroy()
  }
  if (!isOver) throw new PilotError('PEER_RESET', `${peer} ended the subscription after ${got} events`, { events: got })
  if (timeout !== undefined && Number.isFinite(count))
    throw new PilotError('TIMED_OUT', `${got} of ${count} events came in time`, { events: got })
}

/** As pilotctl prints it: a line of JSON, or text. */
function print(out: Output, world: World, event: StreamEvent): void {
  const { topic, payload } = event
  const bytes = Buffer.from(payload)
  const isText = isUtf8(bytes)
  if (out.json) return world.out(`${JSON.stringify(eventRecord(event))}\n`)
  out.note(`${topic}: ${isText ? bytes.toString() : `${formatBytes(bytes.length)} that are not text`}`)
}
