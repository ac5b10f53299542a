/** Plays runtime/node/stream.ts: reads as data arrives, writes as the window allows, remembers how it ended. */
import type { StreamEnd } from '../../../src/proto/stream/lifecycle.ts'
import { NEWS_ENDED, NEWS_OPEN, NEWS_WRITABLE } from '../../../src/proto/stream/stream-view.ts'
import type { StreamView } from '../../../src/proto/stream/stream-view.ts'
import type { DialView } from '../../../src/proto/node/dial.ts'
import type { DialApp } from '../../../src/proto/node/views.ts'
import type { SimNode } from './sim-node.ts'

export type SimStreamState = 'dialling' | 'open' | 'failed'

export class SimStream implements DialApp {
  readonly node: SimNode
  state: SimStreamState = 'dialling'
  /** Why a dial failed: an error code, or how the stream ended before it was open. */
  failure: string | undefined
  dial: DialView | undefined
  stream: StreamView | undefined
  /** How often the core reported this dial as open: more than once is a bug. */
  opened = 0
  readonly received: Uint8Array[] = []
  receivedBytes = 0
  readEnded = false
  end: StreamEnd | undefined
  endedAtMs = 0
  settledAtMs = 0
  reading = true
  echo = false // writes back what it reads, and ends when the peer ends
  keep = true // false: count what is received, do not keep it
  #toWrite: Uint8Array[] = []
  #blocked = false
  #shutdown = false
  #shutdownDone = false

  readonly born: number // which run of the node it belongs to

  constructor(node: SimNode) {
    this.node = node
    this.born = node.lives
  }

  get data(): Buffer {
    return Buffer.concat(this.received)
  }
  get over(): boolean {
    return this.end !== undefined || this.state === 'failed'
  }
  get unsent(): number {
    return this.#toWrite.length
  }

  write(bytes: Uint8Array, chunk = 65_536): void {
    for (let at = 0; at < bytes.length; at += chunk) this.#toWrite.push(bytes.slice(at, at + chunk))
    this.#pump()
  }

  /** Everything in one piece, whatever its size. */
  writeWhole(bytes: Uint8Array): void {
    this.write(bytes, bytes.length)
  }

  shutdown(): void {
    this.#shutdown = true
    this.#pump()
  }

  close(): void {
    this.#act((now, stream) => this.node.core.close(now, stream))
  }
  /** Aborts it in any state; a dial is cancelled. */
  reset(): void {
    if (this.stream === undefined) this.cancel()
    else this.#act((now, stream) => this.node.core.reset(now, stream))
  }

  resume(): void {
    this.reading = true
    this.#read()
  }

  cancel(): void {
    const { dial } = this
    if (dial !== undefined && this.born === this.node.lives)
      this.node.turn((now) => this.node.core.cancelDial(now, dial))
  }

  onConnected(): void {
    this.state = 'open'
  }

  onFailed(why: string): void {
    if (this.state !== 'dialling') return
    this.state = 'failed'
    this.failure = why
    this.settledAtMs = this.node.nowMs
  }

  onNews(stream: StreamView, news: number): void {
    if (this.state === 'failed') return
    if ((news & NEWS_OPEN) !== 0) this.#onOpen(stream)
    if (this.stream !== stream) {
      if (this.state === 'dialling' && stream.end !== undefined) this.onFailed(stream.end)
      return
    }
    if ((news & NEWS_WRITABLE) !== 0) this.#blocked = false
    if ((news & NEWS_ENDED) !== 0 && this.end === undefined) {
      this.end = stream.end
      this.endedAtMs = this.node.nowMs
    }
    if (this.reading) this.#read()
    this.#pump()
  }

  #onOpen(stream: StreamView): void {
    this.opened += 1
    if (this.stream !== undefined) return
    this.stream = stream
    this.state = 'open'
    this.settledAtMs = this.node.nowMs
  }

  #read(): void {
    const { stream } = this
    if (stream === undefined) return
    let took = false
    for (let chunk = stream.read(); chunk !== undefined; chunk = stream.read()) {
      took = true
      this.receivedBytes += chunk.length
      if (this.keep) this.received.push(chunk)
      if (this.echo) this.#toWrite.push(chunk.slice())
    }
    if (took) this.#act((now) => this.node.core.afterRead(now, stream))
    if (stream.readEnded && !this.readEnded) {
      this.readEnded = true
      if (this.echo) this.#shutdown = true
    }
    if (this.echo) this.#pump()
  }

  #pump(): void {
    const { stream } = this
    if (stream === undefined || this.state !== 'open') return
    while (!this.#blocked && this.#toWrite.length > 0) {
      const chunk = this.#toWrite.shift()!
      this.#act((now) => {
        this.#blocked = !this.node.core.write(now, stream, chunk, chunk.length === 65_536)
      }) // like a gateway, which reads no more at once
    }
    if (this.#toWrite.length > 0 || !this.#shutdown || this.#shutdownDone) return
    this.#shutdownDone = true
    this.#act((now) => this.node.core.shutdown(now, stream))
  }

  #act(act: (now: number, stream: StreamView) => void): void {
    const { stream } = this
    if (stream !== undefined && this.born === this.node.lives) this.node.turn((now) => act(now, stream))
  }
}
