/** Who may use an exposed service. A denial is an answer to us alone: the peer sees a port where nothing listens. */
import { parsePeerName } from '../base/address.ts'
import type { NodeId } from '../base/types.ts'
import { INVITED, TRUSTED } from './specs.ts'

/** What access needs to know of the overlay. */
export interface AccessNode {
  isTrusted (node: NodeId): Promise<boolean>
  /** Rejects when the name is unknown: then it names nobody. */
  resolve (peer: string): Promise<NodeId>
}

/**
 * The entries of an allow-list for a node that no ticket let in. 'trusted' means whom a person chose to trust: not a
 * node that is trusted only because of a ticket for something else ('restricted').
 */
export function withoutTickets (allow: readonly string[], guest: 'granted' | 'restricted' | undefined): readonly string[] {
  return allow.filter((entry) => entry !== INVITED && (guest === undefined || entry !== TRUSTED))
}

/** The node was authenticated by its tunnel. Names are asked of the registry, which remembers them for a short while. */
export async function isAllowed (access: AccessNode, allow: readonly string[], node: NodeId): Promise<boolean> {
  if (!await access.isTrusted(node)) return false // a public node talks to everybody, and still serves only whom it trusts
  for (const entry of allow) {
    if (entry === TRUSTED) return true
    const name = parsePeerName(entry)
    if (name?.kind === 'address') {
      if (name.address.node === node) return true
      continue
    }
    const named = await access.resolve(entry).catch(() => undefined)
    if (named === node) return true
  }
  return false
}
