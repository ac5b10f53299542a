/**
 * Which paths a service may use. The relay works immediately and a direct path a moment later: services that prefer or
 * require the latter wait briefly before the connection begins. Polling every 50 ms is cheap on a human time scale.
 */
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { GivingUp } from '../../runtime/giving-up.ts'
import type { Overlay } from '../../runtime/overlay.ts'
import type { PathPolicy } from '../model/path-policy.ts'

type PathNode = Pick<Overlay, 'connect' | 'pathTo'>

/** Before a dial. @throws PilotError: like `connect`, and RELAY_REFUSED. */
export async function admitDial(node: PathNode, peer: string, policy: PathPolicy, signal: GivingUp): Promise<void> {
  if (policy === 'any') return
  const id = await node.connect(peer)
  if ((await waitForDirect(node, id, policy, signal)) || policy === 'prefer-direct') return
  throw new PilotError(
    'RELAY_REFUSED',
    `${peer}: only the relay works (${node.pathTo(id)?.reason ?? 'no path'}), and path: direct refuses it`,
    { peer, path: 'relay' },
  )
}

/** Before an exposure answers. @returns false if the peer uses the relay and must not. */
export async function admitPeer(node: PathNode, peer: NodeId, policy: PathPolicy): Promise<boolean> {
  return policy !== 'direct' || (await waitForDirect(node, peer, policy))
}

/** An open connection ended because only the relay was left, as configured: worth a log line. */
export function isRelayRefused(error: Error | undefined): error is PilotError {
  return error instanceof PilotError && error.code === 'RELAY_REFUSED'
}

async function waitForDirect(node: PathNode, id: NodeId, policy: PathPolicy, signal?: GivingUp): Promise<boolean> {
  const until = performance.now() + (policy === 'direct' ? DIRECT_PATIENCE_MS : PREFER_PATIENCE_MS)
  for (;;) {
    const path = node.pathTo(id)
    if (path === null || (path !== undefined && path.kind !== 'relay')) return true // null: a daemon's, for which `direct` is refused
    if (performance.now() >= until || signal?.aborted === true) return false
    await new Promise((resolve) => {
      setTimeout(resolve, LOOK_MS)
    })
  }
}

const LOOK_MS = 50
/** Punching takes two or three round trips with both peer and beacon; these values allow for slow ones. */
const PREFER_PATIENCE_MS = 2_000
const DIRECT_PATIENCE_MS = 5_000
