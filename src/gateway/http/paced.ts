/**
 * A peer's stream with a byte rate limit, both directions together, for HTTP parsing. It is slowed down by not reading
 * and by delaying write callbacks; nothing is lost. Above: exposed.ts. splice.ts does the same for bytes that pass
 * unparsed.
 */
import type { Duplex } from 'node:stream'
import type { OverlayStream } from '../../runtime/overlay.ts'
import { WrappedSocket } from '../../runtime/socket-duplex.ts'

export type PacedSource = Duplex & Pick<OverlayStream, 'destroySoon' | 'setTimeout'>

/** Has what Node's HTTP expects of a socket, and owns the underlying stream from now on. */
export class Paced extends WrappedSocket {
  readonly #stream: PacedSource
  readonly #pace: (bytes: number) => number
  #isWanted = false
  #pause: NodeJS.Timeout | undefined // while it lasts nothing is read
  #hold: NodeJS.Timeout | undefined // a completed write whose callback is delayed

  /** @param pace takes the bytes that have just passed; returns how long the next must wait, ms. */
  constructor(stream: PacedSource, pace: (bytes: number) => number) {
    super({ allowHalfOpen: true })
    this.#stream = stream
    this.#pace = pace
    stream.on('data', (chunk: Uint8Array) => this.#onData(chunk))
    stream.pause()
    stream.on('error', (error) => this.destroy(error))
    stream.on('timeout', () => this.emit('timeout'))
    stream.once('end', () => this.push(null))
    stream.once('close', () => {
      if (!stream.readableEnded || !stream.writableFinished) this.destroy()
    })
  }

  protected get beneath(): PacedSource {
    return this.#stream
  }

  #onData(chunk: Uint8Array): void {
    const waitMs = this.#pace(chunk.length)
    this.#isWanted = this.push(chunk)
    if (waitMs > 0) {
      this.#pause = setTimeout(() => {
        this.#pause = undefined
        if (this.#isWanted) this.#stream.resume()
      }, waitMs)
    }
    if (!this.#isWanted || waitMs > 0) this.#stream.pause()
  }

  override _read(): void {
    this.#isWanted = true
    if (this.#pause === undefined) this.#stream.resume()
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const waitMs = this.#pace(chunk.length)
    const written = (): void => {
      if (waitMs > 0) this.#hold = setTimeout(done, waitMs)
      else done()
    }
    if (this.#stream.write(chunk)) written()
    else this.#stream.once('drain', written)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#stream.end()
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#pause)
    clearTimeout(this.#hold)
    this.#stream.destroy()
    done(error)
  }

  setTimeout(ms: number, listener?: () => void): this {
    this.#stream.setTimeout(ms)
    if (listener !== undefined) this.once('timeout', listener)
    return this
  }
}
