/** Servers of node:http and node:http2 on an overlay port: what peers open becomes a connection of the server, with no TCP in between. */
import type { Server } from 'node:http'
import type { Http2Server, ServerHttp2Session } from 'node:http2'
import type { Listener, Overlay, OverlayStream } from '../runtime/overlay.ts'
import { callerAt, sessionStreams } from './caller.ts'
import type { Caller } from './caller.ts'

export interface ServeOptions {
  /** Trust comes first: who is not trusted gets no answer at all. Absent: every trusted peer may. */
  readonly allow?: (caller: Caller) => boolean
}

/**
 * The server need not listen on anything else. `callerOf(request)` tells who asks. Closing the listener takes no new
 * connections; those open are the server's (`closeAllConnections`).
 * @throws PilotError PORT_IN_USE.
 */
export async function serveHttp(
  node: Pick<Overlay, 'listen'>,
  port: number,
  server: Server,
  options: ServeOptions = {},
): Promise<Listener> {
  return await serveStreams(node, port, options, (stream) => server.emit('connection', stream))
}

/**
 * HTTP/2 without TLS, as `http2.createServer()` makes it: clients speak it at once (prior knowledge).
 * @throws PilotError PORT_IN_USE.
 */
export async function serveHttp2(
  node: Pick<Overlay, 'listen'>,
  port: number,
  server: Http2Server,
  options: ServeOptions = {},
): Promise<Listener> {
  return await serveStreams(node, port, options, (stream) => {
    const note = (session: ServerHttp2Session): void => {
      sessionStreams.set(session, stream)
    }
    server.once('session', note) // emitted before 'connection' returns
    server.emit('connection', stream)
    server.off('session', note)
  })
}

/** Any taker of streams. */
export async function serveStreams(
  node: Pick<Overlay, 'listen'>,
  port: number,
  { allow = () => true }: ServeOptions,
  take: (stream: OverlayStream) => void,
): Promise<Listener> {
  return await node.listen(port, (incoming) => {
    if (allow(callerAt(incoming.peer, incoming.peerName))) take(incoming.accept())
    else incoming.refuse()
  })
}
