/** A broker of events on a node in a program. */
import type { Logger } from '../base/logger.ts'
import type { NodeId } from '../base/types.ts'
import type { Overlay } from '../runtime/overlay.ts'
import { EventService } from '../services/events/event-service.ts'

export interface EventOptions {
  /** Who may publish and subscribe. Default: every trusted peer. */
  readonly admits?: (peer: NodeId) => Promise<boolean>
  /** Topics that may be used: names, or beginnings such as `ci.*`. Default: all. */
  readonly topics?: readonly string[]
}

/** @throws PilotError PORT_IN_USE. */
export async function serveEvents(node: Overlay, options: EventOptions, log: Logger): Promise<EventService> {
  const { admits = (peer) => isChosen(node, peer), topics } = options
  const service = new EventService({ topics }, log)
  await service.serve(node, async ({ peer }) => await admits(peer))
  return service
}

/** Guests were admitted for one service. */
async function isChosen(node: Overlay, peer: NodeId): Promise<boolean> {
  const standing = await node.trustOf(peer)
  return standing !== undefined && standing.guest !== true
}
