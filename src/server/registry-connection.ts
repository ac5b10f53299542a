/**
 * One client of the registry: bytes in, requests in order, replies in the same order. A reply that waits for the disk
 * does not delay the handling of later requests, only their replies. Reading stops while too many replies wait or the
 * client does not read them, so a client's memory use is bounded.
 */
import type { Socket } from 'node:net'
import { encodeRegistryFrame, RegistryFrameReader } from '../wire/registry-messages.ts'
import type { Channel } from './registry/session.ts'
import { ClientSession } from './registry/session.ts'

/** What the connection needs from the server. */
export interface RegistryService {
  /** The reply, and whether it must wait for `flushed`. Never throws. */
  answer(request: object, from: RegistryConnection): { readonly reply: object; readonly waits: boolean }
  /** Does the answer cost a signature check? Then `inTurn` calls back when its turn has come. */
  isDear(request: object): boolean
  inTurn(work: (isLate: boolean) => void): void
  /** Rejects if the disk failed: then the client gets no false acknowledgement. */
  flushed(): Promise<void>
  now(): number // ms; only differences mean anything
}

export class RegistryConnection {
  readonly #socket: Socket
  readonly sourceIp: string
  readonly #service: RegistryService
  readonly session: ClientSession
  readonly #reader = new RegistryFrameReader()
  readonly #replies: QueuedReply[] = [] // oldest first
  #lastRequestAt: number
  #asked = false
  #ended = false // the client sends no more; its requests are still answered
  #reading = true // false once all of that was handled, or the client sent an invalid message
  #scheduled = false
  #isInTurn = false // a dear request waits for its turn, and those after it wait too

  constructor(socket: Socket, sourceIp: string, service: RegistryService, channel: Channel) {
    this.session = new ClientSession(channel)
    this.#socket = socket
    this.sourceIp = sourceIp
    this.#service = service
    this.#lastRequestAt = service.now()
    socket.on('data', (chunk) => this.#handleData(chunk))
    socket.on('drain', () => this.#pump())
    socket.on('end', () => {
      this.#ended = true
      this.#pump()
    })
  }

  /** Time since which there was no complete request, on the service's clock. */
  get lastRequestAt(): number {
    return this.#lastRequestAt
  }

  get sourcePort(): number {
    return this.#socket.remotePort ?? 0
  }

  /** A message that answers no request, behind all earlier replies. */
  tell(message: object): void {
    this.#replies.push({ frame: encodeRegistryFrame(message), ready: true })
    this.#sendReady()
  }

  /** Has it sent a complete request yet? */
  get hasAsked(): boolean {
    return this.#asked
  }

  #handleData(chunk: Uint8Array): void {
    this.#reader.push(chunk)
    this.#pump()
  }

  /** Handles received frames, a few per turn, so that one pipelining client does not starve the others. */
  #pump(): void {
    if (this.#isInTurn) return
    for (let handled = 0; this.#reading && this.#hasRoom(); handled++) {
      if (handled === FRAMES_PER_TURN) return this.#pumpLater()
      const next = this.#reader.next()
      if (typeof next === 'object' && this.#service.isDear(next)) return this.#handleInTurn(next)
      else if (typeof next === 'object') this.#handleRequest(next)
      else if (typeof next === 'string' || this.#ended) this.#stopReading() // a fault closes silently (§1.1)
      else break
    }
    if (!this.#reading || this.#hasRoom()) this.#socket.resume()
    else this.#socket.pause()
  }

  #pumpLater(): void {
    this.#socket.pause()
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#pump()
    })
  }

  #handleInTurn(request: object): void {
    this.#isInTurn = true
    this.#socket.pause()
    this.#service.inTurn((isLate) => {
      this.#isInTurn = false
      if (this.#socket.destroyed) return
      if (isLate) this.tell(BUSY)
      else this.#handleRequest(request)
      this.#pump()
    })
  }

  #handleRequest(request: object): void {
    this.#asked = true
    this.#lastRequestAt = this.#service.now()
    const { reply, waits } = this.#service.answer(request, this)
    const queued: QueuedReply = { frame: encodeRegistryFrame(reply), ready: !waits }
    this.#replies.push(queued)
    if (!waits) return this.#sendReady()
    this.#service.flushed().then(
      () => {
        queued.ready = true
        this.#sendReady()
        this.#pump()
      },
      () => this.#socket.destroy(),
    )
  }

  #sendReady(): void {
    let ready = 0
    while (this.#replies[ready]?.ready === true) ready++
    if (ready > 0 && this.#socket.writable) {
      this.#socket.cork() // one segment for pipelined replies
      for (const reply of this.#replies.splice(0, ready)) this.#socket.write(reply.frame)
      process.nextTick(() => this.#socket.uncork())
    }
    this.#endWhenDone()
  }

  #hasRoom(): boolean {
    return this.#replies.length < MAX_QUEUED_REPLIES && this.#socket.writableLength < MAX_UNSENT_BYTES
  }

  #stopReading(): void {
    this.#reading = false
    this.#endWhenDone()
  }

  #endWhenDone(): void {
    if (!this.#reading && this.#replies.length === 0) this.#socket.destroySoon()
  }
}

interface QueuedReply {
  readonly frame: Uint8Array
  ready: boolean
}

const BUSY = { type: 'error', error: 'rate limited: the registry is busy' }
const MAX_QUEUED_REPLIES = 256 // waiting for the disk: reading pauses
const MAX_UNSENT_BYTES = 256 * 1024 // not read by the client: reading pauses
const FRAMES_PER_TURN = 64 // then others get a turn
