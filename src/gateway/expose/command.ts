/**
 * A process for one connection: the peer's bytes are its standard input, its standard output goes to the peer. Each
 * direction ends on its own; the process ends with the connection. Above: tcp.ts.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { Duplex } from 'node:stream'
import type { Readable, Writable } from 'node:stream'
import type { KnownPeer } from '../model/known-peer.ts'

type Child = ChildProcessByStdio<Writable, Readable, Readable>

/** How a process ended that ended on its own. */
export interface Ended {
  readonly code: number | null // null: by a signal
  readonly signal: string | null
  readonly lastWords: string // the end of its standard error
}

/** @param onEnded unless it was killed here. Rejects if it cannot be started. */
export async function startCommand(
  command: string,
  env: NodeJS.ProcessEnv,
  onEnded: (ended: Ended) => void,
): Promise<CommandPipe> {
  // A group of its own: what it starts ends with it, and a Ctrl+C at our terminal reaches only us.
  const child = spawn('/bin/sh', ['-c', command], { detached: true, stdio: ['pipe', 'pipe', 'pipe'], env })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve).once('error', reject)
  })
  return new CommandPipe(child, onEnded)
}

/** The caller in the environment, under the names of the HTTP headers (docs/http.md). */
export function callerEnvironment(
  { nodeId, address, hostname, key, path }: KnownPeer,
  service: string,
  label: string | undefined,
  own: NodeJS.ProcessEnv,
): NodeJS.ProcessEnv {
  const inherited = Object.entries(own).filter(([name]) => !/^PILOT(GATE)?_/.test(name))
  return {
    ...Object.fromEntries(inherited),
    PILOT_SERVICE: service,
    PILOT_NODE: String(nodeId),
    PILOT_ADDRESS: address,
    ...(hostname !== null && { PILOT_HOSTNAME: hostname }),
    ...(key !== null && { PILOT_KEY: key }),
    ...(path !== null && { PILOT_PATH: path }),
    ...(label !== undefined && { PILOT_LABEL: label }),
  }
}

export class CommandPipe extends Duplex {
  readonly #child: Child
  #hasExited = false // it; what it has started may still hold its output
  #isGone = false
  #lastWords = ''

  constructor(child: Child, onEnded: (ended: Ended) => void) {
    super({ allowHalfOpen: true })
    this.#child = child
    running.add(child)
    child.once('exit', () => {
      this.#hasExited = true
      running.delete(child)
    })
    child.stdout.on('data', (part: Buffer) => {
      if (!this.push(part)) child.stdout.pause()
    })
    child.stdout.once('end', () => this.push(null))
    child.stderr.on('data', (part: Buffer) => {
      this.#lastWords = (this.#lastWords + part.toString('utf8')).slice(-MAX_LAST_WORDS)
    })
    for (const end of [child.stdin, child.stdout, child.stderr]) end.on('error', () => {}) // 'close' follows
    child.once('close', (code, signal) => {
      this.#isGone = true
      if (!this.destroyed) onEnded({ code, signal, lastWords: this.#lastWords.trim() })
    })
  }

  override _read(): void {
    this.#child.stdout.resume()
  }

  /** What the process no longer reads is discarded: a reset would overtake its last output. */
  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#child.stdin.write(chunk, () => done())
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#child.stdin.end()
    done()
  }

  /** Closed only when the process has ended, so that it counts until then. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const patienceMs = error === null && this.readableEnded && this.writableFinished ? PATIENCE_MS : 0
    const child = this.#child
    const end = (): void => {
      kill(child, 'SIGKILL') // what it has left behind in its group
      child.stdout.destroy()
      child.stderr.destroy()
      done(error)
    }
    if (this.#isGone) return done(error)
    if (this.#hasExited) return end()
    const timers = [
      setTimeout(() => kill(child, 'SIGTERM'), patienceMs),
      setTimeout(() => kill(child, 'SIGKILL'), patienceMs + KILL_MS),
    ]
    child.once('exit', () => {
      for (const timer of timers) clearTimeout(timer)
      end()
    })
  }
}

/** The whole group. */
function kill({ pid }: Child, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid!, signal)
  } catch {} // it has just ended
}

/** They must not outlive us, even if they ignore a request to end. */
const running = new Set<Child>()
process.on('exit', () => {
  for (const child of running) kill(child, 'SIGKILL')
})

/** How long a process may run on after both directions have ended, ms. */
const PATIENCE_MS = 5_000
/** Between a request to end and the end, ms. */
const KILL_MS = 2_000
/** Of standard error, characters: enough for the message of a shell or the last lines of a stack. */
const MAX_LAST_WORDS = 1_000
/** Processes of one exposure at a time, unless it has a limit of its own: a peer must not be able to fill the machine. */
export const MAX_PROCESSES = 32
