/** The options of a node, and what it learns about its network. */
import type { Endpoint, Instant, NodeId, RandomBytes } from '../../base/types.ts'
import type { CryptoProvider } from '../../crypto/aead.ts'
import type { Identity } from '../../crypto/identity.ts'
import type { Crc32 } from '../../wire/crc32.ts'
import type { Transport } from '../rendezvous/beacon-way.ts'
import type { Place } from '../../wire/places-file.ts'

/** A network of the registry, 1..65535, and its token if the join rule requires one. */
export interface Membership {
  readonly network: number
  readonly token: string | undefined
}

export interface NodeOptions {
  readonly identity: Identity
  readonly crypto: CryptoProvider
  readonly crc32: Crc32
  readonly random: RandomBytes
  /** RFC 3339 text of an instant, for records that people read. */
  readonly timestamp: (now: Instant) => string
  /** Unix seconds of an instant, for requests that name the time. */
  readonly unixSeconds: (now: Instant) => number
  readonly beacon: Endpoint | undefined
  /** How the beacon is reached; absent: by UDP only. */
  readonly transport?: Transport | undefined
  /** The endpoint that others should use; absent: the one that the beacon sees. */
  readonly fixedEndpoint: Endpoint | undefined
  readonly localEndpoint: Endpoint // where the UDP socket is bound
  /** Our interfaces at startup; `handleNetworkChange` reports later changes. */
  readonly network: OwnNetwork
  readonly hostname: string | undefined
  readonly public: boolean
  readonly networks: readonly Membership[] // of the registry, to be joined
  readonly tags?: readonly string[] | undefined // shown by the registry to others; absent: left unchanged there
  /** Pinned keys, whatever a registry says. */
  readonly pinnedKeys: ReadonlyMap<NodeId, Uint8Array>
  /** Names of the configuration, which mean exactly these keys. */
  readonly pinnedNames?: ReadonlyMap<string, Uint8Array> | undefined
  /** Where trusted peers were before our restart. */
  readonly places?: readonly Place[] | undefined
  /** UDP payload that the local interface carries towards an endpoint without fragmentation, bytes. */
  readonly maxDatagram: (endpoint: Endpoint) => number
  /** Largest payload we accept in one packet, bytes: our socket buffer must hold several. */
  readonly maxSegment: number
  /** How old the keys of a tunnel get, ms; REKEY_MS if not given. */
  readonly rekeyMs?: number | undefined
}

/** Where our socket can be reached on our own interfaces. */
export interface OwnNetwork {
  readonly lanEndpoints: readonly Endpoint[] // private IPv4
  /** Global IPv6 addresses: no NAT is in front of them, at most a firewall. */
  readonly worldEndpoints: readonly Endpoint[]
  /** All of them, including public IPv4: if others see us at one of these, there is no NAT. */
  readonly ownEndpoints: readonly Endpoint[]
}
