/** Two ends of a stream within this process, with backpressure. */
import { Duplex } from 'node:stream'

export function localPair(): [Duplex, Duplex] {
  const [a, b] = [new LocalEnd(), new LocalEnd()]
  a.other = b
  b.other = a
  return [a, b]
}

class LocalEnd extends Duplex {
  other!: LocalEnd
  #taken: (() => void) | undefined

  /** What HTTP clients call on a socket: nothing here. */
  setKeepAlive(): this {
    return this
  }
  setTimeout(): this {
    return this
  }
  setNoDelay(): this {
    return this
  }
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }

  override _read(): void {
    const { other } = this
    other.#taken?.()
    other.#taken = undefined
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    if (this.other.destroyed || this.other.push(chunk)) return done()
    this.#taken = done
  }

  override _final(done: () => void): void {
    if (!this.other.destroyed) this.other.push(null)
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const { other } = this
    if (!other.destroyed && !other.readableEnded) other.push(null)
    other.#taken?.()
    if (!other.destroyed) setImmediate(() => other.destroy())
    done(error)
  }
}
