/**
 * A disk in the virtual world: writes take time, fail while it is full, and are lost if power fails before they are
 * durable. `SimKeeper` keeps one file on it as runtime/node/trust-keeper.ts does: one write at a time, the newest
 * content next, a failed write retried later. `SimStore` is the registry's store on one.
 */
import type { RegistryStore, StoredRecord } from '../../../src/server/store/store.ts'
import type { World } from './world.ts'

export class SimDisk {
  latencyMs = 0 // of a write with fsync; 0: durable at once
  isFull = false
}

export class SimKeeper<T> {
  readonly disk = new SimDisk()
  readonly #world: World
  readonly #onDurable: (content: T) => void
  #latest: { readonly version: number; readonly content: T } | undefined
  #version = 0
  #saved = 0
  #isWriting = false
  #life = 0
  #waiting: { readonly version: number; readonly done: () => void }[] = []

  constructor(world: World, onDurable: (content: T) => void) {
    this.#world = world
    this.#onDurable = onDurable
  }

  save(content: T): void {
    this.#version += 1
    this.#latest = { version: this.#version, content }
    this.#write()
  }

  /** Calls back once everything saved so far is durable; never if the process ends first. */
  settled(done: () => void): void {
    if (this.#saved >= this.#version) done()
    else this.#waiting.push({ version: this.#version, done })
  }

  /** The process ends: what is not durable is lost. */
  crash(): void {
    this.#life += 1
    this.#isWriting = false
    this.#waiting = []
    this.#saved = this.#version
  }

  #write(): void {
    const latest = this.#latest
    if (this.#isWriting || latest === undefined || latest.version <= this.#saved) return
    if (this.disk.latencyMs === 0 && !this.disk.isFull) return this.#onWritten(latest.version, latest.content)
    this.#isWriting = true
    const life = this.#life
    this.#world.after(this.disk.latencyMs, () => {
      if (life !== this.#life) return
      this.#isWriting = false
      if (!this.disk.isFull) return this.#onWritten(latest.version, latest.content)
      this.#world.after(RETRY_MS, () => {
        if (life === this.#life) this.#write()
      })
    })
  }

  #onWritten(version: number, content: T): void {
    this.#saved = version
    this.#onDurable(content)
    const done = this.#waiting.filter((entry) => entry.version <= version)
    this.#waiting = this.#waiting.filter((entry) => entry.version > version)
    for (const entry of done) entry.done()
    this.#write()
  }
}

/**
 * Write-behind, like every store. A failed write is the last one: memory then stays ahead of the disk until the next
 * process.
 */
export class SimStore implements RegistryStore {
  readonly #world: World
  readonly #disk: SimDisk
  readonly #records: Map<string, string> // what is durable
  #queued: { readonly key: string; readonly text: string | undefined }[] = []
  #waiting: ((isDurable: boolean) => void)[] = []
  #isWriting = false
  #state: 'open' | 'failed' | 'closed' = 'open'

  constructor(world: World, disk: SimDisk, records: Map<string, string>) {
    this.#world = world
    this.#disk = disk
    this.#records = records
  }

  *load(kind: string): Iterable<StoredRecord> {
    for (const [key, text] of this.#records) if (key.startsWith(kind)) yield { key, value: JSON.parse(text) as unknown }
  }

  put(key: string, value: object): void {
    this.#queue(key, JSON.stringify(value))
  }

  delete(key: string): void {
    this.#queue(key, undefined)
  }

  /** As `flushed()`, in virtual time. Not called back once the process has ended. */
  whenFlushed(done: (isDurable: boolean) => void): void {
    if (this.#state === 'failed') done(false)
    else if (this.#queued.length === 0) done(true)
    else this.#waiting.push(done)
  }

  flushed(): Promise<void> {
    return Promise.resolve()
  }

  /** The process ends: what is queued is lost. */
  close(): Promise<void> {
    this.#end('closed')
    return Promise.resolve()
  }

  #queue(key: string, text: string | undefined): void {
    if (this.#state !== 'open') return
    this.#queued.push({ key, text })
    if (this.#isWriting) return
    if (this.#disk.latencyMs === 0) return this.#write()
    this.#isWriting = true
    this.#world.after(this.#disk.latencyMs, () => {
      this.#isWriting = false
      if (this.#state === 'open') this.#write()
    })
  }

  #write(): void {
    if (this.#disk.isFull) {
      const waiting = this.#waiting
      this.#end('failed')
      for (const done of waiting) done(false)
      return
    }
    for (const { key, text } of this.#queued.splice(0)) {
      if (text === undefined) this.#records.delete(key)
      else this.#records.set(key, text)
    }
    for (const done of this.#waiting.splice(0)) done(true)
  }

  #end(state: 'failed' | 'closed'): void {
    this.#state = state
    this.#queued = []
    this.#waiting = []
  }
}

/** A failed write of a file is retried after this long, ms: RETRY_MS of runtime/node/trust-keeper.ts. */
const RETRY_MS = 10_000
