/**
 * The public API of the package, and the only file that re-exports. Anything not named here may change at any time;
 * docs/api.md documents it with examples. `pilotgate/testing` is src/api/testnet.ts.
 *
 *   await using node = await createNode({ registry: 'rv.example:9000', beacon: 'rv.example:9001', hostname: 'agent-a', trust: ['agent-b'] })
 *   const stream = await node.dial('agent-b:80')           // a Duplex
 *   await node.listen(80, (incoming) => incoming.accept().pipe(…))
 */
export { ERRORS, PilotError } from './base/errors.ts'
export type { ErrorCode } from './base/errors.ts'
export { formatAddress, parseAddress } from './base/address.ts'
export type { OverlayAddress } from './base/address.ts'
export type { Endpoint, NodeId } from './base/types.ts'
export { createGateway, createNode } from './api/create.ts'
export type { CreateGatewayOptions, NodeOptions, ServingNode } from './api/create.ts'
export type { EventOptions } from './api/events.ts'
export type { MessageOptions } from './api/messages.ts'
export type { EventControl } from './services/events/desk.ts'
export type { StreamEvent } from './wire/event-frame.ts'
export type { Arrival, MessageControl } from './services/messages/desk.ts'
export type { EndedRecord, InboxFilter, InboxRecord, OutgoingRecord, SendRequest } from './services/messages/records.ts'
export { OverlayNode } from './runtime/node/node.ts'
export { DaemonNode } from './runtime/daemon/daemon-node.ts'
export type { DaemonNodeOptions } from './runtime/daemon/daemon-node.ts'
export type { OverlayNodeOptions } from './runtime/node/options.ts'
export type {
  OverlayDatagrams,
  Incoming,
  Listener,
  Overlay,
  OverlayEvent,
  OverlayHealth,
  OverlayStatus,
  OverlayStream,
  PathKind,
  PathStatus,
  PeerStatus,
  Pong,
} from './runtime/overlay.ts'
export { PilotAgent } from './api/pilot-agent.ts'
export { pilotConnect } from './api/connect.ts'
export type { ConnectCallback, ConnectOptions } from './api/connect.ts'
export { callerOf } from './api/caller.ts'
export type { Caller } from './api/caller.ts'
export { serveHttp, serveHttp2 } from './api/serve.ts'
export type { ServeOptions } from './api/serve.ts'
export { serveGrpc } from './api/serve-grpc.ts'
export type { GrpcServing } from './api/serve-grpc.ts'
export { registerPilotResolver } from './api/grpc-resolver.ts'
export type { GrpcResolving, PilotResolver } from './api/grpc-resolver.ts'
export { createLogger, silentLogger } from './runtime/log.ts'
export type { Logger } from './base/logger.ts'
export type { LogLevel } from './runtime/log.ts'
export { startRendezvous } from './server/rendezvous.ts'
export type { Rendezvous, RendezvousOptions } from './server/rendezvous.ts'
export { startGateway } from './gateway/gateway.ts'
export type { Gateway } from './gateway/control.ts'
export { parseExposeSpec } from './gateway/model/expose-spec.ts'
export type { ExposeSpec } from './gateway/model/expose-spec.ts'
export { parseMapSpec } from './gateway/model/map-spec.ts'
export type { MapSpec } from './gateway/model/map-spec.ts'
export type { Changes, GatewayEvent, ReadyEvent } from './gateway/model/events.ts'
export type { Desired, GatewayOptions } from './gateway/model/options.ts'
export type {
  ConnectionRecord,
  DoctorRecord,
  ExplainRecord,
  ExposedRecord,
  MappedRecord,
  NodeRecord,
  PeerRecord,
  StatusRecord,
} from './gateway/model/records.ts'
