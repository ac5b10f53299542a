/** What a node is started with, and what it learns of its network. */
import type { Endpoint, Instant, NodeId, RandomBytes } from '../../base/types.ts'
import type { CryptoProvider } from '../../crypto/aead.ts'
import type { Identity } from '../../crypto/identity.ts'
import type { Crc32 } from '../../wire/crc32.ts'
import type { Place } from '../../wire/places-file.ts'

/** A network of the registry, 1..65535, and what opens it where its rule asks for a token. */
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
  readonly beacon: Endpoint | undefined
  /** The endpoint that others are to use; absent: what the beacon sees. */
  readonly fixedEndpoint: Endpoint | undefined
  readonly localEndpoint: Endpoint // where the UDP socket is bound
  /** What our interfaces are at the start; `handleNetworkChange` tells later changes. */
  readonly network: OwnNetwork
  readonly hostname: string | undefined
  readonly public: boolean
  readonly networks: readonly Membership[] // of the registry, to be joined
  readonly tags?: readonly string[] | undefined // that the registry shows others; absent: left as they are there
  /** Keys that are certain, whatever a registry says. */
  readonly pinnedKeys: ReadonlyMap<NodeId, Uint8Array>
  /** Names of the configuration, which mean these keys and nothing else. */
  readonly pinnedNames?: ReadonlyMap<string, Uint8Array> | undefined
  /** Where trusted peers were in our last life. */
  readonly places?: readonly Place[] | undefined
  /** UDP payload that the local interface carries towards an endpoint in one piece, bytes. */
  readonly maxDatagram: (endpoint: Endpoint) => number
  /** Largest payload we accept in one packet, bytes: what our socket buffer can hold several of. */
  readonly maxSegment: number
  /** How old the keys of a tunnel get, ms; REKEY_MS if not given. */
  readonly rekeyMs?: number | undefined
}

/** Where our socket can be reached on our own interfaces. */
export interface OwnNetwork {
  readonly lanEndpoints: readonly Endpoint[] // private IPv4
  /** Global IPv6 addresses: no NAT is in front of them, at most a firewall. */
  readonly worldEndpoints: readonly Endpoint[]
  /** All of them, public IPv4 included: an endpoint among these that others see means that there is no NAT. */
  readonly ownEndpoints: readonly Endpoint[]
}
