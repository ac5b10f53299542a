/** The services that the gateway itself offers to peers, and their use from here. Above: open-overlay.ts. */
import { join } from 'node:path'
import type { Logger } from '../base/logger.ts'
import { DATA_PORT, ECHO_PORT, EVENT_PORT } from '../base/overlay-ports.ts'
import type { NodeId } from '../base/types.ts'
import type { Listener, Overlay } from '../runtime/overlay.ts'
import { serveDataExchange } from '../services/data-exchange.ts'
import { serveEcho } from '../services/echo.ts'
import { EventDesk } from '../services/events/desk.ts'
import { EventService } from '../services/events/event-service.ts'
import { MessageDesk } from '../services/messages/desk.ts'
import { Hooks } from '../services/messages/hook.ts'
import { Inbox, INBOX_LIMITS, RECEIVED_LIMITS } from '../services/messages/inbox.ts'
import type { EndedRecord, InboxRecord } from '../services/messages/records.ts'
import { AccessList } from './expose/access.ts'
import { EventPages } from './http/event-pages.ts'
import type { GatewayEvent } from './model/events.ts'
import type { GatewayOptions } from './model/options.ts'
import { configuredTags } from './model/tags.ts'

type OnEvent = (event: GatewayEvent) => void

export class Services {
  readonly messages: MessageDesk
  /** What makes each well-known port listen. */
  readonly ports: ReadonlyMap<number, () => Promise<Listener>>
  readonly events: EventDesk
  /** For the HTTP front. */
  readonly eventPages: EventPages
  readonly #broker: EventService | undefined
  readonly #access: readonly AccessList[]

  private constructor(
    messages: MessageDesk,
    events: EventDesk,
    broker: EventService | undefined,
    ports: Services['ports'],
    access: readonly AccessList[],
  ) {
    this.messages = messages
    this.events = events
    this.eventPages = new EventPages(events)
    this.#broker = broker
    this.ports = ports
    this.#access = access
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#broker?.broker.counters ?? {}
  }

  /** @throws Error of the file system, for an outbox that cannot be read. */
  static async open(node: Overlay, options: GatewayOptions, log: Logger, onEvent: OnEvent): Promise<Services> {
    const { stateDir, serve } = options
    const inbox = openInbox(options, log, onEvent)
    const messages = await MessageDesk.open({
      node,
      inbox,
      outboxDir: join(stateDir, 'outbox'),
      log,
      onSent: (record) => onEvent(sentEvent(record)),
    })
    const tags = configuredTags(options.pinned)
    const [access, eventAccess] = [serve?.messages, serve?.events].map(
      (section) => new AccessList(node, section?.allow ?? [], tags),
    ) as [AccessList, AccessList]
    access.start()
    eventAccess.start()
    const broker = serve?.events === undefined ? undefined : new EventService({ topics: serve.events.topics }, log)
    const ports = new Map([
      [ECHO_PORT, () => serveEcho(node)],
      [DATA_PORT, () => serveDataExchange(node, inbox, log, ({ peer }) => access.allows(peer))],
    ])
    if (broker !== undefined)
      ports.set(EVENT_PORT, () => broker.serve(node, async ({ peer }) => await eventAccess.allows(peer)))
    return new Services(messages, new EventDesk(node, broker), broker, ports, [access, eventAccess])
  }

  onPeer(peer: NodeId): void {
    this.messages.onPeer(peer)
  }

  stop(): void {
    for (const access of this.#access) access.stop()
    this.messages.stop()
  }
}

function openInbox({ stateDir, serve }: GatewayOptions, log: Logger, onEvent: OnEvent): Inbox {
  const { inbox: dir, received, inboxBytes, receivedBytes, hook } = serve?.messages ?? {}
  const inbox = new Inbox({
    inbox: dir ?? join(stateDir, 'inbox'),
    received: received ?? join(stateDir, 'received'),
    journal: join(stateDir, 'messages.jsonl'),
    limits: {
      inbox: { ...INBOX_LIMITS, ...(inboxBytes !== undefined && { bytes: inboxBytes }) },
      received: { ...RECEIVED_LIMITS, ...(receivedBytes !== undefined && { bytes: receivedBytes }) },
    },
  })
  const hooks = hook === undefined ? undefined : new Hooks(hook, log)
  inbox.watch((record) => {
    const { id, fromName: peer, nodeId, type, bytes, path } = record
    log.info({ id, peer, nodeId, type, bytes, path }, 'a peer has sent something')
    onEvent(arrivedEvent(record))
    hooks?.tell(record)
  })
  return inbox
}

function arrivedEvent(record: InboxRecord): GatewayEvent {
  const { id, type, bytes, path, messageId, replyTo } = record
  const peer = record.fromName ?? record.from!
  return { event: 'message', peer, nodeId: record.nodeId!, type, bytes, path, id, messageId, replyTo }
}

function sentEvent({ id, peer, state, bytes, error }: EndedRecord): GatewayEvent {
  return { event: 'sent', id, peer, state, bytes, error }
}
