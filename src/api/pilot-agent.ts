/** An HTTP client over the overlay: `http.request('http://alice.pilot/', { agent: new PilotAgent(node) })`. */
import { Agent } from 'node:http'
import type { AgentOptions, ClientRequestArgs } from 'node:http'
import type { Duplex } from 'node:stream'
import { asPilotError } from '../base/errors.ts'
import type { Overlay } from '../runtime/overlay.ts'
import { HTTP_PORT, overlayTarget } from './pilot-host.ts'

/**
 * Its connections are overlay streams, kept alive and pooled for each peer and port. Hosts: see `overlayTarget`; the port is
 * 80 where none is given. Of `maxSockets` Node counts only connections that are open already, not those being dialled. A connection that cannot be opened is a request's 'error' with a PilotError. `destroy()` closes
 * what idles. It inherits because http.request takes nothing but an Agent, and libraries test for one with instanceof.
 */
export class PilotAgent extends Agent {
  readonly #node: Pick<Overlay, 'dial'>

  /** @param options Node's own for agents; here keepAlive defaults to true, and what idles is closed after IDLE_MS. */
  constructor (node: Pick<Overlay, 'dial'>, options: AgentOptions = {}) {
    super({ keepAlive: true, timeout: IDLE_MS, ...options })
    this.#node = node
  }

  override createConnection (options: ClientRequestArgs, answer: (error: Error | null, stream: Duplex) => void): undefined {
    const failed = (error: unknown): void => (answer as (error: Error) => void)(asPilotError(error))
    let target
    try {
      target = overlayTarget(options.host ?? options.hostname ?? '', Number(options.port ?? HTTP_PORT))
    } catch (error) {
      setImmediate(failed, error) // the agent expects the answer later, not while it asks
      return
    }
    this.#node.dial(target, options.signal).then((stream) => answer(null, stream), failed)
  }
}

/** How long a connection without a request stays open: what most servers allow, and nothing that NATs forget. */
const IDLE_MS = 30_000
