/** An HTTP client over the overlay: `http.request('http://alice.pilot/', { agent: new PilotAgent(node) })`. */
import { Agent } from 'node:http'
import type { AgentOptions, ClientRequestArgs } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Overlay } from '../runtime/overlay.ts'
import { DialledStream } from './dialled-stream.ts'
import { HTTP_PORT } from '../gateway/model/peer-host.ts'
import { overlayTarget } from './pilot-host.ts'

/**
 * Its connections are overlay streams, kept alive and pooled for each peer and port. Hosts: see `overlayTarget`; the port is
 * 80 where none is given. `maxSockets` counts connections that are being dialled as well. A connection that cannot be opened
 * is a request's 'error' with a PilotError. `destroy()` closes what idles. It inherits because http.request takes nothing but an Agent, and libraries test for one with instanceof.
 */
export class PilotAgent extends Agent {
  readonly #node: Pick<Overlay, 'dial'>

  /** @param options Node's own for agents; here keepAlive defaults to true, and what idles is closed after IDLE_MS. */
  constructor(node: Pick<Overlay, 'dial'>, options: AgentOptions = {}) {
    super({ keepAlive: true, timeout: IDLE_MS, ...options })
    this.#node = node
  }

  /** At once, as of a socket that is still connecting: so Node counts it from the beginning. */
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

/** How long a connection without a request stays open: what most servers allow, and nothing that NATs forget. */
const IDLE_MS = 30_000
