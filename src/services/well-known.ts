/**
 * The services on well-known ports that a node offers on its own. The operator's own services on these ports replace
 * them.
 */
import type { Listener } from '../runtime/overlay.ts'

export class WellKnown {
  readonly #services: ReadonlyMap<number, () => Promise<Listener>>
  readonly #open = new Map<number, Listener>()

  /** @param services by port, each with what makes it listen. */
  constructor(services: ReadonlyMap<number, () => Promise<Listener>>) {
    this.#services = services
  }

  /** Frees those ports; open streams continue. @param taken ports that the operator uses for other services. */
  giveWay(taken: ReadonlySet<number>): void {
    for (const [port, listener] of this.#open) {
      if (!taken.has(port)) continue
      listener.close()
      this.#open.delete(port)
    }
  }

  /** Serves on every port that is not taken. @throws PilotError: like `listen`. */
  async serve(taken: ReadonlySet<number>): Promise<void> {
    for (const [port, serve] of this.#services)
      if (!taken.has(port) && !this.#open.has(port)) this.#open.set(port, await serve())
  }
}
