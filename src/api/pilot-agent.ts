/** An HTTP client over the overlay: `http.request('http://alice.pilot/', { agent: new PilotAgent(node) })`. */
import { Agent } from 'node:http'
import type { AgentOptions, ClientRequestArgs } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Overlay } from '../runtime/overlay.ts'
import { DialledStream } from './dialled-stream.ts'
import { HTTP_PORT } from '../gateway/model/peer-host.ts'
import { overlayTarget } from './pilot-host.ts'

/**
 * Its connections are overlay streams, kept alive and pooled by peer and port. Hosts: see `overlayTarget`; the default
 * port is 80. `maxSockets` includes connections that are being dialled. A connection that cannot be opened is the
 * request's 'error', a PilotError. `destroy()` closes idle ones. It extends Agent because http.request accepts only an
 * Agent, and libraries check with instanceof.
 */
export class PilotAgent extends Agent {
  readonly #node: Pick<Overlay, 'dial'>

  /**
   * @param options Node's agent options; here keepAlive defaults to true, and idle connections are closed after
   *   IDLE_MS.
   */
  constructor(node: Pick<Overlay, 'dial'>, options: AgentOptions = {}) {
    super({ keepAlive: true, timeout: IDLE_MS, ...options })
    this.#node = node
  }

  /** Returned immediately, like a socket that is still connecting, so that Node counts it from the start. */
  override createConnection(options: ClientRequestArgs): Duplex {
    return new DialledStream(
      async (signal) =>
        await this.#node.dial(
          overlayTarget(options.host ?? options.hostname ?? '', Number(options.port ?? HTTP_PORT)),
          signal,
        ),
    )
  }
}

/** How long a connection without a request stays open: most servers allow it, and no NAT forgets it. */
const IDLE_MS = 30_000
