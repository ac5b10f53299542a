/**
 * What Node's HTTP and other libraries expect of a socket beyond a Duplex. Above: streams of the overlay, and their
 * wrappers. The options do nothing: no data is ever held back, the tunnel has its own keepalive, and the node keeps
 * running.
 */
import { Duplex } from 'node:stream'

export abstract class SocketDuplex extends Duplex {
  setNoDelay(): this {
    return this
  }
  setKeepAlive(): this {
    return this
  }
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }
}

/** One with the idle timer of a socket. */
export abstract class TimedSocket extends SocketDuplex {
  #timeoutMs = 0
  #timer: NodeJS.Timeout | undefined

  /** 'timeout' after this many ms without a byte in either direction; 0 turns it off. */
  setTimeout(ms: number, listener?: () => void): this {
    this.#timeoutMs = ms
    clearTimeout(this.#timer)
    this.#timer = ms > 0 ? setTimeout(() => this.emit('timeout'), ms) : undefined
    if (listener === undefined) return this
    return ms > 0 ? this.once('timeout', listener) : this.off('timeout', listener)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#timer)
    done(error)
  }

  /** Bytes have moved. */
  protected alive(): void {
    if (this.#timeoutMs > 0) this.#timer?.refresh()
  }
}

/** One that forwards the bytes of another. */
export abstract class WrappedSocket extends SocketDuplex {
  /** The one beneath; undefined before there is one. */
  protected abstract get beneath(): { destroySoon(): void } | undefined

  /** Everything written is sent first. */
  destroySoon(): void {
    if (!this.writableEnded) this.end()
    const soon = (): void => this.beneath?.destroySoon()
    if (this.writableFinished) soon()
    else this.once('finish', soon)
  }
}
