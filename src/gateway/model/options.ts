/** The options of a gateway, and the part that can change while it runs. */
import type { Transport } from '../../proto/rendezvous/beacon-way.ts'
import type { ProxySettings } from '../../runtime/net/proxy.ts'
import type { ExposeSpec } from './expose-spec.ts'
import type { MapSpec } from './map-spec.ts'

/** A peer with its key in the configuration. */
export interface PinnedPeer {
  readonly address?: string | undefined // absent: the node that has this hostname, if it has the key
  readonly key: string // Ed25519, base64
  readonly tags?: readonly string[] | undefined
}

/** Services that the gateway itself offers to peers; an absent one is off. */
export interface ServeOptions {
  readonly messages?: ServeMessages
  readonly events?: ServeEvents
}

/** Data exchange, port 1001. */
export interface ServeMessages {
  readonly allow: readonly string[] // who may send; as of an exposure. Answers to what we sent always arrive
  readonly inbox?: string // folder of messages; default: inbox in the state folder
  readonly received?: string // folder of files; default: received in the state folder
  readonly inboxBytes?: number
  readonly receivedBytes?: number
  readonly hook?: { readonly exec: readonly string[] } | { readonly post: string } // told of each arrival
}

/** A broker of events, port 1002. */
export interface ServeEvents {
  readonly allow: readonly string[] // who may publish and subscribe; as of an exposure
  readonly topics?: readonly string[] // names, or beginnings followed by *; absent: all
}

export interface GatewayOptions {
  readonly registry: string // host:port, or tls://host:port; several, separated by commas
  readonly registryFingerprint?: string // of its TLS certificate, the only one then accepted
  readonly beacon: string // host:port, and wss://host:port; several, separated by commas
  readonly transport?: Transport // absent: auto
  readonly outboundProxy?: ProxySettings // for connections to the rendezvous; holds credentials
  readonly listen: string // ip:port of the UDP socket
  readonly endpoint?: string // fixed public endpoint; absent: discovered
  readonly hostname?: string
  readonly public: boolean
  readonly stateDir: string
  readonly identityFile: string // absolute, or resolved by config
  readonly trust: readonly string[]
  readonly pinned: Readonly<Record<string, PinnedPeer>>
  readonly networks?: readonly { readonly network: number; readonly token: string | undefined }[] // to be joined
  readonly tags?: readonly string[] // that the registry shows others; absent: left as they are there
  readonly maps: readonly MapSpec[]
  readonly exposes: readonly ExposeSpec[]
  readonly adminSocket: string
  readonly allowLan: boolean
  readonly observe?: string // ip:port of metrics, health and the dashboard
  readonly http?: { readonly address: string; readonly port: number; readonly origins?: readonly string[] } // absent: no HTTP front
  /** SOCKS5 and HTTP CONNECT to any trusted peer. */
  readonly proxy?: { readonly listen: string }
  /** ports: mapped for a peer when its name is looked up. */
  readonly dns?: { readonly listen: string; readonly domain: string; readonly ports: readonly number[] }
  /** A daemon's socket, served from our node. */
  readonly driver?: {
    readonly socket: string // a path, or `auto`
    readonly runtimeDir: string | undefined // XDG_RUNTIME_DIR
  }
  readonly serve?: ServeOptions
  readonly native?: boolean // false: the datagram port of Node.js even if there is a native one
  /** Use this daemon instead of our own node; of the above, only trust, maps, exposes and the paths then apply. */
  readonly daemon?: { readonly socket: string; readonly registry?: string | undefined } // registry: whom to ask for names
}

/** Keys of the options that may change while the gateway runs. */
export const LIVE_KEYS = ['maps', 'exposes', 'trust', 'http', 'proxy', 'dns', 'observe'] as const

/** The part of the options that changes while the gateway runs. */
export type Desired = Pick<GatewayOptions, (typeof LIVE_KEYS)[number]>

/** Only defined keys: two are equal if they request the same. */
export function desiredOf({ maps, exposes, trust, http, proxy, dns, observe }: Desired): Desired {
  return {
    maps,
    exposes,
    trust,
    ...(http !== undefined && { http }),
    ...(proxy !== undefined && { proxy }),
    ...(dns !== undefined && { dns }),
    ...(observe !== undefined && { observe }),
  }
}
