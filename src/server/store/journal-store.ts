/**
 * The store on disk without lmdb: one file of lines, `[key, value]` or `[key]` for a deletion, appended and flushed.
 * Waiting lines share an fsync. It is compacted at startup, and when most of it is obsolete. For the rendezvous of a
 * few people: it also holds every record in memory as text. Larger ones install lmdb.
 */
import { open, readFile } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { PilotError } from '../../base/errors.ts'
import { writeFileAtomically } from '../../runtime/files/atomic.ts'
import type { Release } from '../../runtime/files/lock.ts'
import { holdFolder } from '../../runtime/files/lock.ts'
import type { RegistryStore, StoredRecord } from './store.ts'

export const JOURNAL_FILE = 'journal'

/**
 * Opens or creates the store in `directory`, and locks it until it is closed.
 * @throws PilotError USAGE if it cannot be a folder, CONFLICT if another process has it, FAILED if the disk refuses.
 */
export async function openJournalStore(directory: string): Promise<RegistryStore> {
  const release = await holdFolder(directory)
  const path = join(directory, JOURNAL_FILE)
  try {
    const { records, damaged } = readJournal(await readFile(path, 'utf8').catch(absentIsEmpty))
    await writeFileAtomically(path, journalOf(records))
    return new JournalStore(path, await open(path, 'a', 0o600), { records, damaged, release })
  } catch (error) {
    await release()
    const why = error instanceof Error ? error.message : String(error)
    throw new PilotError('FAILED', `cannot open the registry store in ${directory}: ${why}`, { directory }, error)
  }
}

interface Journal {
  readonly records: Map<string, string> // the value as JSON text
  readonly damaged: number // lines that cannot be parsed
}

class JournalStore implements RegistryStore {
  readonly #path: string
  readonly #records: Map<string, string>
  readonly #damaged: number
  readonly #release: Release
  #file: FileHandle
  #waiting: string[] = [] // lines not written yet
  #lines: number // in the file
  #scheduled = false
  #written: Promise<void> = Promise.resolve() // once rejected it stays rejected: memory is then ahead of the disk
  #closing: Promise<void> | undefined

  constructor(path: string, file: FileHandle, { records, damaged, release }: Journal & { readonly release: Release }) {
    this.#path = path
    this.#file = file
    this.#records = records
    this.#damaged = damaged
    this.#release = release
    this.#lines = records.size
  }

  *load(kind: string): Iterable<StoredRecord> {
    for (const [key, text] of this.#records) if (key.startsWith(kind)) yield { key, value: JSON.parse(text) as unknown }
    if (kind === 'damaged/') for (let i = 0; i < this.#damaged; i++) yield { key: `damaged/${i}`, value: undefined }
  }

  put(key: string, value: object): void {
    const text = JSON.stringify(value)
    this.#append(lineOf(key, text), () => this.#records.set(key, text))
  }

  delete(key: string): void {
    this.#append(lineOf(key), () => this.#records.delete(key))
  }

  flushed(): Promise<void> {
    if (this.#waiting.length > 0) {
      this.#written = this.#written.then(() => this.#write())
      this.#written.catch(() => undefined) // waiting callers are notified; without any, this is not a crash
    }
    return this.#written
  }

  close(): Promise<void> {
    this.#closing ??= this.flushed()
      .finally(() => this.#file.close())
      .finally(() => this.#release())
    return this.#closing
  }

  #append(line: string, remember: () => void): void {
    if (this.#closing !== undefined) return
    remember()
    this.#waiting.push(line)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      if (this.#closing === undefined) void this.flushed().catch(() => undefined) // data without a waiter is written too
    })
  }

  async #write(): Promise<void> {
    const lines = this.#waiting
    if (lines.length === 0) return // an earlier write included them
    this.#waiting = []
    try {
      await this.#file.appendFile(lines.join(''))
      await this.#file.datasync()
      this.#lines += lines.length
      if (this.#lines > HISTORY_FACTOR * this.#records.size + HISTORY_LINES) await this.#rewrite()
    } catch (error) {
      throw new PilotError(
        'FAILED',
        'the registry store refused a write; restart once the disk has recovered',
        {},
        error,
      )
    }
  }

  /** Lines that wait in the meantime may already be in the new file; appending them again is harmless. */
  async #rewrite(): Promise<void> {
    this.#lines = this.#records.size
    await writeFileAtomically(this.#path, journalOf(this.#records))
    const before = this.#file
    this.#file = await open(this.#path, 'a', 0o600)
    await before.close()
  }
}

/** The last line is incomplete after a crash or a power cut: none of it was acknowledged. */
function readJournal(text: string): Journal {
  const records = new Map<string, string>()
  let damaged = 0
  const lines = text.split('\n')
  lines.pop()
  for (const line of lines) {
    const entry = parse(line)
    if (!Array.isArray(entry) || typeof entry[0] !== 'string') damaged++
    else if (entry.length === 1) records.delete(entry[0])
    else records.set(entry[0], JSON.stringify(entry[1]))
  }
  return { records, damaged }
}

function journalOf(records: ReadonlyMap<string, string>): string {
  return [...records].map(([key, text]) => lineOf(key, text)).join('')
}

function lineOf(key: string, text?: string): string {
  return text === undefined ? `[${JSON.stringify(key)}]\n` : `[${JSON.stringify(key)},${text}]\n`
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function absentIsEmpty(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return ''
  throw error
}

/** The file is compacted when it has this many lines per record, plus this many. */
const HISTORY_FACTOR = 4
const HISTORY_LINES = 10_000
