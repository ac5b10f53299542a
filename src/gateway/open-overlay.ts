/** Chooses the gateway's overlay: the only place that knows both kinds. Above: gateway.ts. */
import { PilotError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { DaemonNode } from '../runtime/daemon/daemon-node.ts'
import { OverlayNode } from '../runtime/node/node.ts'
import type { Overlay, OverlayEvent } from '../runtime/overlay.ts'
import { serveHandshakes } from '../services/handshake.ts'
import { WellKnown } from '../services/well-known.ts'
import type { GatewayEvent } from './model/events.ts'
import type { GatewayOptions } from './model/options.ts'
import { OwnPorts } from './own-ports.ts'
import { Services } from './services.ts'

export interface Joined {
  readonly node: Overlay
  readonly ownPorts: OwnPorts | undefined // a daemon has its own
  readonly services: Services
}

/** The configured daemon, or our own node with the services that are built into a daemon. */
export async function joinOverlay(
  options: GatewayOptions,
  { log, version }: { readonly log: Logger; readonly version: string },
  onEvent: (event: GatewayEvent) => void,
  onOverlay: (event: OverlayEvent) => void,
): Promise<Joined> {
  const { daemon, driver, trust, exposes } = options
  const direct = [...options.maps, ...exposes].find(({ path }) => path === 'direct')
  if (daemon !== undefined && direct !== undefined)
    throw new PilotError(
      'USAGE',
      `${direct.name}: path: direct cannot be guaranteed with --daemon, which chooses its paths and does not report them`,
      {},
      undefined,
      'Run without --daemon, or leave out path: direct.',
    )
  const parts: { services?: Services; ownPorts?: OwnPorts } = {} // not yet, when the first events come
  const tell = (event: OverlayEvent): void => {
    onOverlay(event)
    if (event.kind === 'trust') parts.ownPorts?.onTrust()
    if (event.kind === 'peer' && event.state === 'connected') parts.services?.onPeer(event.node)
  }
  if (daemon !== undefined) {
    const node = await DaemonNode.start({ ...daemon, trust }, log, tell)
    const services = (parts.services = await openServices(node, options, log, onEvent))
    return { node, ownPorts: undefined, services }
  }
  const node = await OverlayNode.start(options, log, tell)
  await serveHandshakes(node, log)
  const services = (parts.services = await openServices(node, options, log, onEvent))
  const wellKnown = new WellKnown(services.ports)
  await wellKnown.serve(portsOf(exposes))
  parts.ownPorts = new OwnPorts(node, wellKnown, driver, version, log)
  return { node, ownPorts: parts.ownPorts, services }
}

/** If that fails, the node must not stay behind. */
async function openServices(
  node: Overlay,
  options: GatewayOptions,
  log: Logger,
  onEvent: (event: GatewayEvent) => void,
): Promise<Services> {
  try {
    return await Services.open(node, options, log, onEvent)
  } catch (error) {
    await node.stop()
    throw error
  }
}

/** The overlay ports that these exposures listen on for streams. */
export function portsOf(exposes: GatewayOptions['exposes']): ReadonlySet<number> {
  return new Set(exposes.filter(({ protocol }) => protocol === 'tcp').map(({ port }) => port))
}
