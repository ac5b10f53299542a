/**
 * Tells a program of each arrival: a command that gets the record as JSON on its standard input, or a POST of it. One at a
 * time, in order; it never holds up the messages themselves.
 */
import { spawn } from 'node:child_process'
import type { Logger } from '../../base/logger.ts'
import type { InboxRecord } from './records.ts'

export type Hook = { readonly exec: readonly string[] } | { readonly post: string }

export class Hooks {
  readonly #hook: Hook
  readonly #log: Logger
  readonly #waiting: InboxRecord[] = []
  #isBusy = false
  #dropped = 0

  constructor(hook: Hook, log: Logger) {
    this.#hook = hook
    this.#log = log
  }

  tell(record: InboxRecord): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#dropped += 1
      return
    }
    this.#waiting.push(record)
    if (!this.#isBusy) void this.#work()
  }

  async #work(): Promise<void> {
    this.#isBusy = true
    for (let record = this.#waiting.shift(); record !== undefined; record = this.#waiting.shift()) {
      const fault = await this.#call(record).catch((error: unknown) => String(error))
      if (fault !== undefined)
        this.#log.warn({ id: record.id, reason: fault, dropped: this.#dropped }, 'the hook for messages failed')
    }
    this.#isBusy = false
  }

  /** @returns why it failed. */
  async #call(record: InboxRecord): Promise<string | undefined> {
    if ('exec' in this.#hook) return await run(this.#hook.exec, `${JSON.stringify(record)}\n`)
    let fault = ''
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (attempt > 0) await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref())
      const outcome = await post(this.#hook.post, JSON.stringify(record))
      if (outcome === undefined) return undefined
      fault = outcome.fault
      if (outcome.isFinal) break
    }
    return fault
  }
}

async function post(url: string, body: string): Promise<{ fault: string; isFinal: boolean } | undefined> {
  try {
    const signal = AbortSignal.timeout(POST_MS)
    const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body, signal })
    await response.body?.cancel()
    return response.ok ? undefined : { fault: `it answered ${response.status}`, isFinal: response.status < 500 }
  } catch (error) {
    return { fault: (error as Error).message, isFinal: false }
  }
}

function run([command, ...args]: readonly string[], input: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(command!, args, {
      stdio: ['pipe', 'ignore', 'ignore'],
      timeout: EXEC_MS,
      killSignal: 'SIGKILL',
    })
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(code === 0 ? undefined : `it ended with ${signal ?? String(code)}`))
    child.stdin.on('error', () => {}) // it need not read
    child.stdin.end(input)
  })
}

/** Further ones are not reported; they are in the inbox anyway. */
const MAX_WAITING = 1_000
const EXEC_MS = 60_000
const POST_MS = 5_000
const ATTEMPTS = 3
const RETRY_MS = 1_000
