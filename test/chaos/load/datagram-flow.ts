/** A UDP session: one datagram at a time, echoed. Loss is allowed; wrong bytes, or another session's, are not. */
import { createSocket } from 'node:dgram'
import { message, MESSAGE_HEADER_BYTES, wrongWith } from './frames.ts'
import { localPort } from './ports.ts'
import type { Faults, Progress, Tally } from './tally.ts'

export class DatagramFlow {
  readonly #socket = createSocket('udp4')
  readonly #tally: Tally
  readonly #faults: Faults
  readonly #number: number
  readonly #progress: Progress
  readonly #timer: NodeJS.Timeout
  readonly #sentAt = new Map<number, number>()
  #count = 0

  constructor(tally: Tally, faults: Faults, number: number) {
    this.#tally = tally
    this.#faults = faults
    this.#number = number
    this.#progress = tally.flow()
    this.#socket.on('message', (bytes) => this.#onEcho(bytes))
    this.#socket.on('error', () => {})
    this.#timer = setInterval(() => this.#send(), SEND_MS)
  }

  async finish(): Promise<void> {
    clearInterval(this.#timer)
    this.#socket.close()
  }

  #send(): void {
    const seed = this.#number * SEEDS_OF_A_SESSION + this.#count++
    this.#sentAt.set(seed, performance.now())
    const forgotten = seed - REMEMBERED
    if (this.#sentAt.delete(forgotten)) this.#tally.failed(0) // lost
    this.#socket.send(message(seed, (seed * 31) % MAX_BYTES), localPort('datagrams'), '127.0.0.1')
  }

  #onEcho(bytes: Buffer): void {
    const wrong = wrongWith(bytes)
    const seed = bytes.length < MESSAGE_HEADER_BYTES ? 0 : bytes.readUInt32BE(4)
    if (wrong !== undefined || Math.floor(seed / SEEDS_OF_A_SESSION) !== this.#number)
      return this.#faults.add(
        'altered',
        `client: datagram session ${this.#number} got ${bytes.length} bytes, seed ${seed}`,
      )
    const sentAt = this.#sentAt.get(seed)
    if (sentAt === undefined) return // duplicated or very late, as UDP allows
    this.#sentAt.delete(seed)
    this.#tally.ok(performance.now() - sentAt)
    this.#progress.moved(sentAt)
  }
}

const SEND_MS = 200
const MAX_BYTES = 1_000
const REMEMBERED = 50
const SEEDS_OF_A_SESSION = 1_000_000
