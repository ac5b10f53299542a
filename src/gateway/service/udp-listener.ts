/**
 * A local UDP address that clients send to. Above: map/udp.ts, fronts/dns.ts.
 *
 * An answer must come from the address that was asked, or the client drops it; but a socket on a wildcard address does
 * not report which one that was (node:dgram has no IP_PKTINFO). So a wildcard becomes one socket per address of this
 * machine, and the list is checked every few seconds. Broadcasts, and loopback addresses that no interface lists
 * (127.0.0.5), are therefore left out.
 */
import { createSocket } from 'node:dgram'
import type { RemoteInfo, Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { PilotError } from '../../base/errors.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { Endpoint } from '../../base/types.ts'
import { interfaceAddresses } from '../../runtime/net/interfaces.ts'
import { listenError } from '../../runtime/net/listen-error.ts'

/** The socket for an answer to a client. */
export interface Via {
  readonly key: string // distinguishes the addresses of a wildcard
  /** It owns the bytes from now on. */
  send(bytes: Uint8Array, port: number, address: string): void
}

export interface UdpAttendant {
  onDatagram(bytes: Buffer, client: RemoteInfo, via: Via): void
  onError(error: Error): void
}

export class UdpListener {
  readonly local: Endpoint
  /** Changes when another service takes over here. */
  attendant: UdpAttendant
  readonly #sockets = new Map<string, Socket>() // by address
  readonly #service: string
  readonly #bufferBytes: number | undefined
  #watch: NodeJS.Timeout | undefined
  #closed = false

  private constructor(local: Endpoint, attendant: UdpAttendant, service: string, bufferBytes: number | undefined) {
    this.local = local
    this.attendant = attendant
    this.#service = service
    this.#bufferBytes = bufferBytes
  }

  /**
   * @param service for messages: `mapping agent-b:53/udp`. @param bufferBytes kernel buffer for bursts.
   * @throws PilotError PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNAVAILABLE.
   */
  static async bind(
    { address, port }: Endpoint,
    attendant: UdpAttendant,
    { service, bufferBytes }: { readonly service: string; readonly bufferBytes?: number },
  ): Promise<UdpListener> {
    for (let tries = 1; ; tries++) {
      const addresses = isWildcard(address) ? ownAddresses(address, service) : [address]
      const first = await open({ address: addresses[0]!, port }, service, bufferBytes)
      const bound = first.address().port
      const listener = new UdpListener({ address, port: bound }, attendant, service, bufferBytes)
      listener.#add(addresses[0]!, first)
      try {
        for (const other of addresses.slice(1)) await listener.#open(other)
      } catch (error) {
        listener.close()
        if (port === 0 && tries < MAX_TRIES) continue // free at one address is not necessarily free at all
        throw error
      }
      if (isWildcard(address)) listener.#watch = setInterval(() => void listener.#follow(), FOLLOW_MS).unref()
      return listener
    }
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#watch)
    for (const socket of this.#sockets.values()) socket.close()
    this.#sockets.clear()
  }

  /** An address that is just appearing or disappearing is left out. @throws PilotError. */
  async #open(address: string): Promise<void> {
    try {
      const socket = await open({ address, port: this.local.port }, this.#service, this.#bufferBytes)
      if (this.#closed) socket.close()
      else this.#add(address, socket)
    } catch (error) {
      if (!(error instanceof PilotError) || error.code !== 'ADDRESS_UNAVAILABLE') throw error
    }
  }

  #add(address: string, socket: Socket): void {
    this.#sockets.set(address, socket)
    const via: Via = {
      key: address === this.local.address ? '' : `${address}>`,
      send: (bytes, port, to) => {
        if (this.#sockets.get(address) === socket) socket.send(bytes, port, to)
      },
    }
    socket.on('error', (error) => this.attendant.onError(error))
    socket.on('message', (bytes, client) => {
      if (client.port !== 0) this.attendant.onDatagram(bytes, client, via) // nothing can be sent there: node:dgram throws
    })
  }

  /** Interfaces come and go. */
  async #follow(): Promise<void> {
    const sockets = this.#sockets
    try {
      const addresses = ownAddresses(this.local.address, this.#service)
      for (const [address, socket] of sockets) {
        if (addresses.includes(address)) continue
        sockets.delete(address)
        socket.close()
      }
      for (const address of addresses) {
        if (!sockets.has(address)) await this.#open(address)
      }
    } catch (error) {
      this.attendant.onError(error as Error)
    }
  }
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}

/** `::` means both families, like a socket bound there. @throws PilotError ADDRESS_UNAVAILABLE. */
function ownAddresses(wildcard: string, service: string): readonly string[] {
  const wanted = interfaceAddresses()
    .filter(({ address }) => wildcard === '::' || !isIPv6(address))
    .map(({ bindable }) => bindable)
  if (wanted.length > 0) return wanted
  throw new PilotError(
    'ADDRESS_UNAVAILABLE',
    `${service}: the addresses of this machine are unknown, so UDP cannot listen on ${wildcard}`,
    { service, local: wildcard },
    undefined,
    'Listen on one address of this machine instead.',
  )
}

function open(place: Endpoint, service: string, bufferBytes: number | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({
      type: isIPv6(place.address) ? 'udp6' : 'udp4',
      ...(isIPv6(place.address) && { ipv6Only: true }),
      ...(bufferBytes !== undefined && { recvBufferSize: bufferBytes, sendBufferSize: bufferBytes }),
    })
    const fail = (error: Error): void => {
      socket.close()
      reject(listenError(error, service, formatEndpoint(place)))
    }
    socket.once('error', fail)
    socket.bind({ ...place, exclusive: true }, () => {
      socket.off('error', fail)
      resolve(socket)
    })
  })
}

const FOLLOW_MS = 5_000
const MAX_TRIES = 10
