/**
 * The beacon on UDP. All rules are in beacon/. Datagrams are passed on in place, and relayed ones are sent from the
 * same memory, taking turns between senders. A second socket, on the next port if free, lets nodes determine their NAT.
 */
import type { RemoteInfo, Socket } from 'node:dgram'
import type { Endpoint, NodeId } from '../base/types.ts'
import { listenError } from '../runtime/net/listen-error.ts'
import type { Beacon } from './beacon/beacon.ts'
import type { Link } from './beacon/links.ts'
import type { Send } from './beacon/probes.ts'
import type { Logger } from '../base/logger.ts'
import { createSocket } from 'node:dgram'
import { formatEndpoint } from '../base/types.ts'
import { canonicalAddress, udpFamily } from './address.ts'
import { ANNOUNCE_EVERY_MS, RELAYS_PER_TURN } from './beacon/constants.ts'
import { handleAtSecond } from './beacon/probes.ts'
import { RelayQueue } from './beacon/relay-queue.ts'

export interface BeaconServerOptions {
  readonly listen: Endpoint // port 0 picks one
  readonly beacon: Beacon
  readonly log: Logger
}

export class BeaconServer {
  readonly #options: BeaconServerOptions
  readonly #socket: Socket
  readonly #second: Socket
  readonly #relays = new RelayQueue()
  readonly #isIpv6: boolean
  readonly #timers: NodeJS.Timeout[] = []
  #from: Endpoint = { address: '', port: 0 } // of the datagram that is being handled
  #relaying = false
  readonly #send: Send = (bytes, to, how) => {
    if (how === 'second') this.#sendTo(this.#second, bytes, to)
    else if (how === 'relay') this.#relay(bytes, to)
    else this.#sendTo(this.#socket, bytes, to)
  }

  #starting: Promise<string> | undefined
  #stopping: Promise<void> | undefined
  #sendsDropped = 0

  constructor(options: BeaconServerOptions) {
    this.#options = options
    const type = udpFamily(options.listen.address)
    this.#isIpv6 = type === 'udp6'
    const family = this.#isIpv6 ? 6 : 4
    // Only literal addresses are used: resolved synchronously, so a send is not postponed to another turn.
    const make = (): Socket =>
      createSocket({ type, lookup: (host, _options, callback) => callback(null, host, family) })
    this.#socket = make()
    this.#second = make()
  }

  /** Datagrams that the system refused; UDP promises nothing, so they are only counted. */
  get sendsDropped(): number {
    return this.#sendsDropped
  }
  get relayCounters(): RelayQueue['counters'] {
    return this.#relays.counters
  }

  /** @returns The bound `ip:port`. @throws PilotError PORT_IN_USE, ADDRESS_UNAVAILABLE, PORT_FORBIDDEN. */
  start(): Promise<string> {
    this.#starting ??= this.#listen()
    return this.#starting
  }

  /** Something waits for the node at the registry. */
  notifyOfMail(node: NodeId): void {
    this.#options.beacon.notifyOfMail(performance.now(), node, this.#send)
  }

  /** A message of a node without UDP. @param from only tells senders apart. */
  handleFromLink(bytes: Uint8Array, link: Link, from: Endpoint): void {
    if (this.#stopping !== undefined) return
    this.#from = from
    this.#options.beacon.handleFromLink(performance.now(), bytes, link, this.#send)
  }

  stop(): Promise<void> {
    this.#stopping ??= new Promise((resolve) => {
      for (const timer of this.#timers) clearInterval(timer)
      this.#second.close(() => this.#socket.close(() => resolve()))
    })
    return this.#stopping
  }

  async #listen(): Promise<string> {
    const { listen, beacon, log } = this.#options
    await new Promise<void>((resolve, reject) => {
      this.#socket.once('error', (error) => reject(listenError(error, 'beacon', formatEndpoint(listen))))
      this.#socket.bind({ address: listen.address, port: listen.port, exclusive: true }, resolve)
    })
    this.#socket.removeAllListeners('error')
    this.#socket.on('error', (error) => log.warn({ error: error.message }, 'beacon socket error'))
    this.#enlargeBuffer()
    this.#socket.on('message', (bytes, from) => this.#handleDatagram(bytes, from))
    this.#timers.push(
      setInterval(() => {
        beacon.sweep(performance.now())
        this.#relays.sweep(performance.now())
      }, SWEEP_EVERY_MS),
    )
    this.#timers.push(setInterval(() => beacon.announce(performance.now(), this.#send), ANNOUNCE_EVERY_MS))
    const bound = this.#socket.address()
    await this.#listenAtSecond(bound.port + 1)
    return formatEndpoint({ address: bound.address, port: bound.port })
  }

  /** Relayed bursts wait here while this process is busy. Without the privilege, the system grants what it allows. */
  #enlargeBuffer(): void {
    try {
      this.#socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES)
    } catch (error) {
      this.#options.log.debug(
        { error: error instanceof Error ? error.message : String(error) },
        'the beacon has only the default receive buffer',
      )
    }
  }

  #handleDatagram(bytes: Uint8Array, from: RemoteInfo): void {
    if (from.port === 0) return // no answer can be sent there
    this.#from = { address: canonicalAddress(from.address), port: from.port }
    this.#options.beacon.handle(performance.now(), bytes, this.#from, this.#send)
  }

  /** The port after the first, so that one firewall rule can cover both; any other if that is taken. */
  async #listenAtSecond(port: number): Promise<void> {
    const { listen, beacon, log } = this.#options
    const socket = this.#second
    const bind = (wanted: number): Promise<boolean> =>
      new Promise((resolve) => {
        const onError = (): void => resolve(false)
        socket.once('error', onError)
        socket.bind({ address: listen.address, port: wanted, exclusive: true }, () => {
          socket.off('error', onError)
          resolve(true)
        })
      })
    if (!(port <= 65_535 && (await bind(port))) && !(await bind(0))) {
      log.warn({}, 'the beacon has no second port: nodes cannot determine their kind of NAT')
      socket.on('error', () => {})
      return
    }
    socket.on('error', (error) => log.warn({ error: error.message }, 'beacon socket error'))
    beacon.secondPort = socket.address().port
    socket.on('message', (bytes: Uint8Array, from: RemoteInfo) => {
      if (from.port !== 0)
        handleAtSecond(
          bytes,
          { address: canonicalAddress(from.address), port: from.port },
          beacon.secondPort,
          this.#send,
        )
    })
  }

  /**
   * Waits for its turn among those that came in the same turn of the event loop, or that the system has not accepted
   * yet.
   */
  #relay(bytes: Uint8Array, to: Endpoint): void {
    this.#relays.push(performance.now(), this.#from, bytes, to)
    this.#relaySoon()
  }

  #relaySoon(): void {
    if (this.#relaying || this.#stopping !== undefined) return
    this.#relaying = true
    const turn = (): void => {
      this.#relaying = false
      if (this.#stopping !== undefined) return
      for (let room = RELAYS_PER_TURN; room > 0 && this.#socket.getSendQueueCount() < MAX_RELAYS_UNSENT; room--) {
        const next = this.#relays.shift()
        if (next === undefined) return
        this.#sendTo(this.#socket, next.bytes, next.to)
      }
      if (this.#relays.queuedBytes > 0) this.#relaySoon()
    }
    if (this.#socket.getSendQueueCount() < MAX_RELAYS_UNSENT) setImmediate(turn)
    else setTimeout(turn, 1) // the system accepts no more for now
  }

  #sendTo(socket: Socket, bytes: Uint8Array, to: Endpoint): void {
    const isMapped = this.#isIpv6 && !to.address.includes(':')
    if (socket.getSendQueueSize() > MAX_SEND_QUEUE_BYTES || (!this.#isIpv6 && to.address.includes(':'))) {
      this.#sendsDropped++
      return
    }
    socket.send(bytes, to.port, isMapped ? `::ffff:${to.address}` : to.address, (error) => {
      if (error !== null) this.#sendsDropped++
    })
  }
}

const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
const MAX_SEND_QUEUE_BYTES = 8 * 1024 * 1024 // not taken by the system: further datagrams are dropped and counted
const MAX_RELAYS_UNSENT = 256 // passed to the system but not sent yet: the fair queue comes before it
const SWEEP_EVERY_MS = 60_000
