/** The options of a node. Above: node/node.ts. */
import type { Membership } from '../../proto/node/options.ts'
import type { Pinned } from './pinned.ts'
import { BASE_SEGMENT_BYTES, OWN_MAX_SEGMENT_BYTES } from '../../proto/stream/constants.ts'

export interface OverlayNodeOptions {
  readonly registry: string // host:port or tls://host:port
  readonly registryFingerprint?: string | undefined // of its TLS certificate; see targets.ts
  readonly beacon: string
  readonly listen: string // ip:port of the UDP socket; port 0 picks one
  readonly endpoint?: string | undefined
  readonly hostname?: string | undefined
  readonly public: boolean
  readonly networks?: readonly Membership[] | undefined // of the registry, to be joined
  readonly tags?: readonly string[] | undefined // that the registry shows others; absent: left as they are there
  readonly identityFile?: string | undefined // absent: a new identity that is never written, and trust that ends with the process
  readonly trust: readonly string[] // peers asked for trust, and approved when they ask
  readonly pinned: Pinned
}

/** At most a sixteenth of the socket's buffer: one datagram must not displace all others. */
export function maxSegmentFor(receiveBufferBytes: number): number {
  return Math.max(BASE_SEGMENT_BYTES, Math.min(OWN_MAX_SEGMENT_BYTES, Math.floor(receiveBufferBytes / 16)))
}
