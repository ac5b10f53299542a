/**
 * Servers of node:http and node:http2 on an overlay port: connections of peers become connections of the server,
 * without TCP in between.
 */
import type { Server } from 'node:http'
import type { Http2Server, ServerHttp2Session } from 'node:http2'
import type { Listener, Overlay, OverlayStream } from '../runtime/overlay.ts'
import { callerAt, sessionStreams } from './caller.ts'
import type { Caller } from './caller.ts'

export interface ServeOptions {
  /**
   * Trust is checked first: a node that is not trusted gets no answer at all. Absent: every trusted peer may connect.
   */
  readonly allow?: (caller: Caller) => boolean
}

/**
 * The server need not listen on anything else. `callerOf(request)` returns the caller. Closing the listener stops new
 * connections; open ones belong to the server (`closeAllConnections`).
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
 * HTTP/2 without TLS, as from `http2.createServer()`: clients use it directly (prior knowledge).
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

/** Anything that accepts streams. */
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
