/**
 * The rules of one client of the driver socket, without I/O: its bytes in; acts for the node, and frames for the client,
 * out. Above: runtime/driver-socket/, which does the acts and reports what became of them.
 *
 *   - Answers to requests of one command come in the order of the requests; answers of different commands may overtake.
 *   - Sends are not answered, and go to their stream in order.
 *   - Nothing is read from the client while it has too many open requests, has stopped reading, or has sent more than a stream
 *     takes. A stream that causes this for too long is ended, for the sake of the client's others; a
 *     client that stops reading is disconnected.
 */
import type { OverlayAddress } from '../../base/address.ts'
import { Ring } from '../../base/ring.ts'
import type { Instant, NodeId } from '../../base/types.ts'
import {
  IpcFrameReader,
  decodeIpcRequest,
  encodeIpcFrame,
  encodeIpcMessage,
  encodeRecvHeader,
} from '../../wire/ipc-messages.ts'
import type { IpcMessage, IpcQuery, IpcRequest } from '../../wire/ipc-messages.ts'
import type { Machine } from '../machine.ts'
import * as k from './constants.ts'
import { faultText, unknownCommand } from './faults.ts'

/** What the node is to do. Acts with a ticket are answered by `handleAnswer` or `handleDialled`. */
export type DriverAct =
  | { readonly kind: 'bind' | 'unbind'; readonly ticket: number; readonly port: number }
  | { readonly kind: 'dial'; readonly ticket: number; readonly address: OverlayAddress; readonly port: number }
  | { readonly kind: 'give_up'; readonly ticket: number } // the dial
  | { readonly kind: 'send'; readonly connection: number; readonly data: Uint8Array }
  /** The client knows the stream now: its data may be passed on. */
  | { readonly kind: 'read'; readonly connection: number }
  /** Both directions end: what was sent still arrives. */
  | { readonly kind: 'close'; readonly connection: number }
  | { readonly kind: 'reset'; readonly connection: number }
  /** Of another client, if any. */
  | { readonly kind: 'close_foreign'; readonly connection: number }
  | {
      readonly kind: 'datagram'
      readonly ticket: number | undefined // undefined: not answered
      readonly address: OverlayAddress
      readonly port: number
      readonly data: Uint8Array
    }
  | { readonly kind: 'ask'; readonly ticket: number; readonly request: DriverQuestion }

/** What is answered with JSON. */
export type DriverQuestion =
  | Extract<IpcRequest, { kind: 'handshake' }>
  | { readonly kind: 'query'; readonly query: DriverQuery; readonly body: Uint8Array }
export type DriverQuery = Exclude<IpcQuery, 'set_task_exec'>

interface Ticket {
  readonly id: number
  readonly command: number
  readonly isDial: boolean
  answer: IpcMessage | undefined
}

interface Connection {
  readonly id: number
  announced: boolean // the client knows its id
  late: 'ended' | 'gone' | undefined // what became of it before that
  ended: boolean // the client knows
  heldBytes: number // of Sends, not taken by the stream
  activeAt: Instant // when the stream last took bytes, or the client sent some
}

export class DriverClient implements Machine {
  /** Why the connection must be closed. */
  over: 'too_long' | 'not_reading' | undefined
  /** Datagrams that the client did not read in time. */
  dropped = 0
  readonly #reader = new IpcFrameReader()
  readonly #unread = new Ring<Uint8Array>() // messages that wait for room
  readonly #tickets = new Map<number, Ticket>()
  readonly #lanes = new Map<number, Ring<Ticket>>() // by command: answers keep their order
  readonly #connections = new Map<number, Connection>()
  readonly #stalled = new Set<Connection>() // hold more than they should
  readonly #lingering = new Set<Connection>() // ended by their peers, not by the client
  readonly #acts = new Ring<DriverAct>()
  readonly #out = new Ring<Uint8Array>()
  #outBytes = 0
  #nextTicket = 1
  #isWorking = false
  #blockedAt: Instant = Infinity

  // ---- queries

  /** Nothing more should be read from the client now. */
  get isFull(): boolean {
    return this.#tickets.size >= k.MAX_REQUESTS || this.#outBytes >= k.MAX_OUT_BYTES || this.#stalled.size > 0
  }
  /** Data of streams may be passed on: everything before it is on its way. */
  get takesData(): boolean {
    return this.#out.size === 0 && this.#blockedAt === Infinity
  }
  /** Another stream may be added. */
  get hasRoom(): boolean {
    return this.#connections.size < k.MAX_CONNECTIONS
  }
  get connections(): number {
    return this.#connections.size
  }

  // ---- from the client

  /** Takes ownership of `chunk`. */
  handleBytes(now: Instant, chunk: Uint8Array): void {
    const messages = this.#reader.push(chunk)
    if (messages === 'too_long') {
      this.over ??= 'too_long'
      return
    }
    for (const message of messages) this.#unread.push(message)
    this.#work(now)
  }

  /** The client's socket takes no more for now. */
  handleBlocked(now: Instant): void {
    if (this.#blockedAt === Infinity) this.#blockedAt = now
  }
  handleDrained(now: Instant): void {
    this.#blockedAt = Infinity
    this.#work(now)
  }

  // ---- from the node

  handleAnswer(now: Instant, id: number, answer: IpcMessage): void {
    this.#settle(now, id, answer)
    this.#work(now)
  }

  handleError(now: Instant, id: number, text: string): void {
    this.handleAnswer(now, id, { kind: 'error', text })
  }

  /** @returns false if the client no longer wants the stream. */
  handleDialled(now: Instant, id: number, connection: number): boolean {
    const ticket = this.#tickets.get(id)
    if (ticket === undefined || ticket.answer !== undefined) return false
    this.#add(now, connection)
    this.handleAnswer(now, id, { kind: 'dial_ok', connection })
    return true
  }

  /** Only while it `hasRoom`. */
  handleAccepted(now: Instant, port: number, connection: number, remote: OverlayAddress, remotePort: number): void {
    const added = this.#add(now, connection)
    this.#say({ kind: 'accept', port, connection, remote, remotePort })
    this.#announce(now, added)
  }

  /** Data of a stream; only while `takesData`. Takes ownership of `bytes`. */
  handleData(connection: number, bytes: Uint8Array): void {
    if (!this.#connections.has(connection)) return
    for (let at = 0; at < bytes.length; at += k.MAX_RECV_BYTES) {
      const piece = bytes.subarray(at, at + k.MAX_RECV_BYTES)
      this.#put(encodeRecvHeader(connection, piece.length))
      this.#put(piece)
    }
  }

  /** The stream has taken bytes of Sends. */
  handleTaken(now: Instant, id: number, bytes: number): void {
    const connection = this.#connections.get(id)
    if (connection === undefined) return
    connection.heldBytes -= bytes
    connection.activeAt = now
    if (connection.heldBytes < k.MAX_HELD_BYTES && this.#stalled.delete(connection)) this.#work(now)
  }

  /** The peer has ended its direction, and all data before that was passed on. */
  handleEnded(now: Instant, id: number): void {
    const connection = this.#connections.get(id)
    if (connection === undefined || connection.ended) return
    if (!connection.announced) {
      connection.late ??= 'ended'
      return
    }
    connection.ended = true
    connection.activeAt = now
    this.#lingering.add(connection)
    this.#say({ kind: 'close_ok', connection: id })
  }

  /** The stream no longer exists. */
  handleGone(now: Instant, id: number): void {
    const connection = this.#connections.get(id)
    if (connection === undefined) return
    if (!connection.announced) {
      connection.late = 'gone'
      return
    }
    if (!connection.ended) this.#say({ kind: 'close_ok', connection: id })
    this.#forget(now, connection)
  }

  /** Another client closes a stream of this one. @returns false if it is not this one's. */
  handleForeignClose(now: Instant, id: number): boolean {
    if (!this.#connections.has(id)) return false
    this.#acts.push({ kind: 'close', connection: id })
    this.handleGone(now, id)
    return true
  }

  /** Every datagram of the node goes to every client. It is lost if this one has stopped reading. */
  handleDatagram(source: NodeId, sourcePort: number, port: number, data: Uint8Array): void {
    if (this.#outBytes >= k.MAX_OUT_BYTES) this.dropped += 1
    else this.#say({ kind: 'recv_from', source: { network: 0, node: source }, sourcePort, port, data })
  }

  // ---- time

  handleTimeout(now: Instant): void {
    if (now >= this.#blockedAt + k.UNREAD_MS) this.over ??= 'not_reading'
    for (const connection of this.#stalled) {
      if (this.#connections.size < 2 || now < connection.activeAt + k.STALLED_MS) continue
      this.#acts.push({ kind: 'reset', connection: connection.id })
      this.handleGone(now, connection.id)
    }
    for (const connection of this.#lingering) {
      if (now < connection.activeAt + k.LINGER_MS) continue
      this.#acts.push({ kind: 'close', connection: connection.id })
      this.#forget(now, connection)
    }
  }

  nextTimeout(): Instant {
    let at = this.#blockedAt + k.UNREAD_MS
    if (this.#connections.size > 1) for (const { activeAt } of this.#stalled) at = Math.min(at, activeAt + k.STALLED_MS)
    for (const { activeAt } of this.#lingering) at = Math.min(at, activeAt + k.LINGER_MS)
    return at
  }

  // ---- what follows

  pollAct(): DriverAct | undefined {
    return this.#acts.shift()
  }

  /** The next bytes for the client, in order. */
  pollBytes(now: Instant): Uint8Array | undefined {
    const bytes = this.#out.shift()
    if (bytes === undefined) return undefined
    const wasFull = this.#outBytes >= k.MAX_OUT_BYTES
    this.#outBytes -= bytes.length
    if (wasFull) this.#work(now)
    return bytes
  }

  // ---- inside

  #work(now: Instant): void {
    if (this.#isWorking) return // the loop below continues
    this.#isWorking = true
    while (!this.isFull) {
      const message = this.#unread.shift()
      if (message === undefined) break
      this.#handleMessage(now, message)
    }
    this.#isWorking = false
  }

  #handleMessage(now: Instant, message: Uint8Array): void {
    const command = message[0]!
    const request = decodeIpcRequest(message)
    if (typeof request === 'string') {
      const text = faultText(request, message)
      if (text !== undefined) this.#refuse(now, command, text)
      return
    }
    switch (request.kind) {
      case 'send':
        return this.#send(now, request.connection, request.data)
      case 'close':
        return this.#close(now, command, request.connection)
      case 'cancel':
        return this.#cancel(now)
      case 'send_to': {
        const { address, port, data } = request
        this.#acts.push({ kind: 'datagram', ticket: undefined, address, port, data })
        return
      }
      case 'dial':
        if (this.#connections.size >= k.MAX_CONNECTIONS)
          return this.#refuse(now, command, `too many connections (at most ${k.MAX_CONNECTIONS})`)
        break
      case 'query':
        return this.#query(now, command, request.query, request.body)
      default:
        break
    }
    this.#ask(request, this.#ticket(command, request.kind === 'dial').id)
  }

  #query(now: Instant, command: number, query: IpcQuery, body: Uint8Array): void {
    if (query === 'set_task_exec') return this.#refuse(now, command, unknownCommand(command)) // gone since April 2026
    this.#acts.push({
      kind: 'ask',
      ticket: this.#ticket(command, false).id,
      request: { kind: 'query', query, body },
    })
  }

  #ask(
    request: Exclude<IpcRequest, { kind: 'send' | 'close' | 'cancel' | 'send_to' | 'query' }>,
    ticket: number,
  ): void {
    switch (request.kind) {
      case 'bind':
      case 'unbind':
        return this.#acts.push({ kind: request.kind, ticket, port: request.port })
      case 'dial':
        return this.#acts.push({ kind: 'dial', ticket, address: request.address, port: request.port })
      case 'send_to_confirm': {
        const { address, port, data } = request
        return this.#acts.push({ kind: 'datagram', ticket, address, port, data })
      }
      default:
        return this.#acts.push({ kind: 'ask', ticket, request })
    }
  }

  #send(now: Instant, id: number, data: Uint8Array): void {
    const connection = this.#connections.get(id)
    if (connection === undefined || data.length === 0) return // not answered, as in daemons
    if (connection.heldBytes === 0 || connection.ended) connection.activeAt = now
    connection.heldBytes += data.length
    this.#acts.push({ kind: 'send', connection: id, data })
    if (connection.heldBytes >= k.MAX_HELD_BYTES) this.#stalled.add(connection)
  }

  /** Answered in any case. For a live stream a daemon says it twice: as the answer, and as the end. */
  #close(now: Instant, command: number, id: number): void {
    const connection = this.#connections.get(id)
    this.#acts.push({ kind: connection === undefined ? 'close_foreign' : 'close', connection: id })
    this.handleAnswer(now, this.#ticket(command, false).id, { kind: 'close_ok', connection: id })
    if (connection !== undefined) this.handleGone(now, id)
  }

  #cancel(now: Instant): void {
    for (const { id, isDial, answer } of this.#tickets.values()) {
      if (!isDial || answer !== undefined) continue
      this.#acts.push({ kind: 'give_up', ticket: id })
      this.handleError(now, id, 'context canceled')
    }
  }

  #refuse(now: Instant, command: number, text: string): void {
    this.handleError(now, this.#ticket(command, false).id, text)
  }

  #ticket(command: number, isDial: boolean): Ticket {
    const ticket: Ticket = { id: this.#nextTicket++, command, isDial, answer: undefined }
    this.#tickets.set(ticket.id, ticket)
    const lane = this.#lanes.get(command)
    if (lane === undefined) {
      const fresh = new Ring<Ticket>()
      fresh.push(ticket)
      this.#lanes.set(command, fresh)
    } else lane.push(ticket)
    return ticket
  }

  #settle(now: Instant, id: number, answer: IpcMessage): void {
    const ticket = this.#tickets.get(id)
    if (ticket === undefined || ticket.answer !== undefined) return // given up
    ticket.answer = answer
    this.#release(now, ticket.command)
  }

  /** Answers whose turn has come. */
  #release(now: Instant, command: number): void {
    const lane = this.#lanes.get(command)!
    for (let first = lane.at(0); first?.answer !== undefined; first = lane.at(0)) {
      lane.shift()
      this.#tickets.delete(first.id)
      this.#say(first.answer)
      if (first.answer.kind !== 'dial_ok') continue
      const connection = this.#connections.get(first.answer.connection)
      if (connection !== undefined) this.#announce(now, connection)
    }
  }

  #add(now: Instant, id: number): Connection {
    const added: Connection = { id, announced: false, late: undefined, ended: false, heldBytes: 0, activeAt: now }
    this.#connections.set(id, added)
    return added
  }

  #announce(now: Instant, connection: Connection): void {
    connection.announced = true
    if (connection.late === 'gone') return this.handleGone(now, connection.id)
    this.#acts.push({ kind: 'read', connection: connection.id })
    if (connection.late === 'ended') this.handleEnded(now, connection.id)
  }

  #forget(now: Instant, connection: Connection): void {
    this.#connections.delete(connection.id)
    this.#lingering.delete(connection)
    if (this.#stalled.delete(connection)) this.#work(now)
  }

  #say(message: IpcMessage): void {
    this.#put(encodeIpcFrame(encodeIpcMessage(message)))
  }

  #put(bytes: Uint8Array): void {
    this.#out.push(bytes)
    this.#outBytes += bytes.length
  }
}
