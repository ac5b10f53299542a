/**
 * The node's one UDP socket: a DatagramPort by node:dgram. Neighbours: node/driver.ts above, the operating system
 * below. Sends are synchronous if the kernel accepts them immediately, so that one buffer serves all datagrams.
 */
import { createSocket } from 'node:dgram'
import type { RemoteInfo, Socket } from 'node:dgram'
import type { Endpoint } from '../../base/types.ts'
import { formatEndpoint } from '../../base/types.ts'
import { AEAD_TAG_BYTES } from '../../crypto/aead.ts'
import type { DatagramSlot } from '../../proto/node/datagram-slot.ts'
import { createSlot, readNonce, sealSlot } from '../../proto/node/datagram-slot.ts'
import { YoungGarbage } from '../v8/young-garbage.ts'
import type { DatagramPort, DatagramSink, Received } from './datagram-port.ts'
import { SOCKET_BUFFER_BYTES } from './datagram-port.ts'
import { listenError } from './listen-error.ts'

export class UdpSocket implements DatagramPort {
  readonly kind = 'node'
  readonly local: Endpoint
  readonly receiveBufferBytes: number
  readonly slots = [createSlot()] // node:dgram takes no more at once, and one slot stays in the cache
  readonly #socket: Socket
  readonly #v6: boolean
  sendErrors = 0
  #waiting = 0 // datagrams that the kernel had not taken at the last check
  readonly #garbage = new YoungGarbage()

  private constructor(socket: Socket, v6: boolean) {
    this.#socket = socket
    this.#v6 = v6
    const { address, port } = socket.address()
    this.local = { address, port }
    this.receiveBufferBytes = enlarge(socket)
  }

  /** @throws PilotError PORT_IN_USE, ADDRESS_UNAVAILABLE or PORT_FORBIDDEN. */
  static async open(listen: Endpoint, sink: Pick<DatagramSink, 'onBatch'>): Promise<UdpSocket> {
    const v6 = listen.address.includes(':')
    const socket = createSocket({
      type: v6 ? 'udp6' : 'udp4',
      // Only literal addresses come here; the default look-up would postpone every send to a later tick.
      lookup: (address, _options, callback) => callback(null, address, v6 ? 6 : 4),
    })
    await new Promise<void>((resolve, reject) => {
      socket.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, 'UDP', formatEndpoint(listen))))
      socket.bind(listen.port, listen.address, resolve)
    })
    socket.removeAllListeners('error')
    const batch: Received[] = []
    const self = new UdpSocket(socket, v6)
    socket.on('message', (bytes: Uint8Array, source: RemoteInfo) => {
      if (source.port === 0) return // forged: no one can be reached there, and node:dgram would throw
      const from =
        v6 && source.address.startsWith('::ffff:') ? { address: source.address.slice(7), port: source.port } : source
      if (bytes.length >= APART_BYTES) self.#garbage.add(2 * bytes.length) // and the packet inside
      batch[0] = { bytes, source: from, opened: undefined }
      sink.onBatch(batch, 1)
    })
    socket.on('error', () => {
      self.sendErrors += 1
    })
    return self
  }

  send(batch: readonly DatagramSlot[], count: number): void {
    for (let i = 0; i < count; i++) this.#sendOne(batch[i]!)
    batch[count - 1]?.key?.prepare()
    this.#garbage.collect()
  }

  /** Read for each datagram, so node:dgram is queried only if the last one had to wait. */
  get backlog(): number {
    if (this.#waiting > 0) this.#waiting = this.#socket.getSendQueueCount()
    return this.#waiting
  }

  #sendOne(slot: DatagramSlot): void {
    let { address } = slot.endpoint
    const { port } = slot.endpoint
    if (port === 0 || address === '') return // nowhere: a beacon whose name does not resolve yet
    const isV6 = address.includes(':')
    if (isV6 && !this.#v6) return // unreachable from an IPv4 socket
    if (!isV6 && this.#v6) address = `::ffff:${address}`
    if (slot.key !== undefined && slot.length >= APART_BYTES) {
      this.#garbage.add(2 * slot.length) // the ciphertext, and what the local program wrote
      this.#socket.send(sealedApart(slot), port, address)
    } else {
      sealSlot(slot)
      this.#socket.send(slot.buffer, 0, slot.length, port, address)
    }
    this.#waiting = this.#socket.getSendQueueCount()
    if (this.#waiting > 0) slot.buffer = new Uint8Array(slot.buffer.length) // the kernel did not accept it immediately
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()))
  }
}

/** Header, ciphertext and tag as separate pieces: copying them together would cost more than a list. */
function sealedApart(slot: DatagramSlot): Uint8Array[] {
  const { buffer, sealFrom, length } = slot
  readNonce(slot, nonce, aad)
  const pieces = [buffer.subarray(0, sealFrom)]
  slot.key!.sealApart(nonce, aad, buffer.subarray(sealFrom, length - AEAD_TAG_BYTES), pieces)
  return pieces
}

const nonce = new Uint8Array(12) // scratch of one call
const aad = new Uint8Array(4)

function enlarge(socket: Socket): number {
  try {
    socket.setRecvBufferSize(SOCKET_BUFFER_BYTES)
    socket.setSendBufferSize(SOCKET_BUFFER_BYTES)
  } catch {
    /* the system's limit applies; the size read next shows it */
  }
  return socket.getRecvBufferSize()
}

/** From this size on a copy costs more than a list of pieces. */
const APART_BYTES = 16_384
