/**
 * The beacon on UDP: one socket, one timer. Every rule is in beacon/. What arrives is handed on in place, and what
 * is relayed leaves from the same memory.
 */
import type { RemoteInfo, Socket } from 'node:dgram'
import type { Endpoint } from '../base/types.ts'
import type { Beacon } from './beacon/beacon.ts'
import type { ServerLog } from './log.ts'
import { createSocket } from 'node:dgram'
import { formatEndpoint } from '../base/types.ts'
import { canonicalAddress, listenError, udpFamily } from './address.ts'
import { ANNOUNCE_EVERY_MS } from './beacon/constants.ts'

export interface BeaconServerOptions {
  readonly listen: Endpoint // port 0 picks one
  readonly beacon: Beacon
  readonly log: ServerLog
}

export class BeaconServer {
  readonly #options: BeaconServerOptions
  readonly #socket: Socket
  readonly #isIpv6: boolean
  readonly #timers: NodeJS.Timeout[] = []
  readonly #send = (bytes: Uint8Array, to: Endpoint): void => this.#sendTo(bytes, to)
  #starting: Promise<string> | undefined
  #stopping: Promise<void> | undefined
  #sendsDropped = 0

  constructor (options: BeaconServerOptions) {
    this.#options = options
    const type = udpFamily(options.listen.address)
    this.#isIpv6 = type === 'udp6'
    const family = this.#isIpv6 ? 6 : 4
    // Only literal addresses are ever sent to: answered on the spot, a send is not put off to another turn.
    this.#socket = createSocket({ type, lookup: (host, _options, callback) => callback(null, host, family) })
  }

  /** Datagrams that the system did not take; UDP promises nothing, so they are only counted. */
  get sendsDropped (): number { return this.#sendsDropped }

  /** @returns The bound `ip:port`. @throws PilotError PORT_IN_USE, ADDRESS_UNAVAILABLE, PORT_FORBIDDEN. */
  start (): Promise<string> {
    this.#starting ??= this.#listen()
    return this.#starting
  }

  stop (): Promise<void> {
    this.#stopping ??= new Promise((resolve) => {
      for (const timer of this.#timers) clearInterval(timer)
      this.#socket.close(() => resolve())
    })
    return this.#stopping
  }

  async #listen (): Promise<string> {
    const { listen, beacon, log } = this.#options
    await new Promise<void>((resolve, reject) => {
      this.#socket.once('error', (error) => reject(listenError('beacon', formatEndpoint(listen), error)))
      this.#socket.bind({ address: listen.address, port: listen.port, exclusive: true }, resolve)
    })
    this.#socket.removeAllListeners('error')
    this.#socket.on('error', (error) => log.warn({ error: error.message }, 'beacon socket error'))
    this.#enlargeBuffer()
    this.#socket.on('message', (bytes, from) => this.#handleDatagram(bytes, from))
    this.#timers.push(setInterval(() => beacon.sweep(performance.now()), SWEEP_EVERY_MS))
    this.#timers.push(setInterval(() => beacon.announce(performance.now(), this.#send), ANNOUNCE_EVERY_MS))
    const bound = this.#socket.address()
    return formatEndpoint({ address: bound.address, port: bound.port })
  }

  /** Relayed bursts wait here while this process is busy. Without the permission the system gives what it may. */
  #enlargeBuffer (): void {
    try {
      this.#socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES)
    } catch (error) {
      this.#options.log.debug({ error: error instanceof Error ? error.message : String(error) }, 'beacon keeps the default receive buffer')
    }
  }

  #handleDatagram (bytes: Uint8Array, from: RemoteInfo): void {
    if (from.port === 0) return // nothing can be answered there
    this.#options.beacon.handle(performance.now(), bytes, { address: canonicalAddress(from.address), port: from.port }, this.#send)
  }

  #sendTo (bytes: Uint8Array, to: Endpoint): void {
    const isMapped = this.#isIpv6 && !to.address.includes(':')
    if (this.#socket.getSendQueueSize() > MAX_SEND_QUEUE_BYTES || (!this.#isIpv6 && to.address.includes(':'))) {
      this.#sendsDropped++
      return
    }
    this.#socket.send(bytes, to.port, isMapped ? `::ffff:${to.address}` : to.address, (error) => {
      if (error !== null) this.#sendsDropped++
    })
  }
}

const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
const MAX_SEND_QUEUE_BYTES = 8 * 1024 * 1024 // not taken by the system: further datagrams are dropped and counted
const SWEEP_EVERY_MS = 60_000
