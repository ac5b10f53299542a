/**
 * Messages and files that wait for their peer, on disk from the moment that `add` resolves. `proto/messages/schedule.ts`
 * decides which is tried when, `courier.ts` delivers one.
 */
import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import { asPilotError, PilotError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { fileNameFault } from '../../proto/messages/file-name.ts'
import { MAX_PAUSE_MS, Schedule } from '../../proto/messages/schedule.ts'
import type { Overlay } from '../../runtime/overlay.ts'
import { isMessageId, MAX_DATA_BYTES } from '../../wire/data-frame.ts'
import { deliver } from './courier.ts'
import { Parcels, sizeOf, type StoredParcel } from './parcels.ts'
import type { EndedRecord, Ending, OutgoingRecord, SendRequest } from './records.ts'

interface Outgoing {
  readonly parcel: StoredParcel
  state: OutgoingRecord['state']
  deliveredBytes: number
  attempts: number
  error: string | null
}

export interface OutboxDeps {
  readonly node: Pick<Overlay, 'dial'>
  readonly log: Logger
  readonly onEnd: (record: EndedRecord) => void
}

export class Outbox {
  readonly #deps: OutboxDeps
  readonly #parcels: Parcels
  readonly #schedule = new Schedule(Math.random)
  readonly #waiting = new Map<string, Outgoing>()
  /** Those that have ended lately, oldest first: for those who ask how. */
  readonly #ended = new Map<string, OutgoingRecord>()
  #bytes = 0
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  private constructor(dir: string, deps: OutboxDeps) {
    this.#deps = deps
    this.#parcels = new Parcels(dir)
  }

  /** Goes on with what an earlier run left. @throws Error of the file system. */
  static async open(dir: string, deps: OutboxDeps): Promise<Outbox> {
    const outbox = new Outbox(dir, deps)
    for (const parcel of await outbox.#parcels.load()) outbox.#enter(parcel)
    outbox.#run()
    return outbox
  }

  /**
   * On disk when it resolves. @throws PilotError USAGE for a request that is invalid, NOT_FOUND for a file that is
   * not there, TOO_MANY, STATE_UNWRITABLE.
   */
  async add(request: SendRequest): Promise<OutgoingRecord> {
    const { peer, type, replyTo, forMs = DEFAULT_TTL_MS } = request
    const size = await check(request)
    if (this.#waiting.size >= MAX_OUTGOING)
      throw new PilotError('TOO_MANY', `${MAX_OUTGOING} messages wait already`, { limit: MAX_OUTGOING })
    if (this.#bytes + size > MAX_OUTGOING_BYTES)
      throw new PilotError('TOO_MANY', `the messages that wait would have more than ${MAX_OUTGOING_BYTES} bytes`, {
        limit: MAX_OUTGOING_BYTES,
      })
    const id = newId()
    this.#bytes += size
    try {
      const bytes = await this.#parcels.addContent(id, request.content ?? { path: request.path! })
      const sha256 = type === 'file' ? await this.#parcels.digest(id) : new Uint8Array(32)
      const createdAt = Date.now()
      const name = type === 'file' ? (request.name ?? basename(request.path!)) : ''
      const parcel = { id, peer, type, name, bytes, sha256, replyTo, createdAt, expiresAt: createdAt + forMs }
      await this.#parcels.add(parcel)
      this.#bytes -= size
      const outgoing = this.#enter(parcel)
      this.#run()
      return this.#recordOf(outgoing)
    } catch (error) {
      this.#bytes -= size
      await this.#parcels.remove(id).catch(() => {})
      throw asUnwritable(error)
    }
  }

  /** Those that wait, oldest first; with an id, that one, also if it has just ended. */
  list(id?: string): readonly OutgoingRecord[] {
    if (id === undefined) return [...this.#waiting.values()].map((outgoing) => this.#recordOf(outgoing))
    const waiting = this.#waiting.get(id)
    const record = waiting === undefined ? this.#ended.get(id) : this.#recordOf(waiting)
    return record === undefined ? [] : [record]
  }

  /** @throws PilotError NOT_FOUND; CONFLICT while it is being sent. */
  async cancel(id: string): Promise<OutgoingRecord> {
    const outgoing = this.#waiting.get(id)
    if (outgoing === undefined) throw new PilotError('NOT_FOUND', `no message "${id}" waits here`, { id })
    if (!this.#schedule.remove(id))
      throw new PilotError('CONFLICT', `"${id}" is being sent at this moment`, { id }, undefined, 'Try again shortly.')
    return await this.#end(outgoing, 'cancelled')
  }

  /** A peer has been heard: what waits for it is tried at once. @param isThis whether this is how it is written. */
  wake(isThis: (peer: string) => boolean): void {
    this.#schedule.wake(Date.now(), isThis)
    this.#run()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  #enter(parcel: StoredParcel): Outgoing {
    const outgoing: Outgoing = { parcel, state: 'waiting', deliveredBytes: 0, attempts: 0, error: null }
    const { id, peer, type, bytes, expiresAt } = parcel
    this.#waiting.set(id, outgoing)
    this.#bytes += bytes
    this.#schedule.add(Date.now(), { id, peer, kind: type === 'file' ? 'file' : 'message', expiresAt })
    return outgoing
  }

  #run(): void {
    clearTimeout(this.#timer)
    if (this.#isStopped) return
    for (let due = this.#schedule.poll(Date.now()); due !== undefined; due = this.#schedule.poll(Date.now())) {
      const outgoing = this.#waiting.get(due.id)!
      if (due.do === 'try') void this.#try(outgoing)
      else this.#end(outgoing, 'expired').catch((error: unknown) => this.#complain(error))
    }
    const waitMs = Math.max(0, this.#schedule.nextAt - Date.now())
    if (this.#waiting.size > 0) this.#timer = setTimeout(() => this.#run(), Math.min(waitMs, MAX_PAUSE_MS)).unref() // it does not keep a program alive
  }

  async #try(outgoing: Outgoing): Promise<void> {
    const { id, peer, type, name, bytes, sha256, replyTo } = outgoing.parcel
    outgoing.state = 'sending'
    outgoing.attempts += 1
    const kind = type.toUpperCase() as Uppercase<typeof type>
    const parcel = { type: kind, name, bytes, sha256, messageId: id, ...(replyTo !== undefined && { replyTo }) }
    const content = await open(this.#parcels.contentOf(id)).catch(() => undefined)
    if (content === undefined) return await this.#close(outgoing, 'refused', 'its copy in the outbox is gone')
    let isFirst = true
    const delivery = await deliver(this.#deps.node, peer, parcel, content, (done) => {
      if (isFirst && type === 'file') this.#deps.log.info({ id, peer, offset: done, bytes }, 'sending a file')
      isFirst = false
      outgoing.deliveredBytes = done
    })
    await content.close()
    if (delivery.state === 'delivered') return await this.#close(outgoing, 'delivered', null)
    if (delivery.state === 'failed' && delivery.isFinal) return await this.#close(outgoing, 'refused', delivery.why)
    outgoing.state = 'waiting'
    outgoing.error = delivery.why
    this.#schedule.settle(Date.now(), id, delivery.state === 'unreached' ? 'later' : 'refused')
    this.#deps.log.debug({ id, peer, why: delivery.why }, 'a message was not delivered; it will be tried again')
    this.#run()
  }

  async #close(outgoing: Outgoing, state: Ending, error: string | null): Promise<void> {
    outgoing.error = error
    if (state === 'delivered') outgoing.deliveredBytes = outgoing.parcel.bytes
    this.#schedule.settle(Date.now(), outgoing.parcel.id, 'gone')
    await this.#end(outgoing, state).catch((fault: unknown) => this.#complain(fault))
    this.#run()
  }

  async #end(outgoing: Outgoing, state: Ending): Promise<EndedRecord> {
    const { id, bytes } = outgoing.parcel
    outgoing.state = state
    this.#waiting.delete(id)
    this.#bytes -= bytes
    const record = { ...this.#recordOf(outgoing), state }
    if (this.#ended.size >= MAX_ENDED) this.#ended.delete(this.#ended.keys().next().value!)
    this.#ended.set(id, record)
    this.#deps.onEnd(record)
    await this.#parcels.remove(id)
    return record
  }

  #complain(error: unknown): void {
    this.#deps.log.warn({ reason: asPilotError(error).message }, 'a message could not be removed from the outbox')
  }

  #recordOf({ parcel, state, deliveredBytes, attempts, error }: Outgoing): OutgoingRecord {
    const { id, peer, type, name, bytes, replyTo, createdAt, expiresAt } = parcel
    const nextAt = state === 'waiting' ? this.#schedule.nextOf(id) : undefined
    const queue = [...this.#waiting.values()].filter((other) => other.parcel.peer === peer)
    const reason = state === 'waiting' ? queue.find((other) => other.error !== null)?.error : undefined // it waits behind that one
    return {
      id,
      peer,
      type,
      name: type === 'file' ? name : null,
      bytes,
      replyTo: replyTo ?? null,
      state,
      deliveredBytes,
      attempts,
      createdAt: new Date(createdAt).toISOString(),
      expiresAt: new Date(expiresAt).toISOString(),
      error: error ?? reason ?? null,
      nextAttemptMs: nextAt === undefined ? null : Math.max(0, Math.round(nextAt - Date.now())),
    }
  }
}

/** @returns the size of the content. @throws PilotError USAGE, NOT_FOUND. */
async function check({ type, content, path, name, replyTo }: SendRequest): Promise<number> {
  if ((content === undefined) === (path === undefined))
    throw new PilotError('USAGE', 'a message has either a content or the path of one')
  if (replyTo !== undefined && !isMessageId(replyTo))
    throw new PilotError('USAGE', 'the id of a message has 1 to 128 letters, digits and . _ : -', { replyTo })
  const fault = type === 'file' ? fileNameFault(name ?? basename(path ?? '')) : undefined
  if (fault !== undefined) throw new PilotError('USAGE', fault, { name })
  const size = path === undefined ? content!.length : await sizeAt(path)
  if (type !== 'file' && size > MAX_MESSAGE_BYTES)
    throw new PilotError('USAGE', `a message has at most ${MAX_MESSAGE_BYTES} bytes; send it as a file`, {
      bytes: size,
    })
  return size
}

async function sizeAt(path: string): Promise<number> {
  try {
    const size = await sizeOf(path)
    if (size !== undefined) return size
  } catch (error) {
    throw new PilotError('USAGE', `${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, { path }, error)
  }
  throw new PilotError('USAGE', `${path}: not a file`, { path })
}

function asUnwritable(error: unknown): PilotError {
  if (error instanceof PilotError) return error
  const hint = 'Free space on the disk, or make the state folder writable, then send it again.'
  return new PilotError('STATE_UNWRITABLE', `the outbox: ${(error as Error).message}`, {}, error, hint)
}

/** 26 characters; they sort by time. */
function newId(): string {
  return Date.now().toString(36).padStart(9, '0') + randomBytes(9).toString('hex').slice(0, 17)
}

/** How long a message is tried, ms. */
export const DEFAULT_TTL_MS = 7 * 86_400_000
export const MAX_OUTGOING = 1_000
/** Disk space that messages which wait may take. */
export const MAX_OUTGOING_BYTES = 17_179_869_184
const MAX_ENDED = 1_000
/** A frame of 64 MiB, with its tag. */
const MAX_MESSAGE_BYTES = MAX_DATA_BYTES - 2_048
