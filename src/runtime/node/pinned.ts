/**
 * Peers whose key, and perhaps address, the configuration gives: names that the operator chose, and keys that no
 * registry overrules.
 */
import type { OverlayAddress } from '../../base/address.ts'
import { parseAddress } from '../../base/address.ts'
import { fromBase64 } from '../../base/bytes.ts'
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'

export interface PinnedPeer {
  readonly address?: string | undefined // absent: the node with this hostname at the registry, if it has the key
  readonly key: string // Ed25519, base64
}

export type Pinned = Readonly<Record<string, PinnedPeer>>

export interface Pins {
  readonly addresses: ReadonlyMap<string, OverlayAddress> // by name
  readonly names: ReadonlyMap<string, Uint8Array>
  readonly keys: ReadonlyMap<NodeId, Uint8Array>
}

/** @throws PilotError CONFIG_INVALID. */
export function pinsOf(pinned: Pinned): Pins {
  const addresses = new Map<string, OverlayAddress>()
  const names = new Map<string, Uint8Array>()
  const keys = new Map<NodeId, Uint8Array>()
  for (const [name, { address, key }] of Object.entries(pinned)) {
    const parsed = address === undefined ? undefined : parseAddress(address)
    const bytes = fromBase64(key)
    if ((address !== undefined && parsed === undefined) || bytes?.length !== 32)
      throw new PilotError('CONFIG_INVALID', `peers.${name}: address or key is malformed`)
    names.set(name, bytes)
    if (parsed === undefined) continue
    addresses.set(name, parsed)
    keys.set(parsed.node, bytes)
  }
  return { addresses, names, keys }
}
