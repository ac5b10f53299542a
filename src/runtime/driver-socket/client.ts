/**
 * One client of the driver socket: its connection, the rules of proto/driver, and its streams. Above: server.ts. Below:
 * node:net and the node's streams.
 */
import type { Socket } from 'node:net'
import { Ring } from '../../base/ring.ts'
import { DriverClient, type DriverAct } from '../../proto/driver/client.ts'
import { monotonicNow } from '../clock.ts'
import type { Incoming, OverlayStream } from '../overlay.ts'
import type { DriverHost } from './host.ts'
import type { PortOwner } from './ports.ts'
import { dialText, refusalText } from './refusal.ts'

/** One stream of a client. */
interface Link {
  readonly id: number
  readonly stream: OverlayStream
  waiting: boolean // in the queue of those with data
}

export class ClientSocket implements PortOwner {
  readonly id: number
  readonly since = new Date()
  readonly #host: DriverHost
  readonly #socket: Socket
  readonly #rules = new DriverClient()
  readonly #links = new Map<number, Link>()
  readonly #readable = new Ring<Link>() // they take turns
  readonly #dials = new Map<number, AbortController>()
  readonly #gone = new AbortController()
  #sending = 0 // unconfirmed datagrams that wait for their tunnels
  #isBlocked = false
  #timer: NodeJS.Timeout | undefined
  #timerAt = Infinity

  constructor(id: number, socket: Socket, host: DriverHost) {
    this.id = id
    this.#host = host
    this.#socket = socket
    socket.on('data', (chunk: Uint8Array) => this.#turn((now) => this.#rules.handleBytes(now, chunk)))
    socket.on('drain', () => {
      this.#isBlocked = false
      this.#turn((now) => this.#rules.handleDrained(now))
    })
    socket.on('error', () => {}) // close follows
    socket.once('close', () => this.leave())
  }

  get streams(): ReadonlyMap<number, { readonly stream: OverlayStream }> {
    return this.#links
  }
  get droppedDatagrams(): number {
    return this.#rules.dropped
  }

  /** It has gone, or must go: its streams end, its ports are free. */
  leave(): void {
    if (this.#gone.signal.aborted) return
    this.#gone.abort()
    clearTimeout(this.#timer)
    for (const dial of this.#dials.values()) dial.abort()
    for (const connection of this.#links.keys()) this.#end(connection, (stream) => stream.destroySoon())
    this.#socket.destroy()
    this.#host.onGone(this)
  }

  accept(incoming: Incoming): void {
    if (this.#gone.signal.aborted || !this.#rules.hasRoom) return incoming.refuse()
    const stream = incoming.accept()
    const id = this.#link(stream)
    const remote = { network: 0, node: stream.peer }
    this.#turn((now) => this.#rules.handleAccepted(now, incoming.port, id, remote, stream.remotePort))
  }

  datagram(bytes: Uint8Array, from: number, sourcePort: number, port: number): void {
    this.#turn(() => this.#rules.handleDatagram(from, sourcePort, port, bytes))
  }

  /** @returns false if the stream is not this client's. */
  closeFor(connection: number): boolean {
    return this.#turn((now) => this.#rules.handleForeignClose(now, connection))
  }

  /** One change, then everything that follows from it. */
  #turn<T>(change: (now: number) => T): T {
    const now = monotonicNow()
    const result = change(now)
    if (this.#gone.signal.aborted) return result
    this.#follow(now)
    return result
  }

  #follow(now: number): void {
    for (let act = this.#rules.pollAct(); act !== undefined; act = this.#rules.pollAct()) this.#do(act)
    this.#pump(now)
    for (let act = this.#rules.pollAct(); act !== undefined; act = this.#rules.pollAct()) this.#do(act) // room made more
    if (this.#rules.over !== undefined) {
      if (this.#rules.over === 'not_reading') this.#host.onNotReading(this)
      return this.leave()
    }
    if (this.#rules.isFull !== this.#socket.isPaused())
      if (this.#rules.isFull) this.#socket.pause()
      else this.#socket.resume()
    this.#arm(now)
  }

  /** Fills the client's socket; data of streams goes behind everything else, and they take turns. */
  #pump(now: number): void {
    if (this.#isBlocked) return
    this.#socket.cork()
    for (;;) {
      const bytes = this.#rules.pollBytes(now)
      if (bytes === undefined) {
        if (!this.#takeData()) break
      } else if (!this.#socket.write(bytes)) this.#isBlocked = true
      if (this.#isBlocked && this.#rules.takesData) break // a header is never separated from its data
    }
    this.#socket.uncork()
    if (this.#isBlocked) this.#rules.handleBlocked(now)
  }

  #takeData(): boolean {
    const link = this.#readable.shift()
    if (link === undefined) return false
    const chunk = link.stream.read() as Uint8Array | null
    link.waiting = chunk !== null
    if (chunk === null) return true
    this.#rules.handleData(link.id, chunk)
    this.#readable.push(link)
    return true
  }

  #arm(now: number): void {
    const at = this.#rules.nextTimeout()
    if (at === this.#timerAt) return
    this.#timerAt = at
    clearTimeout(this.#timer)
    if (at === Infinity) return
    this.#timer = setTimeout(
      () => {
        this.#timerAt = Infinity
        this.#turn((then) => this.#rules.handleTimeout(then))
      },
      Math.max(0, Math.ceil(at - now)),
    )
  }

  #do(act: DriverAct): void {
    switch (act.kind) {
      case 'bind':
      case 'unbind':
        return void this.#bindOrUnbind(act.kind, act.ticket, act.port)
      case 'dial':
        return void this.#dial(act)
      case 'give_up':
        return this.#dials.get(act.ticket)?.abort()
      case 'send':
        return this.#send(act.connection, act.data)
      case 'read':
        return this.#startReading(act.connection)
      case 'close':
        return this.#end(act.connection, (stream) => stream.destroySoon())
      case 'reset':
        return this.#end(act.connection, (stream) => stream.resetAndDestroy())
      case 'close_foreign':
        return this.#host.closeFor(this, act.connection)
      case 'datagram':
        return act.ticket === undefined ? this.#sendUnconfirmed(act) : void this.#confirm(act.ticket, act)
      case 'ask':
        return void this.#ask(act)
    }
  }

  async #bindOrUnbind(kind: 'bind' | 'unbind', ticket: number, port: number): Promise<void> {
    try {
      if (kind === 'bind') await this.#host.ports.bind(port, this)
      else this.#host.ports.unbind(port, this)
      if (this.#gone.signal.aborted) return this.#host.ports.releaseAll(this)
      this.#turn((now) => this.#rules.handleAnswer(now, ticket, { kind: `${kind}_ok`, port }))
    } catch (error) {
      this.#fail(ticket, refusalText(kind, error))
    }
  }

  async #dial({ ticket, address, port }: Extract<DriverAct, { kind: 'dial' }>): Promise<void> {
    const giveUp = new AbortController()
    this.#dials.set(ticket, giveUp)
    try {
      const stream = await this.#host.dial(address.node, port, giveUp.signal)
      const id = this.#link(stream)
      const isWanted = !this.#gone.signal.aborted && this.#turn((now) => this.#rules.handleDialled(now, ticket, id))
      if (!isWanted) this.#end(id, (one) => one.resetAndDestroy())
    } catch (error) {
      this.#fail(ticket, dialText(address.node, error))
    } finally {
      this.#dials.delete(ticket)
    }
  }

  async #ask({ ticket, request }: Extract<DriverAct, { kind: 'ask' }>): Promise<void> {
    const to = request.kind === 'query' ? request.query : 'handshake'
    try {
      const text = await this.#host.answer(request, this.#gone.signal)
      this.#turn((now) => this.#rules.handleAnswer(now, ticket, { kind: 'json', to, text }))
    } catch (error) {
      this.#fail(ticket, refusalText(to, error))
    }
  }

  async #confirm(ticket: number, { address, port, data }: Extract<DriverAct, { kind: 'datagram' }>): Promise<void> {
    try {
      await this.#host.sendDatagram(address, port, data)
      this.#turn((now) => this.#rules.handleAnswer(now, ticket, { kind: 'confirmed' }))
    } catch (error) {
      this.#fail(ticket, `sendto: ${error instanceof Error ? dialText(address.node, error) : String(error)}`)
    }
  }

  /** Lost without a word, as datagrams are: also when too many wait for a tunnel. */
  #sendUnconfirmed({ address, port, data }: Extract<DriverAct, { kind: 'datagram' }>): void {
    if (this.#sending >= MAX_SENDING) return
    this.#sending += 1
    this.#host
      .sendDatagram(address, port, data)
      .catch(() => {})
      .finally(() => {
        this.#sending -= 1
      })
  }

  #fail(ticket: number, text: string): void {
    this.#turn((now) => this.#rules.handleError(now, ticket, text))
  }

  #link(stream: OverlayStream): number {
    const id = this.#host.nextConnection()
    this.#links.set(id, { id, stream, waiting: false })
    stream.handsOver = true // no one else has what the client sent
    stream.on('error', () => {}) // close follows
    stream.once('close', () => {
      this.#links.delete(id)
      this.#turn((now) => this.#rules.handleGone(now, id))
    })
    return id
  }

  #startReading(connection: number): void {
    const link = this.#links.get(connection)
    if (link === undefined) return
    link.stream.on('readable', () => {
      if (link.waiting) return
      link.waiting = true
      this.#readable.push(link)
      this.#turn(() => {})
    })
    link.stream.once('end', () => this.#turn((now) => this.#rules.handleEnded(now, connection)))
  }

  #send(connection: number, data: Uint8Array): void {
    const taken = (): void => this.#turn((now) => this.#rules.handleTaken(now, connection, data.length))
    const link = this.#links.get(connection)
    if (link !== undefined && link.stream.writable) link.stream.write(data, taken)
    else setImmediate(taken) // it has just ended: the client will be notified
  }

  #end(connection: number, end: (stream: OverlayStream) => void): void {
    const link = this.#links.get(connection)
    if (link === undefined) return
    this.#links.delete(connection)
    link.stream.removeAllListeners('readable')
    end(link.stream)
  }
}

/** Datagrams of one client that wait for a tunnel; more are lost. */
const MAX_SENDING = 256
