/** State shared by all connections of one daemon, and their common code. */
import { PilotError } from '../../base/errors.ts'
import { parseDaemonInfo } from './daemon-json.ts'
import type { DaemonInfo } from './daemon-json.ts'
import type { IpcConnection } from './ipc-connection.ts'
import { InboxBudget } from './inbox.ts'

export class DaemonShare {
  readonly socket: string // path
  readonly budget = new InboxBudget()
  /** Streams closed here whose last bytes the peer has not acknowledged. */
  lingering = 0

  constructor(socket: string) {
    this.socket = socket
  }

  /**
   * A daemon sends its FIN once and retransmits nothing after it (stream.md §5.1), so everything must be acknowledged
   * before a Close. Queried on the stream's own connection: commands run in order, so the answer is newer than every
   * Send before it.
   */
  async whenAcknowledged(ipc: IpcConnection, connection: number, bytesSent: number): Promise<void> {
    this.lingering += 1
    try {
      const until = performance.now() + ACKNOWLEDGE_MS
      for (let pause = FIRST_LOOK_MS; performance.now() < until; pause = Math.min(2 * pause, LAST_LOOK_MS)) {
        const entry = (await askInfo(ipc, ACKNOWLEDGE_MS)).connections.find(({ id }) => id === connection)
        if (entry === undefined || entry.state !== 'ESTABLISHED') return // nothing is retransmitted any more
        if (entry.bytesSent >= bytesSent && entry.unackedBytes === 0) return
        await sleep(pause)
      }
    } finally {
      this.lingering -= 1
    }
  }
}

/** @throws PilotError DAEMON_UNREACHABLE if there is no answer, or it cannot be parsed. */
export async function askInfo(ipc: IpcConnection, timeoutMs: number): Promise<DaemonInfo> {
  const message = await ipc.request({ kind: 'query', query: 'info', body: NOTHING }, timeoutMs)
  const info = message.kind === 'json' ? parseDaemonInfo(message.text) : 'malformed'
  if (info === 'malformed')
    throw new PilotError('DAEMON_UNREACHABLE', 'what answers on the socket is not a pilot daemon')
  return info
}

export async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

const NOTHING = new Uint8Array(0)

/**
 * Longer than a daemon tries to deliver one segment (8 transmissions, 3 to 6 s) with a window that opens in the
 * meantime.
 */
const ACKNOWLEDGE_MS = 30_000
const FIRST_LOOK_MS = 5
const LAST_LOOK_MS = 200
