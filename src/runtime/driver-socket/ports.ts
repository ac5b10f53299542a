/**
 * Overlay ports that clients of the driver socket have bound. Exposures and built-in services come first: a port that
 * they have cannot be bound, and one that they get later is taken away.
 */
import { asPilotError } from '../../base/errors.ts'
import type { Incoming, Listener, Overlay } from '../overlay.ts'
import { DriverRefusal } from './refusal.ts'

/** Who binds. */
export interface PortOwner {
  readonly id: number
  accept(incoming: Incoming): void
}

interface Bound {
  readonly owner: PortOwner
  listener: Listener | undefined // not yet, or never: of port 0 there is none: no stream can be opened to it
}

export class DriverPorts {
  readonly #node: Pick<Overlay, 'listen'>
  readonly #bound = new Map<number, Bound>()

  constructor(node: Pick<Overlay, 'listen'>) {
    this.#node = node
  }

  /** @throws DriverRefusal if it is taken. */
  async bind(port: number, owner: PortOwner): Promise<void> {
    if (this.#bound.has(port)) throw taken(port)
    const bound: Bound = { owner, listener: undefined }
    this.#bound.set(port, bound) // before it waits: two binds may come at once
    if (port === 0) return
    try {
      const listener = await this.#node.listen(port, (incoming) => owner.accept(incoming))
      if (this.#bound.get(port) === bound) bound.listener = listener
      else listener.close() // released meanwhile
    } catch (error) {
      if (this.#bound.get(port) === bound) this.#bound.delete(port)
      throw asPilotError(error).code === 'PORT_IN_USE' ? taken(port) : error
    }
  }

  /** @throws DriverRefusal if it is not this owner's. */
  unbind(port: number, owner: PortOwner): void {
    if (this.#bound.get(port)?.owner !== owner) throw new DriverRefusal('unbind: port is not owned by this client')
    this.#release(port)
  }

  /** Every port of an owner that has gone. */
  releaseAll(owner: PortOwner): void {
    for (const [port, bound] of this.#bound) if (bound.owner === owner) this.#release(port)
  }

  /** For an exposure that comes. @returns the ports that were bound. */
  giveWay(ports: ReadonlySet<number>): number[] {
    const given = [...this.#bound.keys()].filter((port) => ports.has(port))
    for (const port of given) this.#release(port)
    return given
  }

  portsOf(owner: PortOwner): number[] {
    return [...this.#bound].filter(([, bound]) => bound.owner === owner).map(([port]) => port)
  }
  get size(): number {
    return this.#bound.size
  }

  #release(port: number): void {
    this.#bound.get(port)?.listener?.close()
    this.#bound.delete(port)
  }
}

function taken(port: number): DriverRefusal {
  return new DriverRefusal(`port ${port} already bound`)
}
