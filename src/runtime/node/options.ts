/** The options of a node. Above: node/node.ts. */
import type { Membership } from '../../proto/node/options.ts'
import type { Pinned } from './pinned.ts'
import { BASE_SEGMENT_BYTES, OWN_MAX_SEGMENT_BYTES } from '../../proto/stream/constants.ts'

export interface OverlayNodeOptions {
  /** Registry to join, `host:port` (TCP), or `tls://host:port` to verify its certificate as a browser does. */
  readonly registry: string
  /** SHA-256 of the registry's TLS certificate, 64 hex digits: then TLS is used, and only this certificate is accepted. */
  readonly registryFingerprint?: string | undefined
  /** Beacon, `host:port` (UDP): it reports our public address, helps with hole punching, and relays. */
  readonly beacon: string
  /** Our UDP socket, `ip:port`; port 0 picks a free one. `[::]:0` includes IPv6. */
  readonly listen: string
  /** Public `ip:port` of this node, if it is fixed and known, as behind a forwarded port. Absent: discovered. */
  readonly endpoint?: string | undefined
  /** Name by which trusted peers find this node: lower-case letters, digits, inner hyphens, at most 63. Absent: none. */
  readonly hostname?: string | undefined
  /** true: everyone may learn the endpoint of this node, not only trusted peers. Connections need trust either way. */
  readonly public: boolean
  /** Networks of the registry to join, with the token of each that requires one. Absent: none. */
  readonly networks?: readonly Membership[] | undefined
  /** Tags that the registry shows to others. Absent: left as they are there. */
  readonly tags?: readonly string[] | undefined
  /**
   * Private key, mode 0600, created if missing; `trust.json` is kept beside it. Absent: a new identity that is never
   * written, and trust that ends with the process.
   */
  readonly identityFile?: string | undefined
  /** Peers (hostname, address or node id) to ask for trust, and to approve when they ask. */
  readonly trust: readonly string[]
  /** false: the port of node:dgram even where the native one can be had. Absent: the native one. */
  readonly native?: boolean | undefined
  /** Names of your choice, each for one Ed25519 key (base64), and an address if it is known. No registry changes them. */
  readonly pinned: Pinned
}

/** At most a sixteenth of the socket's buffer: one datagram must not displace all others. */
export function maxSegmentFor(receiveBufferBytes: number): number {
  return Math.max(BASE_SEGMENT_BYTES, Math.min(OWN_MAX_SEGMENT_BYTES, Math.floor(receiveBufferBytes / 16)))
}
