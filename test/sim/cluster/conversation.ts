/** One stream of a cluster run: what was written to its echo, what came back, and whether that is allowed. */
import type { GoStream } from '../../go-shaped/stream.ts'
import type { SimGoNode } from '../simulator/sim-go-node.ts'
import type { SimNode } from '../simulator/sim-node.ts'
import type { SimStream } from '../simulator/sim-stream.ts'

/** A broken invariant. */
export class Violation extends Error {}

export class Conversation {
  readonly id: number
  readonly from: SimNode
  /** Where it must end, whichever node holds the name by then. */
  readonly to: SimNode | SimGoNode
  readonly stream: SimStream
  readonly about: string
  shut = false // the dialling side has ended its half
  cancelled = false
  readonly #isPlain: boolean
  #written = 0 // bytes after the head
  #echoed = 0 // bytes that came back and were right, head included

  constructor(id: number, from: SimNode, to: SimNode | SimGoNode, name: string, port = ECHO_PORT) {
    this.id = id
    this.from = from
    this.to = to
    this.#isPlain = 'registration' in to
    this.about = `stream ${id} from ${from.options.hostname} to ${name}`
    this.stream = from.dial(name, port)
    this.stream.write(headOf(id))
  }

  /** Its node has not been restarted since. */
  get isAlive(): boolean {
    return this.from.alive && this.stream.born === this.from.lives
  }
  get isComplete(): boolean {
    return this.#echoed === this.#written + HEAD_BYTES
  }
  get echoed(): number {
    return this.#echoed
  }
  get progress(): string {
    return `${this.#echoed} of ${this.#written + HEAD_BYTES} bytes came back`
  }

  write(bytes: number, chunk: number): void {
    this.stream.write(contentOf(this.id, this.#written, bytes), chunk)
    this.#written += bytes
  }

  /** A plain peer has no half-close: this ends both directions. */
  shutdown(): void {
    if (this.#isPlain) return this.reset()
    this.shut = true
    this.stream.shutdown()
  }

  reset(): void {
    this.shut = this.cancelled = true
    this.stream.reset()
  }

  /**
   * Received bytes equal those sent, from the first one on; every end was sent by a side; one dial opens one stream.
   * For a plain peer only the first is promised: its FIN may overtake data (stream.md Q3), it gives up a segment after
   * eight transmissions, and streams left behind by its restart may end in any way.
   */
  check(): void {
    const { stream } = this
    this.#echoed = verify(this.about, stream, this.id, this.#echoed)
    if (this.#echoed > this.#written + HEAD_BYTES) throw new Violation(`${this.about}: more came back than was written`)
    if (stream.opened > 1) throw new Violation(`${this.about}: opened ${stream.opened} times`)
    if (this.#isPlain) return
    if (stream.readEnded && stream.end === undefined && !this.shut)
      throw new Violation(`${this.about}: an end that neither side sent`)
    if (stream.end === 'finished' && !(this.isComplete && this.shut))
      throw new Violation(`${this.about}: finished, and ${this.progress}`)
  }

  /** After the calm nothing is stalled. */
  checkSettled(): void {
    if (!this.isAlive || this.cancelled) return
    const { stream } = this
    if (stream.state === 'dialling') throw new Violation(`${this.about}: still dialling`)
    if (stream.over || stream.state !== 'open' || this.#isPlain) return
    if (!this.isComplete) throw new Violation(`${this.about}: stalled, ${this.progress}`)
    if (this.shut) throw new Violation(`${this.about}: ended on both sides but not finished`)
  }
}

/** The accepting end of one. */
export class Acceptance {
  readonly stream: SimStream
  readonly node: SimNode
  id: number | undefined // from the head, once it is there
  #seen = 0

  constructor(stream: SimStream, node: SimNode) {
    this.stream = stream
    this.node = node
    stream.echo = true
  }

  check(): void {
    if (this.id === undefined) {
      if (this.stream.receivedBytes < HEAD_BYTES) return
      this.id = this.stream.data.readUInt32BE(0)
    }
    this.#seen = verify(`accepted stream ${this.id}`, this.stream, this.id, this.#seen)
  }
}

/** A plain peer dials us; the weaker guarantees of `Conversation.check` apply. */
export class PlainCall {
  readonly id: number
  readonly from: SimGoNode
  readonly to: SimNode
  readonly stream: GoStream
  readonly #about: string
  #written = 0
  #echoed = 0

  constructor(id: number, from: SimGoNode, to: SimNode) {
    this.id = id
    this.from = from
    this.to = to
    this.#about = `stream ${id} from a plain peer to ${to.options.hostname}`
    this.stream = from.dial(to.nodeId, ECHO_PORT)
    from.write(this.stream, headOf(id))
  }

  get isOver(): boolean {
    return this.stream.failure !== undefined || this.stream.ended || this.stream.state === 'CLOSED'
  }
  get isComplete(): boolean {
    return this.#echoed === this.#written + HEAD_BYTES
  }

  write(bytes: number): void {
    this.from.write(this.stream, contentOf(this.id, this.#written, bytes))
    this.#written += bytes
  }

  close(): void {
    this.from.turn((now) => this.from.node.close(now, this.stream))
  }

  check(): void {
    const { receivedBytes, received } = this.stream
    if (receivedBytes === this.#echoed) return
    this.#echoed = compare(this.#about, Buffer.concat(received), this.id, this.#echoed)
    if (this.#echoed > this.#written + HEAD_BYTES)
      throw new Violation(`${this.#about}: more came back than was written`)
  }
}

/** @returns how many bytes have been checked now. */
function verify(about: string, stream: SimStream, id: number, done: number): number {
  return stream.receivedBytes === done ? done : compare(about, stream.data, id, done)
}

function compare(about: string, data: Buffer, id: number, done: number): number {
  if (data.length >= HEAD_BYTES && data.readUInt32BE(0) !== id)
    throw new Violation(`${about}: the head of stream ${data.readUInt32BE(0)}`)
  const from = Math.max(done, HEAD_BYTES)
  if (data.length <= from) return data.length
  const wanted = contentOf(id, from - HEAD_BYTES, data.length - from)
  if (!data.subarray(from).equals(wanted)) throw new Violation(`${about}: wrong bytes after byte ${from}`)
  return data.length
}

function headOf(id: number): Uint8Array {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32BE(id)
  return head
}

/** Bytes that differ between streams and offsets, so that none can be mistaken for another. */
function contentOf(id: number, at: number, length: number): Uint8Array {
  const out = new Uint8Array(length)
  for (let i = 0; i < length; i++) out[i] = POOL[(id * 7_919 + at + i) & (POOL.length - 1)]!
  return out
}

const POOL = new Uint8Array(1 << 20)
for (let i = 0, x = 1; i < POOL.length; i++) {
  x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0
  POOL[i] = x >>> 16
}
const HEAD_BYTES = 4
export const ECHO_PORT = 80
/** A plain daemon's built-in echo. */
export const PLAIN_ECHO_PORT = 7
