/** A store in memory only: the default without a directory, also used by tests. */
import type { RegistryStore, StoredRecord } from './store.ts'

export class MemoryStore implements RegistryStore {
  readonly #records: Map<string, string>

  /** @param records Shared between two stores, it acts as a disk that survives the process. */
  constructor(records: Map<string, string> = new Map()) {
    this.#records = records
  }

  *load(kind: string): Iterable<StoredRecord> {
    for (const [key, text] of this.#records) if (key.startsWith(kind)) yield { key, value: JSON.parse(text) as unknown }
  }

  put(key: string, value: object): void {
    this.#records.set(key, JSON.stringify(value))
  }

  delete(key: string): void {
    this.#records.delete(key)
  }

  flushed(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
