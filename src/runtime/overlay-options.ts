/** What a node is started with, and the checks that need no node. Above: overlay-node.ts. */
import type { OverlayAddress } from '../base/address.ts'
import { parseAddress } from '../base/address.ts'
import { fromBase64 } from '../base/bytes.ts'
import { PilotError } from '../base/errors.ts'
import type { NodeId } from '../base/types.ts'
import { BASE_SEGMENT_BYTES, OWN_MAX_SEGMENT_BYTES } from '../proto/stream/constants.ts'

export interface OverlayNodeOptions {
  readonly registry: string // host:port or tls://host:port
  readonly registryFingerprint?: string | undefined // of its TLS certificate; see targets.ts
  readonly beacon: string
  readonly listen: string // ip:port of the UDP socket; port 0 picks one
  readonly endpoint?: string | undefined
  readonly hostname?: string | undefined
  readonly public: boolean
  readonly identityFile: string
  readonly trust: readonly string[] // peers asked for trust, and approved when they ask
  readonly pinned: Readonly<Record<string, { readonly address: string, readonly key: string }>>
}

/** A tenth of the socket's buffer at most: one datagram must not push all others out. */
export function maxSegmentFor (receiveBufferBytes: number): number {
  return Math.max(BASE_SEGMENT_BYTES, Math.min(OWN_MAX_SEGMENT_BYTES, Math.floor(receiveBufferBytes / 16)))
}

export function pinnedNames (pinned: OverlayNodeOptions['pinned']): ReadonlyMap<string, OverlayAddress> {
  const names = new Map<string, OverlayAddress>()
  for (const [name, { address }] of Object.entries(pinned)) {
    const parsed = parseAddress(address)
    if (parsed !== undefined) names.set(name, parsed)
  }
  return names
}

export function pinnedKeys (pinned: OverlayNodeOptions['pinned']): ReadonlyMap<NodeId, Uint8Array> {
  const keys = new Map<NodeId, Uint8Array>()
  for (const [name, { address, key }] of Object.entries(pinned)) {
    const [parsed, bytes] = [parseAddress(address), fromBase64(key)]
    if (parsed === undefined || bytes?.length !== 32) throw new PilotError('CONFIG_INVALID', `peers.${name}: address or key is malformed`)
    keys.set(parsed.node, bytes)
  }
  return keys
}
