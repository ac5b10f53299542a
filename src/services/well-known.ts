/**
 * The services that every reference node offers: echo and data exchange. The operator's own services on these ports
 * replace them.
 */
import type { Logger } from '../base/logger.ts'
import type { Listener, Overlay } from '../runtime/overlay.ts'
import type { Received } from './data-exchange.ts'
import { DATA_PORT, ECHO_PORT } from '../base/overlay-ports.ts'
import { serveDataExchange } from './data-exchange.ts'
import { serveEcho } from './echo.ts'
import { Inbox } from './inbox.ts'

export class WellKnown {
  readonly #services: ReadonlyMap<number, () => Promise<Listener>>
  readonly #open = new Map<number, Listener>()

  /** @param stateDir holds what peers send, in `inbox` and `received`. */
  constructor(node: Overlay, stateDir: string, log: Logger, onReceived: (received: Received) => void) {
    const inbox = new Inbox(stateDir)
    this.#services = new Map([
      [ECHO_PORT, () => serveEcho(node)],
      [DATA_PORT, () => serveDataExchange(node, inbox, log, onReceived)],
    ])
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
