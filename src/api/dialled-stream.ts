/**
 * A stream that is still being dialled, like a socket that is still connecting: it can be counted, written to and
 * abandoned before there is a connection. Above: pilot-agent.ts; Node's agents count only the sockets they were given.
 */
import { asPilotError } from '../base/errors.ts'
import type { OverlayStream } from '../runtime/overlay.ts'
import { WrappedSocket } from '../runtime/socket-duplex.ts'

export class DialledStream extends WrappedSocket {
  readonly #giveUp = new AbortController()
  #stream: OverlayStream | undefined
  #isWanted = false
  #timeoutMs = 0
  #waiting: (() => void) | undefined // a pending write or end, until there is a stream

  /** @param dial its failure is the stream's 'error'; an abort means that no one is waiting any more. */
  constructor(dial: (signal: AbortSignal) => Promise<OverlayStream>) {
    super({ allowHalfOpen: true })
    dial(this.#giveUp.signal).then(
      (stream) => this.#attach(stream),
      (error: unknown) => this.destroy(asPilotError(error)),
    )
  }

  protected get beneath(): OverlayStream | undefined {
    return this.#stream
  }
  get connecting(): boolean {
    return this.#stream === undefined && !this.destroyed
  }

  #attach(stream: OverlayStream): void {
    stream.on('error', (error) => this.destroy(error))
    if (this.destroyed) {
      stream.resetAndDestroy()
      return
    }
    this.#stream = stream
    stream.on('data', (chunk: Uint8Array) => {
      if (!this.push(chunk)) stream.pause()
    })
    if (!this.#isWanted) stream.pause()
    stream.on('timeout', () => this.emit('timeout'))
    stream.once('end', () => this.push(null))
    stream.once('close', () => {
      if (!stream.readableEnded || !stream.writableFinished) this.destroy()
    })
    if (this.#timeoutMs > 0) stream.setTimeout(this.#timeoutMs)
    this.emit('connect')
    this.#waiting?.()
  }

  override _read(): void {
    this.#isWanted = true
    this.#stream?.resume()
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#whenOpen((stream) => {
      if (stream.write(chunk)) done()
      else stream.once('drain', done)
    })
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#whenOpen((stream) => {
      stream.end()
      done()
    })
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#giveUp.abort()
    this.#stream?.destroy()
    done(error)
  }

  #whenOpen(act: (stream: OverlayStream) => void): void {
    if (this.#stream !== undefined) act(this.#stream)
    else this.#waiting = () => act(this.#stream!)
  }

  /** Starts when the stream is open: dialling has its own limits. */
  setTimeout(ms: number, listener?: () => void): this {
    this.#timeoutMs = ms
    this.#stream?.setTimeout(ms)
    if (listener === undefined) return this
    return ms > 0 ? this.once('timeout', listener) : this.off('timeout', listener) // like net.Socket: 0 cancels it
  }
}
