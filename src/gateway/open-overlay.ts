/** Chooses the gateway's overlay: the only place that knows both kinds. Above: gateway.ts. */
import { PilotError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { DaemonNode } from '../runtime/daemon/daemon-node.ts'
import { OverlayNode } from '../runtime/node/node.ts'
import type { Overlay, OverlayEvent } from '../runtime/overlay.ts'
import { serveHandshakes } from '../services/handshake.ts'
import { WellKnown } from '../services/well-known.ts'
import type { GatewayOptions } from './model/options.ts'
import { OwnPorts } from './own-ports.ts'

export interface Joined {
  readonly node: Overlay
  readonly ownPorts: OwnPorts | undefined // a daemon has its own
}

/** The configured daemon, or our own node with the services that are built into a daemon. */
export async function joinOverlay(
  options: GatewayOptions,
  { log, version }: { readonly log: Logger; readonly version: string },
  onEvent: (event: OverlayEvent) => void,
): Promise<Joined> {
  const { daemon, driver, trust, stateDir, exposes } = options
  const direct = [...options.maps, ...exposes].find(({ path }) => path === 'direct')
  if (daemon !== undefined && direct !== undefined)
    throw new PilotError(
      'USAGE',
      `${direct.name}: path: direct cannot be guaranteed with --daemon, which chooses its paths and does not report them`,
      {},
      undefined,
      'Run without --daemon, or leave out path: direct.',
    )
  if (daemon !== undefined)
    return { node: await DaemonNode.start({ ...daemon, trust }, log, onEvent), ownPorts: undefined }
  const parts: { ownPorts?: OwnPorts } = {} // not yet, when the first events come
  const node = await OverlayNode.start(options, log, (event) => {
    onEvent(event)
    if (event.kind === 'trust') parts.ownPorts?.onTrust()
  })
  await serveHandshakes(node, log)
  const wellKnown = new WellKnown(node, stateDir, log, (received) => onEvent({ kind: 'message', ...received }))
  await wellKnown.serve(portsOf(exposes))
  parts.ownPorts = new OwnPorts(node, wellKnown, driver, version, log)
  return { node, ownPorts: parts.ownPorts }
}

/** The overlay ports that these exposures listen on for streams. */
export function portsOf(exposes: GatewayOptions['exposes']): ReadonlySet<number> {
  return new Set(exposes.filter(({ protocol }) => protocol === 'tcp').map(({ port }) => port))
}
