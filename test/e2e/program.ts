/**
 * One process of the built program: its events (stdout under --json), its log (JSON lines on stderr), its end. Every
 * wait has a timeout and fails with what was seen instead.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** One line of stdout under --json. */
export type ProgramEvent = Readonly<Record<string, unknown>>

/** One line of the log; `level` as in pino: 30 info, 40 warn, 50 error. */
export interface LogLine {
  readonly level: number
  readonly msg: string
  readonly code?: string
  readonly [field: string]: unknown
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ProgramOptions {
  readonly label: string
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  readonly onBytes?: ((bytes: Buffer) => void) | undefined // takes stdout instead of `events`
  readonly uid?: number | undefined // only root may set it
  readonly openFiles?: number | undefined // limit of file descriptors
}

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))
export const MAIN = join(ROOT, 'dist/cli/main.js')

export class Program {
  readonly label: string
  readonly events: ProgramEvent[] = []
  readonly logs: LogLine[] = []
  stdout = ''
  stderr = ''
  exit: Exit | undefined
  readonly #child: ChildProcess
  readonly #watchers = new Set<() => void>()

  constructor(command: string, args: readonly string[], options: ProgramOptions) {
    const { label, cwd, env, onBytes, uid, openFiles } = options
    this.label = label
    // Its own process group: whatever it starts in turn (npm, nginx) ends with it.
    const limited = ['-c', `ulimit -n ${openFiles}; exec "$0" "$@"`, command, ...args]
    this.#child = spawn(openFiles === undefined ? command : 'sh', openFiles === undefined ? args : limited, {
      cwd,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    })
    living.add(this)
    if (onBytes === undefined)
      this.#child.stdout!.setEncoding('utf8').on(
        'data',
        lines(
          (text) => {
            this.stdout += text
          },
          (line) => this.events.push(parse(line) ?? { text: line }),
          () => this.#changed(),
        ),
      )
    else this.#child.stdout!.on('data', onBytes)
    this.#child.stderr!.setEncoding('utf8').on(
      'data',
      lines(
        (text) => {
          this.stderr += text
        },
        (line) => this.#onLogLine(line),
        () => this.#changed(),
      ),
    )
    this.#child.on('error', (error) => this.#onEnd({ code: null, signal: null }, error.message))
    this.#child.on('close', (code, signal) => this.#onEnd({ code, signal }, ''))
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** The first matching event of this name, past or future. */
  async event(
    name: string,
    fits: (event: ProgramEvent) => boolean = () => true,
    timeoutMs = WAIT_MS,
  ): Promise<ProgramEvent> {
    return await this.until(
      () => this.events.find((event) => event['event'] === name && fits(event)),
      `event ${name}`,
      timeoutMs,
    )
  }

  /** The first matching log line, past or future; `from` skips older ones. */
  async log(what: string, fits: (line: LogLine) => boolean, { from = 0, timeoutMs = WAIT_MS } = {}): Promise<LogLine> {
    return await this.until(() => this.logs.slice(from).find(fits), `a log line: ${what}`, timeoutMs)
  }

  /** Checks again on each output of the process until there is a value. */
  async until<T>(look: () => T | undefined, what: string, timeoutMs = WAIT_MS): Promise<T> {
    return await new Promise((resolve, reject) => {
      const check = (): void => {
        const value = look()
        if (value === undefined && this.exit === undefined) return
        clearTimeout(timer)
        this.#watchers.delete(check)
        if (value !== undefined) resolve(value)
        else reject(new Error(`${this.label} ended (${JSON.stringify(this.exit)}) before ${what}\n${this.#story()}`))
      }
      const timer = setTimeout(() => {
        this.#watchers.delete(check)
        reject(new Error(`${this.label}: no ${what} within ${timeoutMs} ms\n${this.#story()}`))
      }, timeoutMs)
      this.#watchers.add(check)
      check()
    })
  }

  async ended(timeoutMs = WAIT_MS): Promise<Exit> {
    return await this.until(() => this.exit, 'end of the process', timeoutMs)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Stops reading its log, like a hung log shipper. Call the result to read on. */
  stallLog(): () => void {
    this.#child.stderr!.pause()
    return () => void this.#child.stderr!.resume()
  }

  /** kill -9, and wait until it is gone. */
  async kill(): Promise<void> {
    this.killNow()
    await this.ended()
  }

  /** The same without waiting, for when the test process itself exits. */
  killNow(): void {
    if (this.exit !== undefined || this.#child.pid === undefined) return
    try {
      process.kill(-this.#child.pid, 'SIGKILL')
    } catch {
      this.#child.kill('SIGKILL') // it has ended and is about to report it
    }
  }

  #onLogLine(line: string): void {
    const entry = parse(line)
    this.logs.push(entry === undefined ? { level: 0, msg: line } : (entry as unknown as LogLine))
  }

  #onEnd(exit: Exit, message: string): void {
    if (this.exit !== undefined) return
    this.stderr += message
    this.exit = exit
    living.delete(this)
    this.#changed()
  }

  #changed(): void {
    for (const check of this.#watchers) check()
  }

  #story(): string {
    return `--- stdout, its end\n${this.stdout.slice(-STORY_CHARS)}--- stderr, its end\n${this.stderr.slice(-STORY_CHARS)}`
  }
}

/** The programs' environment: ours without the variables that would change their behaviour. */
export function cleanEnvironment(home: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(PILOTGATE_|NODE_|XDG_|npm_|(https?|all|no)_proxy$|NO_COLOR$|FORCE_COLOR$)/i.test(name),
  )
  return { ...Object.fromEntries(kept), HOME: home, TMPDIR: home }
}

/** A missing program is a reason to skip a test, never to pass it. Debian keeps servers in sbin. */
export function findProgram(name: string): string | undefined {
  return [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin']
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))
}

/** A chunk reader that passes on the text, then its complete lines, then calls `after`. */
function lines(
  onText: (text: string) => void,
  onLine: (line: string) => void,
  after: () => void,
): (text: string) => void {
  let rest = ''
  return (text) => {
    onText(text)
    const parts = `${rest}${text}`.split('\n')
    rest = parts.pop()!
    for (const part of parts) if (part !== '') onLine(part)
    after()
  }
}

function parse(line: string): ProgramEvent | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as ProgramEvent) : undefined
  } catch {
    return undefined
  }
}

/** Nothing outlives the test process, however it ends: each child is killed by its id. */
const living = new Set<Program>()
process.on('exit', () => {
  for (const program of living) program.killNow()
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

/** Longer than anything that works takes on a slow machine. */
export const WAIT_MS = 15_000
const STORY_CHARS = 4_000
