/**
 * Keeps the trust file up to date with the core. A decision must survive a crash before its command is answered, so
 * commands await `settled()`. Peers' decisions are written as soon as the core reports them. Above: node/node.ts.
 * Below: ../files/identity.ts.
 */
import { PilotError } from '../../base/errors.ts'
import type { TrustFile } from '../../wire/trust-file.ts'
import { saveTrust } from '../files/identity.ts'
import type { Logger } from '../../base/logger.ts'

/** The core, as far as the trust file is concerned. */
export interface TrustSource {
  /** @returns true once after each change that must be saved. */
  takeTrustChange(): boolean
  trustFile(): TrustFile
}

export class TrustKeeper {
  readonly #path: string | undefined
  readonly #source: TrustSource
  readonly #log: Logger
  readonly #save: typeof saveTrust
  #version = 0 // of trust in memory
  #saved = 0 // the version on disk
  #writing: { readonly version: number; readonly done: Promise<void> } | undefined
  #isFailing = false
  #retry: NodeJS.Timeout | undefined

  /** @param path undefined: nothing is kept, and trust ends with the process. */
  constructor(path: string | undefined, source: TrustSource, log: Logger, save: typeof saveTrust = saveTrust) {
    this.#path = path
    this.#source = source
    this.#log = log
    this.#save = save
  }

  /** Writes what has changed, in the background. A failure is logged, and retried until it succeeds. */
  keepUp(): void {
    this.settled().catch(() => {})
  }

  /**
   * Resolves when every change made before this call is on disk.
   * @throws PilotError STATE_UNWRITABLE: the changes are in force in this process, and would not survive a restart.
   */
  async settled(): Promise<void> {
    if (this.#source.takeTrustChange()) this.#version += 1
    const path = this.#path
    if (path === undefined) return
    const wanted = this.#version
    while (this.#saved < wanted) {
      const { version, done } = (this.#writing ??= this.#write(path))
      // The result of a write that began before the change says nothing about it.
      if (version >= wanted) await done
      else await done.catch(() => {})
    }
  }

  /** No more retries. Unsaved changes are tried once more. */
  async stop(): Promise<void> {
    await this.settled().catch(() => {}) // logged
    clearTimeout(this.#retry)
  }

  #write(path: string): { readonly version: number; readonly done: Promise<void> } {
    const version = this.#version
    clearTimeout(this.#retry)
    const done = this.#save(path, this.#source.trustFile())
      .finally(() => (this.#writing = undefined))
      .then(
        () => this.#onSaved(version),
        (error: unknown) => this.#onFailed(path, error),
      )
    return { version, done }
  }

  #onSaved(version: number): void {
    this.#saved = version
    if (this.#isFailing) this.#log.info({ path: this.#path }, 'trust is saved again')
    this.#isFailing = false
  }

  #onFailed(path: string, cause: unknown): never {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const error = new PilotError(
      'STATE_UNWRITABLE',
      `${path}: trust could not be saved: ${reason}. The change is in force, but a restart would undo it`,
      { path },
      cause,
    )
    if (!this.#isFailing) this.#log.error({ path, code: error.code, reason }, 'cannot save trust; retrying')
    this.#isFailing = true
    this.#retry = setTimeout(() => this.keepUp(), RETRY_MS).unref()
    throw error
  }
}

/** Pause after a failed write before the next attempt: a full disk is not freed within seconds. */
const RETRY_MS = 10_000
