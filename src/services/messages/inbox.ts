/**
 * What peers sent: messages in one folder, files in another, both as the reference keeps them (today.md 2.6), so that its
 * tools can read them. What the port of data exchange asks of the disk is done here.
 */
import { readFile, rename, rm, readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { toHex } from '../../base/bytes.ts'
import { formatAddress } from '../../base/address.ts'
import type { NodeId } from '../../base/types.ts'
import { safeFileName } from '../../proto/messages/file-name.ts'
import { RECEIPT_MS, Receipts } from '../../proto/messages/receipts.ts'
import type { Arriving, FileInit } from '../../proto/messages/receiver.ts'
import { makeFolder } from '../../runtime/files/folder.ts'
import { Draft } from './draft.ts'
import { complete, Journal, type Entry } from './journal.ts'
import type { InboxRecord, MessageType } from './records.ts'
import { Shelf, type ShelfLimits } from './shelf.ts'
import { type Claim, Transfers } from './transfers.ts'

export interface InboxOptions {
  readonly inbox: string // folder of messages
  readonly received: string // folder of files
  readonly journal: string
  readonly limits?: { readonly inbox?: ShelfLimits; readonly received?: ShelfLimits }
}

/** As the tunnel names it. */
export interface Sender {
  readonly node: NodeId
  readonly name: string
  readonly key: string | undefined
}

export class Inbox {
  readonly #messages: Shelf
  readonly #files: Shelf
  readonly #transfers: Transfers
  readonly #journal: Journal
  readonly #receipts = new Receipts()
  readonly #entries = new Map<string, Entry>() // of what is here
  readonly #committing = new Set<string>() // messages with an id
  readonly #watchers = new Set<(record: InboxRecord) => void>()
  #opened: Promise<void> | undefined
  #count = 0

  constructor({ inbox, received, journal, limits }: InboxOptions) {
    this.#messages = new Shelf(inbox, limits?.inbox ?? INBOX_LIMITS)
    this.#files = new Shelf(received, limits?.received ?? RECEIVED_LIMITS)
    this.#transfers = new Transfers(received)
    this.#journal = new Journal(journal)
  }

  /** Calls back for each arrival. @returns a function that ends that. */
  watch(onArrival: (record: InboxRecord) => void): () => void {
    this.#watchers.add(onArrival)
    return () => void this.#watchers.delete(onArrival)
  }

  /** @throws Error of the file system. */
  async begin(from: Sender, arriving: Arriving): Promise<Draft | 'duplicate' | { readonly refusal: string }> {
    await this.#open()
    const { messageId, type, bytes } = arriving
    if (messageId !== undefined && this.#receipts.has(Date.now(), ownerOf(from), idReceipt(messageId)))
      return 'duplicate'
    const shelf = this.#shelfOf(type === 'FILE')
    const refusal = type === 'FILE' ? await this.#noRoom(shelf, ownerOf(from), bytes) : undefined
    if (refusal !== undefined) return { refusal }
    if (await shelf.isDiskFull(bytes)) return { refusal: 'the disk is full' }
    const release = shelf.reserve.take(ownerOf(from), bytes)
    if (release === undefined) return { refusal: 'too much is arriving at the same time' }
    return await releasing(release, Draft.create(this.#temporary(shelf), release))
  }

  /**
   * On disk when it resolves; undefined: the same message came over another connection meanwhile, and is kept.
   * @throws Error of the file system, or if that other one is not on disk yet.
   */
  async commit(from: Sender, arriving: Arriving, draft: Draft): Promise<InboxRecord | undefined> {
    const { messageId } = arriving
    const key = messageId === undefined ? undefined : `${ownerOf(from)} ${messageId}`
    if (key !== undefined && this.#committing.has(key)) throw new Error('it is arriving twice at the same time')
    if (messageId !== undefined && this.#receipts.has(Date.now(), ownerOf(from), idReceipt(messageId))) {
      await draft.discard()
      return undefined
    }
    if (key !== undefined) this.#committing.add(key)
    try {
      return await this.#commit(from, arriving, draft)
    } finally {
      if (key !== undefined) this.#committing.delete(key)
    }
  }

  async #commit(from: Sender, arriving: Arriving, draft: Draft): Promise<InboxRecord> {
    const { type, name, messageId, replyTo } = arriving
    const now = new Date()
    const isFile = type === 'FILE'
    const shelf = this.#shelfOf(isFile)
    const id = this.#freeName(shelf, isFile ? safeFileName(name) : { stem: type, extension: '.json' }, now)
    let { path: temporary } = draft
    if (isFile) await draft.finish()
    else {
      temporary = this.#temporary(shelf)
      const about = {
        type,
        from: formatAddress({ network: 0, node: from.node }),
        from_name: from.name,
        bytes: arriving.bytes,
        received_at: now.toISOString().replace('Z', '000000Z'),
        ...(messageId !== undefined && { message_id: messageId }),
        ...(replyTo !== undefined && { reply_to: replyTo }),
      }
      const size = await draft.finishAsRecord(temporary, about)
      if (shelf.isStale) await shelf.scan((file) => this.#entries.get(file)?.owner)
      for (const gone of await shelf.makeRoom(size)) this.#entries.delete(gone)
    }
    const receipt = messageId === undefined ? undefined : idReceipt(messageId)
    return await this.#keep(
      shelf,
      from,
      { id, temporary, type: lower(type), bytes: arriving.bytes, at: now.getTime() },
      {
        ...(isFile && { name }),
        ...(messageId !== undefined && { messageId }),
        ...(replyTo !== undefined && { replyTo }),
        ...(receipt !== undefined && { receipt }),
      },
    )
  }

  /** A file in steps. @throws Error of the file system. */
  async claim(from: Sender, init: FileInit): Promise<Claim | 'duplicate' | { readonly refusal: string }> {
    await this.#open()
    const owner = ownerOf(from)
    const receipt = fileReceipt(init)
    const before = [...this.#entries.values()].find((entry) => entry.owner === owner && entry.receipt === receipt)
    const isHere = before !== undefined && Date.now() - before.at < RECEIPT_MS && (await this.#exists(before.id))
    if (isHere) return 'duplicate'
    const missing = init.size - (await this.#transfers.have(owner, init))
    const refusal = await this.#noRoom(this.#files, owner, missing + (await this.#transfers.size()))
    if (refusal !== undefined) return { refusal }
    if (await this.#files.isDiskFull(missing)) return { refusal: 'the disk is full' }
    const release = this.#files.reserve.take(owner, missing)
    if (release === undefined) return { refusal: 'too much is arriving at the same time' }
    const claim = await releasing(release, this.#transfers.claim(owner, init, release))
    if (claim !== undefined) return claim
    release()
    return { refusal: 'this file is arriving already' }
  }

  /** @returns why not, in words for the peer. */
  async put(claim: Claim, bytes: Uint8Array): Promise<string | undefined> {
    return (await this.#transfers.put(claim, bytes)) ? undefined : 'another connection has taken over'
  }

  /** @returns why it is not kept, in words for the peer. */
  async finish(from: Sender, claim: Claim): Promise<string | InboxRecord> {
    const { init, path: temporary } = claim
    if (!(await this.#transfers.verify(claim))) return 'the file arrived damaged'
    const now = new Date()
    const id = this.#freeName(this.#files, safeFileName(init.name), now)
    const about = { id, temporary, type: 'file' as const, bytes: init.size, at: now.getTime() }
    return await this.#keep(this.#files, from, about, { name: init.name, receipt: fileReceipt(init) })
  }

  async release(claim: Claim): Promise<void> {
    await this.#transfers.release(claim)
  }

  /** Oldest first. */
  async list(): Promise<readonly InboxRecord[]> {
    await this.#open()
    await this.#scan()
    const records = await Promise.all([
      ...[...this.#messages.items].map((item) => this.#recordOf(this.#messages, item.id, item.at, true)),
      ...[...this.#files.items].map((item) => this.#recordOf(this.#files, item.id, item.at, false)),
    ])
    return records.sort((a, b) =>
      a.receivedAt < b.receivedAt ? -1 : a.receivedAt > b.receivedAt ? 1 : a.id < b.id ? -1 : 1,
    )
  }

  /** @returns false if there is none. */
  async remove(id: string): Promise<boolean> {
    await this.#open()
    const shelf = [this.#messages, this.#files].find((each) => each.has(id))
    if (shelf === undefined) return false
    await shelf.remove(id)
    this.#entries.delete(id)
    return true
  }

  #open(): Promise<void> {
    this.#opened ??= this.#load().catch((error: unknown) => {
      this.#opened = undefined // tried again with the next message
      throw error
    })
    return this.#opened
  }

  async #load(): Promise<void> {
    await makeFolder(this.#messages.dir)
    await makeFolder(this.#files.dir)
    const now = Date.now()
    const entries = await this.#journal.open(async (entry) => {
      const isHere = await complete(this.#shelfOf(entry.type === 'file').dir, entry)
      if (isHere) this.#entries.set(entry.id, entry)
      return isHere || now - entry.at < RECEIPT_MS
    })
    for (const { owner, receipt, at, type } of entries)
      if (receipt !== undefined && type !== 'file') this.#receipts.add(at, owner, receipt)
    for (const { dir } of [this.#messages, this.#files]) await tidy(dir)
    await this.#transfers.tidy(now)
    await this.#scan()
  }

  async #scan(): Promise<void> {
    for (const shelf of [this.#messages, this.#files]) await shelf.scan((id) => this.#entries.get(id)?.owner)
    for (const id of this.#entries.keys()) if (!this.#messages.has(id) && !this.#files.has(id)) this.#entries.delete(id)
  }

  async #noRoom(shelf: Shelf, owner: string, bytes: number): Promise<string | undefined> {
    const refusal = shelf.refusal(owner, bytes)
    if (refusal === undefined || !shelf.isStale) return refusal
    await this.#scan()
    return shelf.refusal(owner, bytes)
  }

  async #keep(
    shelf: Shelf,
    from: Sender,
    about: Pick<Entry, 'id' | 'temporary' | 'type' | 'bytes' | 'at'>,
    more: Pick<Entry, 'name' | 'messageId' | 'replyTo' | 'receipt'>,
  ): Promise<InboxRecord> {
    const address = formatAddress({ network: 0, node: from.node })
    const entry: Entry = {
      ...about,
      owner: ownerOf(from),
      node: from.node,
      from: address,
      fromName: from.name,
      ...more,
    }
    const { size } = await stat(about.temporary)
    await this.#journal.append(entry)
    await rename(about.temporary, join(shelf.dir, entry.id))
    shelf.add(entry.id, size, entry.owner)
    this.#entries.set(entry.id, entry)
    if (entry.receipt !== undefined && entry.type !== 'file') this.#receipts.add(Date.now(), entry.owner, entry.receipt)
    const record = recordOf(shelf.dir, entry)
    for (const tell of this.#watchers) tell(record)
    return record
  }

  async #recordOf(shelf: Shelf, id: string, at: number, isMessage: boolean): Promise<InboxRecord> {
    const entry = this.#entries.get(id)
    return entry === undefined ? await foreignRecord(shelf.dir, id, at, isMessage) : recordOf(shelf.dir, entry)
  }

  async #exists(id: string): Promise<boolean> {
    return (await stat(join(this.#files.dir, id)).catch(() => undefined)) !== undefined
  }

  #shelfOf(isFile: boolean): Shelf {
    return isFile ? this.#files : this.#messages
  }

  #temporary(shelf: Shelf): string {
    return join(shelf.dir, `.${process.pid}-${this.#count++}${TEMPORARY}`)
  }

  /** Names as in the reference. */
  #freeName(shelf: Shelf, { stem, extension }: { stem: string; extension: string }, now: Date): string {
    const iso = now.toISOString()
    const stamp = `${iso.slice(0, 10).replaceAll('-', '')}-${iso.slice(11, 23).replaceAll(':', '')}`
    for (;;) {
      this.#count += 1
      const id = `${stem}-${stamp}-${String(this.#count % 1_000_000).padStart(6, '0')}${extension}`
      if (!shelf.has(id)) return id
    }
  }
}

/** If it fails, the room is given back. */
async function releasing<T>(release: () => void, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    release()
    throw error
  }
}

/** What became of an earlier run that was killed. */
async function tidy(dir: string): Promise<void> {
  for (const name of await readdir(dir).catch(() => []))
    if (name.startsWith('.') && name.endsWith(TEMPORARY)) await rm(join(dir, name), { force: true })
}

function recordOf(dir: string, entry: Entry): InboxRecord {
  return {
    id: entry.id,
    type: entry.type,
    from: entry.from,
    fromName: entry.fromName,
    nodeId: entry.node,
    bytes: entry.bytes,
    receivedAt: new Date(entry.at).toISOString(),
    name: entry.name ?? null,
    messageId: entry.messageId ?? null,
    replyTo: entry.replyTo ?? null,
    path: join(dir, entry.id),
  }
}

/** Of a file that another program put there: as far as it can be read. */
async function foreignRecord(dir: string, id: string, at: number, isMessage: boolean): Promise<InboxRecord> {
  const path = join(dir, id)
  const size = (await stat(path).catch(() => ({ size: 0 }))).size
  const told = isMessage && size <= MAX_READ_BYTES ? await readJson(path) : {}
  const text = (value: unknown): string | null => (typeof value === 'string' ? value : null)
  const type = text(told['type'])?.toLowerCase()
  return {
    id,
    type: isType(type) ? type : isMessage ? 'text' : 'file',
    from: text(told['from']),
    fromName: null,
    nodeId: null,
    bytes: typeof told['bytes'] === 'number' ? told['bytes'] : size,
    receivedAt: new Date(at).toISOString(),
    name: isMessage ? null : basename(id),
    messageId: text(told['message_id']),
    replyTo: text(told['reply_to']),
    path,
  }
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'))
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function isType(text: string | undefined): text is MessageType {
  return text === 'text' || text === 'binary' || text === 'json' || text === 'file'
}

function lower(type: Arriving['type']): MessageType {
  return type.toLowerCase() as MessageType
}

function ownerOf({ key, node }: Sender): string {
  return key ?? `node:${node}`
}

function idReceipt(messageId: string): string {
  return `id ${messageId}`
}

function fileReceipt({ transfer, name, size }: FileInit): string {
  return `file ${toHex(transfer)} ${size} ${name}`
}

/** A folder that a person can still browse, and that is listed quickly; as in the reference. */
export const INBOX_LIMITS: ShelfLimits = { bytes: 268_435_456, files: 10_000 }
/** Disk space that peers can fill with files; one peer, with half of it. */
export const RECEIVED_LIMITS: ShelfLimits = { bytes: 8_589_934_592, files: 10_000 }
/** Of a record that another program wrote. */
const MAX_READ_BYTES = 1_048_576
const TEMPORARY = '.tmp'
