/**
 * The store on disk: lmdb, one small JSON text per record. Writes of one event-loop turn share a transaction, and
 * waiting transactions share an fsync, so a thousand concurrent clients cost little more than one. A process that is
 * killed loses nothing that `flushed()` acknowledged. Local disks only; the file never shrinks.
 */
import type { RootDatabase } from 'lmdb'
import { PilotError } from '../../base/errors.ts'
import type { Release } from '../../runtime/files/lock.ts'
import type { RegistryStore, StoredRecord } from './store.ts'
import { holdFolder } from '../../runtime/files/lock.ts'
import { optionalPackage } from '../../runtime/optional-package.ts'

/**
 * Opens or creates the store in `directory`, and locks it until it is closed.
 * @throws PilotError USAGE if it cannot be a folder, CONFLICT if another process has it, FAILED for a damaged store, or
 *   if the package lmdb is not installed.
 */
export async function openLmdbStore(directory: string): Promise<RegistryStore> {
  const release = await holdFolder(directory)
  try {
    const { open } = await optionalPackage('lmdb', 'A registry store on disk', () => import('lmdb'))
    return new LmdbStore(open<string, string>({ path: directory, noSubdir: false, encoding: 'string' }), release)
  } catch (error) {
    await release()
    if (error instanceof PilotError) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new PilotError('FAILED', `cannot open the registry store in ${directory}: ${why}`, { directory }, error)
  }
}

class LmdbStore implements RegistryStore {
  readonly #db: RootDatabase<string, string>
  readonly #release: Release
  #unflushed = false // something was queued after the last flush began
  #flushing: Promise<void> = Promise.resolve()
  #failure: PilotError | undefined // sticky: from then on memory is ahead of the disk, and nothing may be acknowledged
  #closing: Promise<void> | undefined

  constructor(db: RootDatabase<string, string>, release: Release) {
    this.#db = db
    this.#release = release
  }

  *load(kind: string): Iterable<StoredRecord> {
    const end = kind.slice(0, -1) + AFTER_SLASH
    for (const { key, value } of this.#db.getRange({ start: kind, end })) yield { key, value: parse(value) }
  }

  put(key: string, value: object): void {
    if (this.#closing !== undefined || this.#failure !== undefined) return // writes after a lost one are meaningless
    this.#unflushed = true
    this.#watch(this.#db.put(key, JSON.stringify(value)))
  }

  delete(key: string): void {
    if (this.#closing !== undefined || this.#failure !== undefined) return // writes after a lost one are meaningless
    this.#unflushed = true
    this.#watch(this.#db.remove(key))
  }

  flushed(): Promise<void> {
    if (this.#unflushed) {
      this.#unflushed = false
      this.#flushing = this.#flush()
      this.#flushing.catch(() => undefined) // waiting callers are notified; without any, this is not a crash
    }
    return this.#flushing
  }

  close(): Promise<void> {
    this.#closing ??= this.flushed()
      .finally(() => this.#db.close())
      .finally(() => this.#release())
    return this.#closing
  }

  async #flush(): Promise<void> {
    try {
      await this.#db.committed
      await this.#db.flushed
    } catch (error) {
      this.#fail(error)
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  #watch(write: Promise<boolean>): void {
    write.catch((error: unknown) => this.#fail(error))
  }

  #fail(error: unknown): void {
    // lmdb also rejects an internal promise, which nothing else holds: unhandled, it would end the process
    ignore((error as { commitError?: Promise<unknown> }).commitError)
    this.#failure ??= new PilotError(
      'FAILED',
      'the registry store refused a write; restart once the disk has recovered',
      {},
      error,
    )
  }
}

function ignore(promise: Promise<unknown> | undefined): void {
  promise?.catch(() => undefined)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // a damaged record counts as absent; the registry reports how many it skipped
  }
}

const AFTER_SLASH = '0' // the next character
