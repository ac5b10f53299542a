/**
 * A `@grpc/grpc-js` server on an overlay port, without TCP in between: each peer has its own connection injector, whose
 * interceptor puts the caller into the metadata for the handlers. Above: the user, who passes in the package, so that
 * there is only one copy and others need not load it.
 */
import type { Duplex } from 'node:stream'
import type * as Grpc from '@grpc/grpc-js'
import type { NodeId } from '../base/types.ts'
import type { Listener, Overlay, OverlayStream } from '../runtime/overlay.ts'
import { callerAt } from './caller.ts'
import type { Caller } from './caller.ts'
import { serveStreams } from './serve.ts'
import type { ServeOptions } from './serve.ts'

/**
 * Handlers find the caller in `call.metadata`: `pilot-node`, `pilot-address`, `pilot-hostname`; `pilot-…` metadata sent
 * by the client is removed. Closing the listener stops new connections; open ones belong to the server (`tryShutdown`).
 * @param grpc the package itself: `import * as grpc from '@grpc/grpc-js'`, 1.14 or later.
 * @throws PilotError PORT_IN_USE.
 */
export async function serveGrpc(
  node: Pick<Overlay, 'listen' | 'hostnameOf'>,
  port: number,
  server: GrpcServer,
  grpc: GrpcServing,
  options: ServeOptions = {},
): Promise<Listener> {
  const callers = new Map<NodeId, Injecting>()
  const inject = (stream: OverlayStream): void => {
    const { peer } = stream
    const entry = callers.get(peer) ?? {
      open: 0,
      injector: (server as Grpc.Server).createConnectionInjector(
        credentialsFor(grpc as typeof Grpc, callerAt(peer, stream.peerName), node.hostnameOf(peer)),
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

/** The part of `grpc.Server` that we use. Our types do not import the package: only its users have it. */
export interface GrpcServer {
  createConnectionInjector(credentials: never): { injectConnection(connection: Duplex): void; destroy(): void }
}

/** The part of the package that we use. */
export interface GrpcServing {
  readonly ServerCredentials: { createInsecure(): object }
  readonly ServerInterceptingCall: abstract new (...args: never) => object
  readonly ResponderBuilder: abstract new () => object
  readonly ServerListenerBuilder: abstract new () => object
  readonly experimental: { createServerCredentialsWithInterceptors(credentials: never, interceptors: never): object }
}

interface Injecting {
  open: number
  readonly injector: ReturnType<Grpc.Server['createConnectionInjector']>
}

/** The tunnel encrypts and authenticates; gRPC's own security would add nothing. */
function credentialsFor(grpc: typeof Grpc, caller: Caller, hostname: string | undefined): Grpc.ServerCredentials {
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
