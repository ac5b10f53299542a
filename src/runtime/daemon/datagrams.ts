/**
 * Datagrams through a daemon. It pushes each incoming one to all its clients, so they are received on the control
 * connection and distinguished by port. It chooses the port that it sends from, so an answer cannot come back to the
 * port that we sent "from".
 */
import { formatAddress } from '../../base/address.ts'
import { asPilotError, PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import { EPHEMERAL_COUNT, EPHEMERAL_FIRST } from '../../proto/node/constants.ts'
import type { IpcMessage } from '../../wire/ipc-messages.ts'
import type { OverlayDatagrams } from '../overlay.ts'
import { dialError } from './dialled.ts'
import { IpcConnection, NO_EVENTS } from './ipc-connection.ts'

type OnDatagram = (bytes: Uint8Array, from: NodeId, sourcePort: number) => void

export class DaemonDatagrams {
  readonly #socket: string
  readonly #resolve: (peer: string) => Promise<NodeId>
  readonly #ports = new Map<number, OnDatagram>()
  #link: Promise<IpcConnection> | undefined
  #sending: Promise<unknown> = Promise.resolve()
  #refused = ''

  constructor(socket: string, resolve: (peer: string) => Promise<NodeId>) {
    this.#socket = socket
    this.#resolve = resolve
  }

  /** @throws PilotError PORT_IN_USE. */
  open(wanted: number | undefined, onDatagram: OnDatagram): OverlayDatagrams {
    const port = wanted ?? this.#free()
    if (this.#ports.has(port))
      throw new PilotError('PORT_IN_USE', `overlay port ${port} already takes datagrams`, { port })
    this.#ports.set(port, onDatagram)
    const send = async (peer: string, toPort: number, bytes: Uint8Array): Promise<void> => {
      if (bytes.length > MAX_BYTES)
        throw new PilotError('DATAGRAM_TOO_LARGE', `${bytes.length} bytes do not fit into one packet`)
      const node = await this.#resolve(peer)
      const sending = this.#sending.then(() => this.#send(node, peer, toPort, bytes))
      this.#sending = sending.catch(() => {})
      await sending
    }
    return {
      keepsSourcePort: false,
      send,
      sendTo: (node, toPort, bytes, onDropped) => {
        send(formatAddress({ network: 0, node }), toPort, bytes).catch((error: unknown) =>
          onDropped(asPilotError(error)),
        )
      },
      close: () => this.#ports.delete(port),
    }
  }

  /**
   * Datagrams leave from a port chosen by the daemon, so nothing is sent to this one on purpose: the first free port is
   * fine.
   */
  #free(): number {
    for (let port = EPHEMERAL_FIRST; port < EPHEMERAL_FIRST + EPHEMERAL_COUNT; port++)
      if (!this.#ports.has(port)) return port
    throw new PilotError('TOO_MANY', 'all overlay ports for datagrams are in use')
  }

  onMessage(message: IpcMessage): void {
    if (message.kind === 'recv_from')
      this.#ports.get(message.port)?.(message.data, message.source.node, message.sourcePort)
  }

  stop(): void {
    void this.#link?.then(
      (ipc) => ipc.destroy(),
      () => {},
    )
  }

  /** A SendTo has no answer except an error, so a query after it shows that it was executed. */
  async #send(node: NodeId, peer: string, port: number, data: Uint8Array): Promise<void> {
    this.#link ??= IpcConnection.open(this.#socket, {
      ...NO_EVENTS,
      onSendError: (text) => {
        this.#refused = text
      },
      onClose: () => {
        this.#link = undefined
      },
    })
    try {
      const ipc = await this.#link
      this.#refused = ''
      ipc.say({ kind: 'send_to', address: { network: 0, node }, port, data })
      await ipc.request({ kind: 'query', query: 'health', body: new Uint8Array(0) }, SEND_MS)
    } catch (error) {
      this.#link = undefined
      throw error
    }
    if (this.#refused !== '') throw dialError(this.#refused, `${peer} (${formatAddress({ network: 0, node })})`, port)
  }
}

/** What fits into a UDP packet with the overhead of tunnel and relay. */
const MAX_BYTES = 65_000
/** It may have to find the peer first. */
const SEND_MS = 45_000
