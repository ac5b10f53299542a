/** Messages and files of a node in a program: kept in a folder, sent and received as by a gateway. */
import { join } from 'node:path'
import type { Logger } from '../base/logger.ts'
import type { NodeId } from '../base/types.ts'
import type { Overlay } from '../runtime/overlay.ts'
import { serveDataExchange } from '../services/data-exchange.ts'
import { MessageDesk } from '../services/messages/desk.ts'
import { Inbox } from '../services/messages/inbox.ts'
import type { EndedRecord, InboxRecord } from '../services/messages/records.ts'

export interface MessageOptions {
  /** Where inbox, received files and outbox are kept. One node at a time. */
  readonly folder: string
  /** Who may send. Default: every trusted peer. Answers to what this node sent are always taken. */
  readonly admits?: (peer: NodeId) => Promise<boolean>
  /** Called for each arrival. It must not throw. */
  readonly onMessage?: (record: InboxRecord) => void
  /** Called when a message was delivered, or given up. It must not throw. */
  readonly onSent?: (record: EndedRecord) => void
}

/** @throws PilotError PORT_IN_USE; Error of the file system. */
export async function openMessages(node: Overlay, options: MessageOptions, log: Logger): Promise<MessageDesk> {
  const { folder, admits = (peer) => node.isTrusted(peer), onMessage, onSent = () => {} } = options
  const [dir, received, journal] = ['inbox', 'received', 'messages.jsonl'].map((name) => join(folder, name))
  const inbox = new Inbox({ inbox: dir!, received: received!, journal: journal! })
  if (onMessage !== undefined) inbox.watch(onMessage)
  const desk = await MessageDesk.open({ node, inbox, outboxDir: join(folder, 'outbox'), log, onSent })
  await serveDataExchange(node, inbox, log, async ({ peer }) => await admits(peer))
  return desk
}
