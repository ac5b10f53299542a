/**
 * Keeps places.json up to date with the addresses of trusted peers. Checked every few seconds: a crash loses only the
 * most recent moves, which the registry usually knows. Above: node/node.ts. Beside: ../files/places.ts, which reads it.
 */
import type { Logger } from '../../base/logger.ts'
import type { PlacesFile } from '../../wire/places-file.ts'
import { formatPlacesFile } from '../../wire/places-file.ts'
import { writeFileAtomically } from '../files/atomic.ts'

export class PlacesKeeper {
  readonly #path: string | undefined
  readonly #present: () => PlacesFile
  readonly #log: Logger
  readonly #timer: NodeJS.Timeout
  #onDisk = ''
  #writing: Promise<void> | undefined
  #isFailing = false

  /** @param path undefined: nothing is kept. */
  constructor(path: string | undefined, present: () => PlacesFile, log: Logger) {
    this.#path = path
    this.#present = present
    this.#log = log
    this.#timer = setInterval(() => void this.#keepUp(), KEEP_MS).unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#writing
    await this.#keepUp()
  }

  async #keepUp(): Promise<void> {
    const path = this.#path
    const file = this.#present()
    const text = formatPlacesFile(file)
    // No file is created until there is a peer to remember.
    if (path === undefined || this.#writing !== undefined || text === this.#onDisk) return
    if (file.places.length === 0 && this.#onDisk === '') return
    this.#writing = writeFileAtomically(path, text)
      .then(() => this.#onWritten(text))
      .catch((error: unknown) => this.#onFailed(path, error))
    await this.#writing
    this.#writing = undefined
  }

  #onWritten(text: string): void {
    this.#onDisk = text
    this.#isFailing = false
  }

  #onFailed(path: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error)
    if (!this.#isFailing)
      this.#log.warn({ path, reason, code: 'STATE_UNWRITABLE' }, 'cannot save the addresses of peers; retrying')
    this.#isFailing = true
  }
}

/** Most of the time nothing has changed, and nothing is written. */
const KEEP_MS = 3_000
