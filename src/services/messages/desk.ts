/** Messages as commands and programs use them: the outbox, and what is in the inbox. */
import { formatAddress, parsePeerName } from '../../base/address.ts'
import { PilotError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { NodeId } from '../../base/types.ts'
import type { Overlay } from '../../runtime/overlay.ts'
import type { Inbox } from './inbox.ts'
import { Outbox } from './outbox.ts'
import type { EndedRecord, InboxFilter, InboxRecord, OutgoingRecord, SendRequest } from './records.ts'

/** Every method may reject with a PilotError. */
export interface MessageControl {
  /**
   * Resolves when it is on disk: it is delivered as soon as its peer can be reached, also after a restart.
   * @throws PilotError USAGE, NOT_FOUND for a peer that no one knows, TOO_MANY, STATE_UNWRITABLE.
   */
  send(request: SendRequest): Promise<OutgoingRecord>
  /** What waits; with an id, that one, also if it has ended lately. */
  outgoing(id?: string): readonly OutgoingRecord[]
  /** @throws PilotError NOT_FOUND, CONFLICT. */
  cancel(id: string): Promise<OutgoingRecord>
  /** What arrived, oldest first. @throws PilotError NOT_FOUND for an id that is not there. */
  inbox(filter: InboxFilter): Promise<readonly InboxRecord[]>
  /** @param id of a message: the name of its file, or the id that its sender gave it. @throws PilotError NOT_FOUND. */
  find(id: string): Promise<InboxRecord>
  /** @throws PilotError NOT_FOUND; then none is removed. */
  remove(ids: readonly string[]): Promise<readonly InboxRecord[]>
  /** The next arrival that matches; null: there was none in time. Without `after`, from now on. */
  wait(filter: InboxFilter, timeoutMs: number): Promise<Arrival>
}

export interface Arrival {
  readonly record: InboxRecord | null
  readonly after: string // where to continue
}

export interface DeskDeps {
  readonly node: Pick<Overlay, 'dial' | 'resolve' | 'hostnameOf'>
  readonly inbox: Inbox
  readonly outboxDir: string
  readonly log: Logger
  readonly onSent: (record: EndedRecord) => void
}

export class MessageDesk implements MessageControl {
  readonly #deps: DeskDeps
  readonly #outbox: Outbox
  readonly #waiters = new Set<() => void>()

  private constructor(deps: DeskDeps, outbox: Outbox) {
    this.#deps = deps
    this.#outbox = outbox
  }

  /** @throws Error of the file system. */
  static async open(deps: DeskDeps): Promise<MessageDesk> {
    const { node, log, onSent } = deps
    const onEnd = (record: EndedRecord): void => {
      const { id, peer, state, bytes, error } = record
      if (state === 'delivered') log.info({ id, peer, bytes }, 'a message was delivered')
      else if (state !== 'cancelled') log.warn({ id, peer, state, bytes, reason: error }, 'a message was not delivered')
      onSent(record)
    }
    return new MessageDesk(deps, await Outbox.open(deps.outboxDir, { node, log, onEnd }))
  }

  async send(request: SendRequest): Promise<OutgoingRecord> {
    const { peer } = request
    if (parsePeerName(peer) === undefined)
      throw new PilotError('USAGE', `"${peer}": expected a hostname, an address or a node id`, { peer })
    await this.#deps.node.resolve(peer).catch((error: unknown) => {
      const isTypo = error instanceof PilotError && (error.code === 'NOT_FOUND' || error.code === 'KEY_CHANGED')
      if (isTypo) throw error // anything else may be over when it is sent
    })
    return await this.#outbox.add(request)
  }

  outgoing(id?: string): readonly OutgoingRecord[] {
    return this.#outbox.list(id)
  }

  async cancel(id: string): Promise<OutgoingRecord> {
    return await this.#outbox.cancel(id)
  }

  async inbox(filter: InboxFilter): Promise<readonly InboxRecord[]> {
    const records = await this.#deps.inbox.list()
    const { replyTo, after } = filter
    const isFrom = await this.#judgeOf(filter.from)
    const start = after === undefined ? undefined : cursorOf(after, records)
    return records.filter(
      (record) =>
        isFrom(record) &&
        (replyTo === undefined || record.replyTo === replyTo) &&
        (start === undefined || isAfter(record, start)),
    )
  }

  async find(id: string): Promise<InboxRecord> {
    return findIn(await this.#deps.inbox.list(), id)
  }

  async remove(ids: readonly string[]): Promise<readonly InboxRecord[]> {
    const records = await this.#deps.inbox.list()
    const found = ids.map((id) => findIn(records, id))
    for (const { id } of found) await this.#deps.inbox.remove(id)
    return found
  }

  async wait(filter: InboxFilter, timeoutMs: number): Promise<Arrival> {
    const after = filter.after ?? cursorText((await this.#deps.inbox.list()).at(-1))
    const until = performance.now() + timeoutMs
    for (;;) {
      const arrived = this.#nextArrival(until - performance.now()) // before looking, so that none is missed in between
      const [record] = await this.inbox({ ...filter, after })
      if (record !== undefined) {
        arrived.forget()
        return { record, after: cursorText(record) }
      }
      if (!(await arrived.came)) return { record: null, after }
    }
  }

  /** A tunnel to this peer is up. */
  onPeer(peer: NodeId): void {
    const hostname = this.#deps.node.hostnameOf(peer)
    this.#outbox.wake((written) => {
      const name = parsePeerName(written)
      return name?.kind === 'address' ? name.address.node === peer : name !== undefined && name.hostname === hostname
    })
  }

  stop(): void {
    this.#outbox.stop()
    for (const end of this.#waiters) end()
  }

  #nextArrival(waitMs: number): { readonly came: Promise<boolean>; readonly forget: () => void } {
    let settle = (_: boolean): void => {}
    const came = new Promise<boolean>((resolve) => {
      settle = resolve
    })
    const end = (): void => finish(false)
    const timer = setTimeout(end, Math.max(0, waitMs))
    const unwatch = this.#deps.inbox.watch(() => finish(true))
    const finish = (isThere: boolean): void => {
      clearTimeout(timer)
      unwatch()
      this.#waiters.delete(end)
      settle(isThere)
    }
    this.#waiters.add(end)
    return { came, forget: () => finish(false) }
  }

  /** Whether a record is from this peer. */
  async #judgeOf(peer: string | undefined): Promise<(record: InboxRecord) => boolean> {
    if (peer === undefined) return () => true
    const node = await this.#deps.node.resolve(peer).catch(() => undefined)
    const address = node === undefined ? undefined : formatAddress({ network: 0, node })
    return ({ nodeId, from, fromName }) =>
      (node !== undefined && (nodeId === node || from === address)) || fromName === peer || from === peer
  }
}

interface Cursor {
  readonly at: string
  readonly id: string
}

/** `TIME/ID`, a time, or the id of a message that is here. @throws PilotError NOT_FOUND. */
function cursorOf(text: string, records: readonly InboxRecord[]): Cursor {
  const [, at, id] = /^(\d{4}-\d\d-\d\dT[\d:.]+Z)(?:\/(.*))?$/.exec(text) ?? []
  if (at !== undefined) return { at, id: id ?? '' }
  const record = findIn(records, text)
  return { at: record.receivedAt, id: record.id }
}

function cursorText(record: InboxRecord | undefined): string {
  return record === undefined ? new Date(0).toISOString() : `${record.receivedAt}/${record.id}`
}

function isAfter({ receivedAt, id }: InboxRecord, { at, id: last }: Cursor): boolean {
  return receivedAt > at || (receivedAt === at && id > last)
}

function findIn(records: readonly InboxRecord[], id: string): InboxRecord {
  const found = records.find((record) => record.id === id || record.id === `${id}.json` || record.messageId === id)
  if (found === undefined)
    throw new PilotError(
      'NOT_FOUND',
      `there is no message "${id}"`,
      { id },
      undefined,
      '`pilotgate inbox list` shows them.',
    )
  return found
}
