/**
 * A `@grpc/grpc-js` server on an overlay port, with no TCP in between: each peer has a connection injector of its own,
 * whose interceptor tells the handlers in the metadata who calls. Above: the user, who hands in the package, so that
 * there is one copy of it and none is loaded by those who need none.
 */
import type * as Grpc from '@grpc/grpc-js'
import type { NodeId } from '../base/types.ts'
import type { Listener, Overlay, OverlayStream } from '../runtime/overlay.ts'
import { callerAt } from './caller.ts'
import type { Caller } from './caller.ts'
import { serveStreams } from './serve.ts'
import type { ServeOptions } from './serve.ts'

/**
 * Handlers find the caller in `call.metadata`: `pilot-node`, `pilot-address`, `pilot-hostname`; what the client sent as
 * `pilot-…` is removed. Closing the listener takes no new connections; those open are the server's (`tryShutdown`).
 * @param grpc the package itself: `import * as grpc from '@grpc/grpc-js'`, 1.14 or later.
 * @throws PilotError PORT_IN_USE.
 */
export async function serveGrpc(
  node: Pick<Overlay, 'listen' | 'hostnameOf'>,
  port: number,
  server: Grpc.Server,
  grpc: GrpcServing,
  options: ServeOptions = {},
): Promise<Listener> {
  const callers = new Map<NodeId, Injecting>()
  const inject = (stream: OverlayStream): void => {
    const { peer } = stream
    const entry = callers.get(peer) ?? {
      open: 0,
      injector: server.createConnectionInjector(
        credentialsFor(grpc, callerAt(peer, stream.peerName), node.hostnameOf(peer)),
      ),
    }
    callers.set(peer, entry)
    entry.open += 1
    stream.once('close', () => {
      entry.open -= 1
      if (entry.open > 0) return
      callers.delete(peer)
      entry.injector.destroy()
    })
    entry.injector.injectConnection(stream)
  }
  return await serveStreams(node, port, options, inject)
}

/** What is used of the package. */
export type GrpcServing = Pick<
  typeof Grpc,
  'ServerCredentials' | 'ServerInterceptingCall' | 'ResponderBuilder' | 'ServerListenerBuilder'
> & {
  readonly experimental: Pick<typeof Grpc.experimental, 'createServerCredentialsWithInterceptors'>
}

interface Injecting {
  open: number
  readonly injector: ReturnType<Grpc.Server['createConnectionInjector']>
}

/** The tunnel has encrypted and authenticated; gRPC's own security has nothing to add. */
function credentialsFor(grpc: GrpcServing, caller: Caller, hostname: string | undefined): Grpc.ServerCredentials {
  const tell = (metadata: Grpc.Metadata): void => {
    for (const key of Object.keys(metadata.getMap())) if (key.startsWith('pilot-')) metadata.remove(key)
    metadata.set('pilot-node', String(caller.nodeId))
    metadata.set('pilot-address', caller.address)
    if (hostname !== undefined) metadata.set('pilot-hostname', hostname)
  }
  const interceptor: Grpc.ServerInterceptor = (_method, call) => {
    const listener = new grpc.ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        tell(metadata)
        next(metadata)
      })
      .build()
    return new grpc.ServerInterceptingCall(
      call,
      new grpc.ResponderBuilder().withStart((next) => next(listener)).build(),
    )
  }
  return grpc.experimental.createServerCredentialsWithInterceptors(grpc.ServerCredentials.createInsecure(), [
    interceptor,
  ])
}
