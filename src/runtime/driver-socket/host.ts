/** What the parts of the driver socket need of each other. */
import type { OverlayAddress } from '../../base/address.ts'
import type { NodeId } from '../../base/types.ts'
import type { DriverQuestion } from '../../proto/driver/client.ts'
import type { OverlayStream } from '../overlay.ts'
import type { DriverPorts, PortOwner } from './ports.ts'

/** JSON for a driver. */
export type Answer = Readonly<Record<string, unknown>>

/** What one client needs of the rest. */
export interface DriverHost {
  readonly ports: DriverPorts
  nextConnection(): number
  /** @throws PilotError: like Overlay.dial. */
  dial(node: NodeId, port: number, signal: AbortSignal): Promise<OverlayStream>
  /** @throws PilotError: like OverlayDatagrams.send. */
  sendDatagram(to: OverlayAddress, port: number, bytes: Uint8Array): Promise<void>
  /** @throws DriverRefusal, or what the node and the registry throw. */
  answer(request: DriverQuestion, gone: AbortSignal): Promise<string>
  /** A client closes a stream that is not its own. */
  closeFor(asker: PortOwner, connection: number): void
  onNotReading(client: PortOwner): void
  onGone(client: PortOwner): void
}

/** The state of the socket, for info and health. */
export interface Present {
  readonly version: string
  readonly uptimeSecs: number
  readonly streams: readonly (readonly [id: number, stream: OverlayStream])[]
  readonly boundPorts: number
}
