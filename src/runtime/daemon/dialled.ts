/** A stream that we open, on its own connection to the daemon, so that its waits do not block others. */
import type { OverlayAddress } from '../../base/address.ts'
import { PilotError } from '../../base/errors.ts'
import type { ErrorCode } from '../../base/errors.ts'
import type { GivingUp } from '../giving-up.ts'
import { DaemonRefusal, IpcConnection } from './ipc-connection.ts'
import { Inbox } from './inbox.ts'
import type { DaemonShare } from './shared.ts'
import type { StreamCarrier } from './daemon-stream.ts'

export class Dialled implements StreamCarrier {
  connection = 0
  readonly inbox: Inbox
  readonly #share: DaemonShare
  #ipc!: IpcConnection
  #closed = false
  #lastWord: NodeJS.Timeout | undefined

  private constructor(share: DaemonShare) {
    this.#share = share
    this.inbox = new Inbox(share.budget)
  }

  /**
   * A daemon's dial cannot be cancelled: an abort abandons it, and it times out in the daemon.
   * @param label How the peer is named in errors.
   * @throws PilotError CONNECTION_REFUSED, PEER_UNREACHABLE, NOT_FOUND, NOT_TRUSTED, DAEMON_UNREACHABLE, FAILED if
   *   aborted.
   */
  static async dial(
    share: DaemonShare,
    address: OverlayAddress,
    port: number,
    label: string,
    signal?: GivingUp,
  ): Promise<Dialled> {
    const dialled = new Dialled(share)
    const aborted = (): boolean => signal?.aborted ?? false
    const giveUp = new PilotError('FAILED', `${label}:${port}: abandoned by the caller`)
    if (aborted()) throw giveUp
    const ipc = await IpcConnection.open(share.socket, dialled.#events())
    const abort = (): void => ipc.destroy()
    dialled.#ipc = ipc
    signal?.addEventListener('abort', abort, { once: true })
    if (aborted()) abort()
    try {
      const answer = await ipc.request({ kind: 'dial', address, port }, DIAL_MS)
      if (answer.kind === 'dial_ok') dialled.connection = answer.connection
      return dialled
    } catch (error) {
      ipc.destroy()
      if (aborted()) throw giveUp
      throw error instanceof DaemonRefusal ? dialError(error.message, label, port) : error
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  send(bytes: Uint8Array, done: (error?: Error | null) => void): void {
    if (bytes.length <= PIECE_BYTES) return this.#ipc.send(this.connection, bytes, done)
    const rest = bytes.subarray(PIECE_BYTES)
    this.#ipc.send(this.connection, bytes.subarray(0, PIECE_BYTES), (error) => {
      if (error) done(error)
      else this.send(rest, done)
    })
  }

  async whenAcknowledged(bytesSent: number): Promise<void> {
    await this.#share.whenAcknowledged(this.#ipc, this.connection, bytesSent)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#ipc.say({ kind: 'close', connection: this.connection })
    this.#ipc.end()
    this.#lastWord = setTimeout(() => this.#ipc.destroy(), LAST_WORD_MS)
  }

  /** Everything pushed here is for our stream, even before we know its number. */
  #events() {
    return {
      onMessage: (message: { readonly kind: string; readonly data?: Uint8Array }): void => {
        if (message.kind === 'recv' && !this.#closed) this.inbox.push(message.data!)
        else if (message.kind === 'close_ok') this.inbox.end()
      },
      onSendError: (): void => {
        // The stream has ended; a CloseOK follows its last byte. If it does not, we end it ourselves.
        this.#lastWord ??= setTimeout(() => this.inbox.end(), LAST_WORD_MS)
      },
      onClose: (reason: string): void => {
        clearTimeout(this.#lastWord)
        if (this.#closed) this.inbox.end()
        else this.inbox.fail('DAEMON_UNREACHABLE', reason)
      },
    }
  }
}

/** A daemon gives the reason only as text (ipc.md §2.1). */
export function dialError(text: string, label: string, port: number): PilotError {
  const where = port === 0 ? label : `${label}:${port}`
  const code = DIAL_ERRORS.find(([pattern]) => pattern.test(text))?.[1] ?? 'PEER_UNREACHABLE'
  return new PilotError(code, `${where}: the daemon answered: ${text}`, { peer: label, port })
}

const DIAL_ERRORS: ReadonlyArray<readonly [RegExp, ErrorCode]> = [
  [/refused/i, 'CONNECTION_REFUSED'],
  // A registry reveals no more to a node that a private one does not trust.
  [
    /trust|not authorized|denied|private|not permitted|forbidden|^resolve node \d+: registry: request failed/i,
    'NOT_TRUSTED',
  ],
  [/not found/i, 'NOT_FOUND'],
  [/too many|exhausted|limit/i, 'TOO_MANY'],
  [/registry/i, 'REGISTRY_UNREACHABLE'],
]

/** A daemon gives up after 39 s at most (ipc.md §1). */
const DIAL_MS = 45_000
/** One Send: small enough that a Close after it does not wait long, large enough that its header is negligible. */
const PIECE_BYTES = 65_536
const LAST_WORD_MS = 5_000
