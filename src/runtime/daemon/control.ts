/**
 * The permanent connection: identifies the daemon, checks that it is alive, and reconnects when it comes back. Streams
 * and ports have their own connections, which end on their own when the daemon stops.
 */
import { PilotError } from '../../base/errors.ts'
import type { DaemonInfo } from './daemon-json.ts'
import type { IpcEvents } from './ipc-connection.ts'
import { IpcConnection } from './ipc-connection.ts'
import { askInfo } from './shared.ts'

export interface ControlEvents {
  onLost(reason: string): void
  onBack(info: DaemonInfo): void
  readonly onMessage: IpcEvents['onMessage']
}

export class DaemonControl {
  readonly #socket: string
  readonly #events: ControlEvents
  #ipc: IpcConnection | undefined
  #info!: DaemonInfo
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  since = new Date()

  private constructor(socket: string, events: ControlEvents) {
    this.#socket = socket
    this.#events = events
  }

  /** @throws PilotError DAEMON_UNREACHABLE. */
  static async open(socket: string, events: ControlEvents): Promise<DaemonControl> {
    const control = new DaemonControl(socket, events)
    await control.#connect()
    return control
  }

  get connected(): boolean {
    return this.#ipc !== undefined
  }
  /** As of the last query. */
  get info(): DaemonInfo {
    return this.#info
  }

  /** @throws PilotError DAEMON_UNREACHABLE. */
  get ipc(): IpcConnection {
    if (this.#ipc === undefined)
      throw new PilotError('DAEMON_UNREACHABLE', `the daemon behind ${this.#socket} is away`, { socket: this.#socket })
    return this.#ipc
  }

  /** Asks now. @throws PilotError DAEMON_UNREACHABLE. */
  async refresh(): Promise<DaemonInfo> {
    this.#info = await askInfo(this.ipc, ANSWER_MS)
    return this.#info
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#ipc?.destroy()
  }

  async #connect(): Promise<void> {
    const ipc = await IpcConnection.open(this.#socket, {
      onMessage: (message) => this.#events.onMessage(message),
      onSendError: () => {},
      onClose: (reason) => this.#onClose(ipc, reason),
    })
    try {
      this.#info = await askInfo(ipc, ANSWER_MS)
    } catch (error) {
      ipc.destroy()
      throw error instanceof PilotError
        ? error
        : new PilotError(
            'DAEMON_UNREACHABLE',
            `what answers on ${this.#socket} is not a pilot daemon`,
            { socket: this.#socket },
            error,
          )
    }
    if (this.#stopped) return ipc.destroy()
    this.#ipc = ipc
    this.since = new Date()
    this.#lookLater()
  }

  #lookLater(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      // A missing answer closes the connection, which is handled there.
      this.refresh().then(
        () => this.#lookLater(),
        () => {},
      )
    }, LOOK_MS)
  }

  #onClose(ipc: IpcConnection, reason: string): void {
    if (this.#ipc !== ipc) return // it had not begun
    this.#ipc = undefined
    clearTimeout(this.#timer)
    if (this.#stopped) return
    this.since = new Date()
    this.#events.onLost(reason)
    this.#reconnect(0)
  }

  #reconnect(attempt: number): void {
    this.#timer = setTimeout(
      () => {
        this.#connect().then(
          () => {
            if (this.#ipc !== undefined) this.#events.onBack(this.#info)
          },
          () => {
            if (!this.#stopped) this.#reconnect(attempt + 1)
          },
        )
      },
      RECONNECT_MS[Math.min(attempt, RECONNECT_MS.length - 1)]!,
    )
  }
}

const LOOK_MS = 10_000
const ANSWER_MS = 15_000
const RECONNECT_MS: readonly number[] = [100, 250, 500, 1_000, 2_000]
