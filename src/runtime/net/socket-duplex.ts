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
