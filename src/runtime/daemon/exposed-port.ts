/**
 * One of the daemon's overlay ports, bound by us: a separate connection that announces peers and carries their streams.
 * It is bound again when the daemon comes back. Above: daemon-node.ts. Below: ipc-connection.ts, fair-sender.ts.
 */
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { DaemonConnection } from './daemon-json.ts'
import type { IpcMessage } from '../../wire/ipc-messages.ts'
import type { Logger } from '../../base/logger.ts'
import type { Incoming, OverlayStream } from '../overlay.ts'
import { DaemonStream } from './daemon-stream.ts'
import type { StreamCarrier } from './daemon-stream.ts'
import { FairSender } from './fair-sender.ts'
import { Inbox } from './inbox.ts'
import { DaemonRefusal, IpcConnection } from './ipc-connection.ts'
import type { DaemonShare } from './shared.ts'
import { sleep } from './shared.ts'

export interface ExposedPortDeps {
  readonly share: DaemonShare
  readonly log: Logger
  readonly report: () => Promise<readonly DaemonConnection[]>
  readonly nameOf: (node: NodeId) => string
  readonly onIncoming: (incoming: Incoming) => void
  readonly onStream: (stream: DaemonStream) => void
}

export class ExposedPort {
  readonly #port: number
  readonly #deps: ExposedPortDeps
  #link: PortLink | undefined
  #closed = false

  private constructor(port: number, deps: ExposedPortDeps) {
    this.#port = port
    this.#deps = deps
  }

  /** @throws PilotError PORT_IN_USE, DAEMON_UNREACHABLE. */
  static async open(port: number, deps: ExposedPortDeps): Promise<ExposedPort> {
    const exposed = new ExposedPort(port, deps)
    await exposed.#bind()
    return exposed
  }

  /** No new peers; open streams continue, and the daemon keeps the port until the last one has ended. */
  close(): void {
    this.#closed = true
    this.#link?.retire()
  }

  async #bind(): Promise<void> {
    const link = await PortLink.open(this.#port, this.#deps, () => {
      this.#link = undefined
      if (!this.#closed) void this.#bindAgain()
    })
    this.#link = link
    if (this.#closed) link.retire()
  }

  async #bindAgain(): Promise<void> {
    let told = ''
    for (let attempt = 0; !this.#closed; attempt++) {
      await sleep(BIND_AGAIN_MS[Math.min(attempt, BIND_AGAIN_MS.length - 1)]!)
      try {
        await this.#bind()
        if (attempt > 0) this.#deps.log.info({ port: this.#port }, 'the exposed port is bound again')
        return
      } catch (error) {
        const { message } = error as Error
        if (message !== told)
          this.#deps.log.warn(
            { port: this.#port, reason: message },
            'an exposed port could not be bound again; retrying',
          )
        told = message
      }
    }
  }
}

/** One instance of that connection. */
class PortLink {
  readonly #port: number
  readonly #deps: ExposedPortDeps
  readonly #accepted = new Map<number, Accepted>()
  /** Pushed before its Accept: their order is not defined (ipc.md §2.1). */
  readonly #strays = new Map<number, Inbox>()
  /**
   * Closed by us: anything that still comes for these is dropped. A daemon numbers its streams upwards and reuses none.
   */
  readonly #done = new Set<number>()
  #ipc!: IpcConnection
  #sender!: FairSender
  #retired = false

  private constructor(port: number, deps: ExposedPortDeps) {
    this.#port = port
    this.#deps = deps
  }

  static async open(port: number, deps: ExposedPortDeps, onClose: () => void): Promise<PortLink> {
    const link = new PortLink(port, deps)
    let bound = false
    const ipc = await IpcConnection.open(deps.share.socket, {
      onMessage: (message) => link.#onMessage(message),
      onSendError: () => {}, // the CloseOK of that ended stream
      onClose: (reason) => {
        link.#onClose(reason)
        if (bound) onClose()
      },
    })
    link.#ipc = ipc
    link.#sender = new FairSender(ipc, deps.report)
    try {
      await ipc.request({ kind: 'bind', port }, BIND_MS)
      bound = true
      return link
    } catch (error) {
      ipc.destroy()
      if (!(error instanceof DaemonRefusal)) throw error
      throw new PilotError('PORT_IN_USE', `overlay port ${port}: the daemon answered: ${error.message}`, { port })
    }
  }

  retire(): void {
    this.#retired = true
    this.#endIfUnused()
  }

  #onMessage(message: IpcMessage): void {
    if (message.kind === 'accept') this.#onAccept(message.connection, message.remote.node, message.remotePort)
    else if (message.kind === 'recv') this.#inboxOf(message.connection)?.push(message.data)
    else if (message.kind === 'close_ok') this.#inboxOf(message.connection)?.end()
  }

  #inboxOf(connection: number): Inbox | undefined {
    const known = this.#accepted.get(connection)?.inbox ?? this.#strays.get(connection)
    if (known !== undefined || this.#done.has(connection)) return known
    if (this.#strays.size >= MAX_STRAYS) {
      const [oldest, inbox] = this.#strays.entries().next().value!
      inbox.clear()
      this.#strays.delete(oldest)
    }
    const stray = new Inbox(this.#deps.share.budget)
    this.#strays.set(connection, stray)
    return stray
  }

  #onAccept(connection: number, peer: NodeId, remotePort: number): void {
    const inbox = this.#strays.get(connection) ?? new Inbox(this.#deps.share.budget)
    this.#strays.delete(connection)
    const accepted = new Accepted(connection, inbox, this.#deps.share, this.#ipc, this.#sender, () =>
      this.#remove(connection),
    )
    this.#accepted.set(connection, accepted)
    if (this.#retired) return accepted.close()
    const { log, nameOf, onStream } = this.#deps
    const peerName = nameOf(peer)
    const port = this.#port
    const about = {
      peer,
      peerName,
      localPort: port,
      remotePort,
      dialled: false,
      onHeldTooLong: () => log.warn({ peer: peerName, port }, 'a half-closed stream was closed'),
    }
    this.#deps.onIncoming(
      new DaemonIncoming(accepted, peer, peerName, port, () => {
        const stream = new DaemonStream(accepted, about)
        onStream(stream)
        return stream
      }),
    )
  }

  #remove(connection: number): void {
    this.#accepted.delete(connection)
    this.#done.add(connection)
    if (this.#done.size > MAX_DONE) this.#done.delete(this.#done.values().next().value!)
    this.#endIfUnused()
  }

  #endIfUnused(): void {
    if (this.#retired && this.#accepted.size === 0) this.#ipc.end()
  }

  #onClose(reason: string): void {
    for (const { inbox } of this.#accepted.values()) inbox.fail('DAEMON_UNREACHABLE', reason)
    for (const inbox of this.#strays.values()) inbox.clear()
    this.#strays.clear()
  }
}

class Accepted implements StreamCarrier {
  readonly connection: number
  readonly inbox: Inbox
  readonly #share: DaemonShare
  readonly #ipc: IpcConnection
  readonly #sender: FairSender
  readonly #onClosed: () => void
  readonly #since = performance.now()
  #closed = false

  constructor(
    connection: number,
    inbox: Inbox,
    share: DaemonShare,
    ipc: IpcConnection,
    sender: FairSender,
    onClosed: () => void,
  ) {
    this.connection = connection
    this.inbox = inbox
    this.#share = share
    this.#ipc = ipc
    this.#sender = sender
    this.#onClosed = onClosed
    sender.add(connection)
  }

  send(bytes: Uint8Array, done: (error?: Error | null) => void): void {
    this.#sender.send(this.connection, bytes, done)
  }

  async whenAcknowledged(bytesSent: number): Promise<void> {
    await this.#share.whenAcknowledged(this.#ipc, this.connection, bytesSent)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#sender.remove(this.connection)
    // Its reader must learn of the end even though nothing more comes for it.
    this.inbox.end()
    setTimeout(
      () => {
        this.#ipc.say({ kind: 'close', connection: this.connection })
        this.#onClosed()
      },
      Math.max(0, MIN_LIFE_MS - (performance.now() - this.#since)),
    )
  }
}

/** A daemon has already answered the peer when it notifies us: a refusal can only end the stream. */
class DaemonIncoming implements Incoming {
  readonly peer: NodeId
  readonly peerName: string
  readonly port: number
  readonly #accepted: Accepted
  readonly #open: () => OverlayStream

  constructor(accepted: Accepted, peer: NodeId, peerName: string, port: number, open: () => OverlayStream) {
    this.peer = peer
    this.peerName = peerName
    this.port = port
    this.#accepted = accepted
    this.#open = open
  }

  /**
   * An end after bytes is a request whose peer has stopped waiting, or a complete one-way transfer; assume the latter.
   */
  get gone(): boolean {
    const { inbox } = this.#accepted
    return inbox.failure !== undefined || (inbox.ended && inbox.bytes === 0)
  }

  accept(): OverlayStream {
    return this.#open()
  }
  refuse(): void {
    this.#accepted.close()
  }
}

/**
 * A dialling daemon polls whether it is connected. If the end comes before it has polled, it keeps waiting until its
 * dial times out after 39 s (observed with the reference daemon), so no stream ends sooner than this.
 */
const MIN_LIFE_MS = 250
const BIND_MS = 10_000
const BIND_AGAIN_MS: readonly number[] = [100, 250, 500, 1_000, 2_000]
/** Streams with pushed data that are not announced yet; a daemon's accept queue holds as many (stream.md Q23). */
const MAX_STRAYS = 64
/** Ids remembered as closed: longer than any daemon's queue towards us. */
const MAX_DONE = 4_096
