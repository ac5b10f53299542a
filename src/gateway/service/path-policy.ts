/**
 * Which paths a service may use. The relay works at once and a direct way a moment later: whoever prefers or demands
 * the latter waits for it, a little, before the connection begins. Looking every 50 ms is cheap where people wait.
 */
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { GivingUp } from '../../runtime/giving-up.ts'
import type { Overlay } from '../../runtime/overlay.ts'
import type { PathPolicy } from '../model/path-policy.ts'

type PathNode = Pick<Overlay, 'connect' | 'pathTo'>

/** Before a dial. @throws PilotError: what `connect` throws, and RELAY_REFUSED. */
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

/** Before an exposure answers. @returns false when the peer comes by relay and must not. */
export async function admitPeer(node: PathNode, peer: NodeId, policy: PathPolicy): Promise<boolean> {
  return policy !== 'direct' || (await waitForDirect(node, peer, policy))
}

/** An open connection ended because only the relay was left: worth a word to the operator, who asked for that. */
export function isRelayRefused(error: Error | undefined): error is PilotError {
  return error instanceof PilotError && error.code === 'RELAY_REFUSED'
}

async function waitForDirect(node: PathNode, id: NodeId, policy: PathPolicy, signal?: GivingUp): Promise<boolean> {
  const until = performance.now() + (policy === 'direct' ? DIRECT_PATIENCE_MS : PREFER_PATIENCE_MS)
  for (;;) {
    const path = node.pathTo(id)
    if (path === null || (path !== undefined && path.kind !== 'relay')) return true // null: a daemon's, which is not asked for `direct`
    if (performance.now() >= until || signal?.aborted === true) return false
    await new Promise((resolve) => {
      setTimeout(resolve, LOOK_MS)
    })
  }
}

const LOOK_MS = 50
/** Punching takes two or three round trips with both peer and beacon; these are for bad ones. */
const PREFER_PATIENCE_MS = 2_000
const DIRECT_PATIENCE_MS = 5_000
