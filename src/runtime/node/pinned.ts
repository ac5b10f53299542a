/** Peers whose address and key the configuration gives: names of our own, and keys that no registry overrules. */
import type { OverlayAddress } from '../../base/address.ts'
import { parseAddress } from '../../base/address.ts'
import { fromBase64 } from '../../base/bytes.ts'
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'

export type Pinned = Readonly<Record<string, { readonly address: string; readonly key: string }>>

export function pinnedNames(pinned: Pinned): ReadonlyMap<string, OverlayAddress> {
  const names = new Map<string, OverlayAddress>()
  for (const [name, { address }] of Object.entries(pinned)) {
    const parsed = parseAddress(address)
    if (parsed !== undefined) names.set(name, parsed)
  }
  return names
}

export function pinnedKeys(pinned: Pinned): ReadonlyMap<NodeId, Uint8Array> {
  const keys = new Map<NodeId, Uint8Array>()
  for (const [name, { address, key }] of Object.entries(pinned)) {
    const [parsed, bytes] = [parseAddress(address), fromBase64(key)]
    if (parsed === undefined || bytes?.length !== 32)
      throw new PilotError('CONFIG_INVALID', `peers.${name}: address or key is malformed`)
    keys.set(parsed.node, bytes)
  }
  return keys
}
