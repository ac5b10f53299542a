/**
 * What Node's HTTP and other libraries ask of a socket beyond a Duplex. Above: streams of the overlay, and what is wrapped
 * around one. There is nothing to tune: nothing is ever held back, the tunnel keeps itself alive, and the node runs on.
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

/** One that passes on the bytes of another. */
export abstract class WrappedSocket extends SocketDuplex {
  /** The one beneath; undefined before there is one. */
  protected abstract get beneath(): { destroySoon(): void } | undefined

  /** Everything that was written leaves first. */
  destroySoon(): void {
    if (!this.writableEnded) this.end()
    const soon = (): void => this.beneath?.destroySoon()
    if (this.writableFinished) soon()
    else this.once('finish', soon)
  }
}
