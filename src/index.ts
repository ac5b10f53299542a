/**
 * The public API of the package, and the only file that re-exports. What is not named here may change at any time.
 *
 *   const node = await OverlayNode.start({ registry, beacon, listen: '0.0.0.0:0', public: false, identityFile, trust: ['agent-b'], pinned: {} }, log, onEvent)
 *   const stream = await node.dial('agent-b:80')           // a Duplex
 *   await node.listen(80, (incoming) => incoming.accept().pipe(…))
 */
export { ERRORS, PilotError } from './base/errors.ts'
export type { ErrorCode } from './base/errors.ts'
export { formatAddress, parseAddress } from './base/address.ts'
export type { OverlayAddress } from './base/address.ts'
export { OverlayNode } from './runtime/overlay-node.ts'
export { DaemonNode } from './runtime/daemon/daemon-node.ts'
export type { DaemonNodeOptions } from './runtime/daemon/daemon-node.ts'
export type { OverlayNodeOptions } from './runtime/overlay-options.ts'
export type { DatagramPort, Incoming, Listener, Overlay, OverlayEvent, OverlayStatus, OverlayStream, PathStatus, PeerStatus, Pong } from './runtime/overlay.ts'
export { createLogger, silentLogger } from './runtime/log.ts'
export type { Logger, LogLevel } from './runtime/log.ts'
export { startRendezvous } from './server/rendezvous.ts'
export type { Rendezvous } from './server/rendezvous.ts'
export { startGateway } from './gateway/gateway.ts'
export type { Gateway } from './gateway/gateway.ts'
export { parseExposeSpec, parseMapSpec } from './gateway/specs.ts'
export type { ExposeSpec, GatewayEvent, GatewayOptions, MapSpec, ReadyEvent, StatusRecord } from './gateway/types.ts'
