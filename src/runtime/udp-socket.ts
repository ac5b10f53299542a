/**
 * The node's one UDP socket. Neighbours: driver.ts above, the operating system below.
 * Sends are synchronous where the kernel takes them at once, so that one buffer serves all datagrams.
 */
import { createSocket } from 'node:dgram'
import type { RemoteInfo, Socket } from 'node:dgram'
import { PilotError } from '../base/errors.ts'
import type { Endpoint } from '../base/types.ts'
import { formatEndpoint } from '../base/types.ts'
import type { DatagramSlot } from '../proto/node/events.ts'

export class UdpSocket {
  readonly local: Endpoint
  /** Bytes the kernel holds for us before it drops; what the segments we accept are measured by. */
  readonly receiveBufferBytes: number
  readonly #socket: Socket
  readonly #v6: boolean
  sendErrors = 0

  private constructor (socket: Socket, v6: boolean) {
    this.#socket = socket
    this.#v6 = v6
    const { address, port } = socket.address()
    this.local = { address, port }
    this.receiveBufferBytes = enlarge(socket)
  }

  /** @throws PilotError PORT_IN_USE, ADDRESS_UNAVAILABLE or PORT_FORBIDDEN. */
  static async open (listen: Endpoint, onDatagram: (bytes: Uint8Array, source: Endpoint) => void): Promise<UdpSocket> {
    const v6 = listen.address.includes(':')
    const socket = createSocket({
      type: v6 ? 'udp6' : 'udp4',
      // Only literal addresses come here; the default look-up would put every send off to a later tick.
      lookup: (address, _options, callback) => callback(null, address, v6 ? 6 : 4),
    })
    await new Promise<void>((resolve, reject) => {
      socket.once('error', (error: NodeJS.ErrnoException) => reject(bindError(error, listen)))
      socket.bind(listen.port, listen.address, resolve)
    })
    socket.removeAllListeners('error')
    socket.on('message', (bytes: Uint8Array, source: RemoteInfo) => {
      if (source.port === 0) return // nobody can be answered there: forged, and node:dgram throws at the attempt
      onDatagram(bytes, v6 && source.address.startsWith('::ffff:') ? { address: source.address.slice(7), port: source.port } : source)
    })
    const self = new UdpSocket(socket, v6)
    socket.on('error', () => { self.sendErrors += 1 })
    return self
  }

  /** Sends slot.buffer[0, slot.length). The slot gets another buffer when the kernel did not take this one at once. */
  send (slot: DatagramSlot): void {
    let { address } = slot.endpoint
    if (slot.endpoint.port === 0 || address === '') return // nowhere: a beacon whose name does not resolve yet
    const isV6 = address.includes(':')
    if (isV6 && !this.#v6) return // no way to there from an IPv4 socket
    if (!isV6 && this.#v6) address = `::ffff:${address}`
    this.#socket.send(slot.buffer, 0, slot.length, slot.endpoint.port, address)
    if (this.#socket.getSendQueueCount() > 0) slot.buffer = new Uint8Array(slot.buffer.length)
  }

  /** Datagrams waiting for the kernel: a reason to stop making more. */
  get backlog (): number { return this.#socket.getSendQueueCount() }

  close (): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()))
  }
}

function enlarge (socket: Socket): number {
  try {
    socket.setRecvBufferSize(SOCKET_BUFFER_BYTES)
    socket.setSendBufferSize(SOCKET_BUFFER_BYTES)
  } catch { /* the system's limit stands; the size read next tells */ }
  return socket.getRecvBufferSize()
}

function bindError (error: NodeJS.ErrnoException, listen: Endpoint): PilotError {
  const where = `UDP ${formatEndpoint(listen)}`
  switch (error.code) {
    case 'EADDRINUSE': return new PilotError('PORT_IN_USE', `${where} is in use`, { listen: where }, error)
    case 'EADDRNOTAVAIL': return new PilotError('ADDRESS_UNAVAILABLE', `${where}: this machine has no such address`, { listen: where }, error)
    case 'EACCES': return new PilotError('PORT_FORBIDDEN', `${where}: binding it is not permitted`, { listen: where }, error)
    default: return new PilotError('FAILED', `${where}: ${error.message}`, { listen: where }, error)
  }
}

const SOCKET_BUFFER_BYTES = 4 * 1_048_576
