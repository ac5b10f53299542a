/** One process of the built program, subject to faults: killed, stopped, ended, restarted with the same arguments. */
import { readdirSync, readFileSync } from 'node:fs'
import type { Exit, Program, ProgramEvent } from '../e2e/program.ts'

export interface Resources {
  readonly rssBytes: number
  readonly descriptors: number
  readonly cpuMs: number
}

export class Part {
  readonly name: string
  readonly #spawn: () => Program
  readonly #past: Program[] = []
  #program: Program | undefined
  #mayEnd = false
  peakRssBytes = 0

  constructor(name: string, spawn: () => Program) {
    this.name = name
    this.#spawn = spawn
  }

  get program(): Program {
    if (this.#program === undefined) throw new Error(`${this.name} has not been started`)
    return this.#program
  }

  get isRunning(): boolean {
    return this.#program !== undefined && this.#program.exit === undefined
  }

  /** Resolves with the event `ready`. */
  async start(timeoutMs = READY_MS): Promise<ProgramEvent> {
    this.#mayEnd = false
    if (this.#program !== undefined) this.#past.push(this.#program)
    this.#program = this.#spawn()
    return await this.#program.event('ready', () => true, timeoutMs)
  }

  async kill(): Promise<void> {
    this.#mayEnd = true
    await this.program.kill()
  }

  async restart(): Promise<void> {
    if (this.isRunning) await this.kill()
    await this.start()
  }

  /** Stops it cleanly. @returns how it ended, and after how long. */
  async end(timeoutMs: number): Promise<{ readonly exit: Exit; readonly ms: number }> {
    this.#mayEnd = true
    const beganAt = performance.now()
    this.program.signal('SIGTERM')
    return { exit: await this.program.ended(timeoutMs), ms: performance.now() - beganAt }
  }

  signal(signal: NodeJS.Signals): void {
    this.program.signal(signal)
  }

  /** Ended unexpectedly. */
  get unexpectedExit(): string | undefined {
    const exit = this.#program?.exit
    if (exit === undefined || this.#mayEnd) return undefined
    return `${this.name} ended on its own: ${JSON.stringify(exit)} ${this.program.stderr.slice(-500)}`
  }

  get logLines(): number {
    return [...this.#past, this.program].reduce((sum, { logs }) => sum + logs.length, 0)
  }

  /** Linux only, like the whole laboratory. Undefined: it is not running. */
  resources(): Resources | undefined {
    if (!this.isRunning) return undefined
    const { pid } = this.program
    try {
      const rssBytes = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1_024
      const times = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
      this.peakRssBytes = Math.max(this.peakRssBytes, rssBytes)
      return {
        rssBytes,
        descriptors: readdirSync(`/proc/${pid}/fd`).length,
        cpuMs: (Number(times[11]) + Number(times[12])) * CLOCK_TICK_MS,
      }
    } catch {
      return undefined // it has just ended
    }
  }
}

/** Time to start on a busy machine. */
const READY_MS = 30_000
const CLOCK_TICK_MS = 10 // USER_HZ is 100 on every Linux that runs Node
