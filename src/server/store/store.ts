/**
 * The registry's persistence: small records by key, `kind/name`, read once at startup, written asynchronously afterwards. The
 * registry works on its own maps and never waits; the server holds back a reply until `flushed()`. Every implementation
 * passes test/unit/server/store/compliance.ts.
 */

export interface RegistryStore {
  /**
   * The records whose keys begin with `kind`, such as `node/`, in no particular order, read as they are taken; `damaged/`:
   * one for each that cannot be read, if known. Called before the first put.
   */
  load(kind: string): Iterable<StoredRecord>

  /** Queues a write. The value is copied or encoded before the call returns: the caller may change it afterwards. */
  put(key: string, value: object): void
  delete(key: string): void

  /** Resolves when everything queued before the call would survive a power loss; rejects if a write failed. */
  flushed(): Promise<void>

  /** Flushes, then releases the files. Idempotent. */
  close(): Promise<void>
}

export interface StoredRecord {
  readonly key: string
  readonly value: unknown // as written, or anything that a damaged or newer store holds: the reader checks
}
