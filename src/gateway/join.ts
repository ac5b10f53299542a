/** Which overlay the gateway stands on: the only place that knows that there are two kinds. Above: gateway.ts. */
import { PilotError } from '../base/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { DaemonNode } from '../runtime/daemon/daemon-node.ts'
import { OverlayNode } from '../runtime/overlay-node.ts'
import type { Overlay, OverlayEvent } from '../runtime/overlay.ts'
import { serveHandshakes } from '../services/handshake.ts'
import { serveWellKnown } from '../services/well-known.ts'
import type { GatewayOptions } from './types.ts'

/** The daemon that was named, or a node of our own, with the services that a daemon has built in. */
export async function joinOverlay (options: GatewayOptions, log: Logger, onEvent: (event: OverlayEvent) => void): Promise<Overlay> {
  const { daemon, trust, stateDir, exposes } = options
  const direct = [...options.maps, ...exposes].find(({ path }) => path === 'direct')
  if (daemon !== undefined && direct !== undefined) throw new PilotError('USAGE', `${direct.name}: path direct cannot be kept with --daemon: the daemon chooses its paths, and does not tell them`)
  if (daemon !== undefined) return await DaemonNode.start({ ...daemon, trust }, log, onEvent)
  const node = await OverlayNode.start(options, log, onEvent)
  await serveHandshakes(node, log)
  await serveWellKnown(node, { stateDir, taken: exposes.map(({ port }) => port) }, log, (received) => onEvent({ kind: 'message', ...received }))
  return node
}
