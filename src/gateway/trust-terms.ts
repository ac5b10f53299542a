/**
 * Trust with an end (`trust approve PEER --for 8h`): the end by key, kept on disk so that neither a restart nor a new
 * node id extends it. Above: trust-desk.ts.
 */
import { readFile } from 'node:fs/promises'
import { PilotError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { writeFileAtomically } from '../runtime/files/atomic.ts'

export interface TrustTermsDeps {
  readonly file: string
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** Revokes the trust in the owner of this key, if it is trusted. */
  readonly end: (key: string) => Promise<void>
}

export class TrustTerms {
  readonly #deps: TrustTermsDeps
  readonly #until: Map<string, number> // Unix ms, by key
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  private constructor(deps: TrustTermsDeps, until: Map<string, number>) {
    this.#deps = deps
    this.#until = until
  }

  /**
   * Terms that ended while no gateway was running are revoked immediately. @throws PilotError STATE_UNWRITABLE for a
   * file that cannot be read.
   */
  static async open(deps: TrustTermsDeps): Promise<TrustTerms> {
    const terms = new TrustTerms(deps, await readTerms(deps.file))
    await terms.#endDue()
    return terms
  }

  /** RFC 3339; undefined: without an end. */
  untilOf(key: string): string | undefined {
    const until = this.#until.get(key)
    return until === undefined ? undefined : new Date(until).toISOString()
  }

  /**
   * On disk when it resolves: call it before trust begins, so that a crash cannot make trust permanent. @throws
   * PilotError TOO_MANY, STATE_UNWRITABLE.
   */
  async begin(key: string, forMs: number): Promise<void> {
    if (!this.#until.has(key) && this.#until.size >= MAX_TERMS)
      throw new PilotError(
        'TOO_MANY',
        `trust in ${MAX_TERMS} peers already has an end date; revoke some, or leave out --for`,
      )
    const before = this.#until.get(key)
    this.#until.set(key, Date.now() + forMs)
    try {
      await this.#save()
    } catch (error) {
      if (before === undefined) this.#until.delete(key) // the command failed: what it replaced stays in force
      else this.#until.set(key, before)
      throw error
    }
    this.#arm()
  }

  /** Trust was revoked, or given again without an end. */
  async forget(key: string): Promise<void> {
    if (this.#until.delete(key)) await this.#save()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  async #endDue(): Promise<void> {
    const now = Date.now()
    for (const [key, until] of this.#until) {
      if (until > now) continue
      try {
        await this.#deps.end(key)
        await this.forget(key)
        this.#deps.log.info({ key }, 'trust has expired and was revoked')
      } catch (error) {
        this.#deps.log.error({ key, reason: String(error) }, 'trust has expired, but could not be revoked; retrying')
      }
    }
    this.#arm()
  }

  /** Checks at least every LOOK_MS: timers stop while a machine sleeps, but terms do not. */
  #arm(): void {
    clearTimeout(this.#timer)
    if (this.#stopped || this.#until.size === 0) return
    const next = Math.min(...this.#until.values()) - Date.now()
    this.#timer = setTimeout(() => void this.#endDue(), Math.min(LOOK_MS, Math.max(next, RETRY_MS))).unref()
  }

  async #save(): Promise<void> {
    try {
      await writeFileAtomically(this.#deps.file, `${JSON.stringify(Object.fromEntries(this.#until))}\n`)
    } catch (error) {
      throw new PilotError('STATE_UNWRITABLE', `${this.#deps.file} cannot be written`, { file: this.#deps.file }, error)
    }
  }
}

async function readTerms(file: string): Promise<Map<string, number>> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map()
    throw new PilotError('STATE_UNWRITABLE', `${file} cannot be read`, { file }, error)
  }
  try {
    const entries = Object.entries(JSON.parse(text) as Record<string, unknown>)
    if (entries.every((entry): entry is [string, number] => typeof entry[1] === 'number')) return new Map(entries)
  } catch {}
  // Not knowing when trust ends must not make it permanent.
  throw new PilotError(
    'STATE_UNWRITABLE',
    `${file} is damaged: it records how long peers are trusted`,
    { file },
    undefined,
    'Restore it from a backup, or remove it and revoke the peers whose trust was limited.',
  )
}

/** More than a person ever approves with an end; each costs a line in the file. */
const MAX_TERMS = 1_024
const LOOK_MS = 30_000
/** Between attempts to revoke while the registry or a daemon does not answer; also the shortest timer. */
const RETRY_MS = 1_000
