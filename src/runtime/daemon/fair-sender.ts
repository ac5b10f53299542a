/**
 * All accepted streams of one exposed port share one connection to the daemon, and its commands are executed one after
 * another. They take turns with small Sends, none of which may wait for a slow peer (send-credit.ts).
 * Above: exposed-port.ts. Below: ipc-connection.ts.
 */
import type { DaemonConnection } from './daemon-json.ts'
import type { IpcConnection } from './ipc-connection.ts'
import { SendCredit } from './send-credit.ts'
import { sleep } from './shared.ts'

interface Turn {
  readonly connection: number
  readonly credit: SendCredit
  rest: Uint8Array | undefined
  done: (error?: Error | null) => void
}

export class FairSender {
  readonly #ipc: IpcConnection
  readonly #report: () => Promise<readonly DaemonConnection[]>
  readonly #turns = new Map<number, Turn>()
  #ready: Turn[] = [] // those with data to send, least recently served first
  #looking = false

  /** @param report the daemon's `conn_list`, queried on a different connection. */
  constructor(ipc: IpcConnection, report: () => Promise<readonly DaemonConnection[]>) {
    this.#ipc = ipc
    this.#report = report
  }

  add(connection: number): void {
    this.#turns.set(connection, { connection, credit: new SendCredit(), rest: undefined, done: () => {} })
  }

  /** One at a time per stream. The bytes must not change until `done`. */
  send(connection: number, bytes: Uint8Array, done: (error?: Error | null) => void): void {
    const turn = this.#turns.get(connection)
    if (turn === undefined) return done()
    turn.rest = bytes
    turn.done = done
    this.#ready.push(turn)
    this.#pump()
  }

  /** Its unsent data is dropped. */
  remove(connection: number): void {
    const turn = this.#turns.get(connection)
    this.#turns.delete(connection)
    if (turn?.rest === undefined) return
    turn.rest = undefined
    turn.done()
  }

  #pump(): void {
    let waiting: Turn[] = []
    while (this.#ready.length > 0 && this.#ipc.backlogBytes < BACKLOG_BYTES) {
      const turn = this.#ready.shift()!
      if (turn.rest === undefined) continue // removed
      const bytes = turn.credit.allowance(turn.rest.length)
      if (bytes === 0) waiting.push(turn)
      else this.#speak(turn, turn.rest, bytes)
    }
    if (waiting.length === 0) return
    this.#ready.push(...waiting)
    waiting = []
    if (!this.#looking) void this.#look()
  }

  #speak(turn: Turn, rest: Uint8Array, bytes: number): void {
    turn.credit.onSent(bytes)
    const last = bytes === rest.length
    if (last) turn.rest = undefined
    else {
      turn.rest = rest.subarray(bytes)
      this.#ready.push(turn)
    }
    this.#ipc.send(turn.connection, last ? rest : rest.subarray(0, bytes), (error) => {
      if (last) turn.done(error)
      this.#pump()
    })
  }

  /** While a stream waits for credit: queries what has been acknowledged. */
  async #look(): Promise<void> {
    this.#looking = true
    let pause = FIRST_LOOK_MS
    while (this.#ready.length > 0 && !this.#ipc.closed) {
      const before = this.#ready.length
      try {
        this.#onReport(await this.#report())
      } catch {
        break // the daemon is gone, and so is this connection
      }
      this.#pump()
      pause = this.#ready.length < before ? FIRST_LOOK_MS : Math.min(2 * pause, LAST_LOOK_MS)
      await sleep(pause)
    }
    this.#looking = false
  }

  #onReport(connections: readonly DaemonConnection[]): void {
    const now = performance.now()
    for (const { id, bytesSent, unackedBytes, peerWindowBytes } of connections) {
      this.#turns.get(id)?.credit.onReport(bytesSent - unackedBytes, peerWindowBytes, now)
    }
  }
}

/** In this process, on top of what the kernel holds of a Unix socket. */
const BACKLOG_BYTES = 65_536
const FIRST_LOOK_MS = 5
const LAST_LOOK_MS = 200
