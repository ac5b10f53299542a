/** The command line of `up`, as `createGateway` takes it too; absent values are not set. */
export interface Flags {
  /** Registry to join, `host:port` or `tls://host:port`; several, separated by commas, are tried in turn. Default: 127.0.0.1:9000. */
  readonly registry?: string
  /** SHA-256 of the registry's TLS certificate, 64 hex digits: use TLS, and accept only this certificate. */
  readonly registryFingerprint?: string
  /** Beacon, `host:port` (UDP); several, separated by commas, are tried in turn. `wss://host:port` is for networks without UDP. Default: 127.0.0.1:9001. */
  readonly beacon?: string
  /** `auto`, `udp` or `tcp`: how the rendezvous is reached. Default: auto, which is UDP, and TCP where UDP is dropped. */
  readonly transport?: string
  /** `auto` (HTTPS_PROXY, NO_PROXY), `off`, or the URL of an HTTP proxy for connections to the rendezvous. Default: auto. */
  readonly proxy?: string
  /** UDP socket of this node, `ip:port`; port 0 picks a free one. Default: 0.0.0.0:0. */
  readonly listen?: string
  /** Public `ip:port` of this node, if it is fixed and known. Default: discovered. */
  readonly endpoint?: string
  /** Name by which trusted peers find this node. Default: none. */
  readonly hostname?: string
  /** true: everyone may learn the endpoint of this node, not only trusted peers. Default: false. */
  readonly public?: boolean
  /** Folder for everything kept between runs. Default: $XDG_STATE_HOME/pilotgate or ~/.local/state/pilotgate. */
  readonly stateDir?: string
  /** Private key of this node, mode 0600, created if missing. Default: identity.json in the state folder. */
  readonly identity?: string
  /** Unix socket of the admin API. The command line opens it; `createGateway` has methods instead. */
  readonly admin?: string
  /** `ip:port` of the HTTP front, one port for the HTTP services of all peers. Default: off. */
  readonly http?: string
  /** `ip:port` of the SOCKS5 and HTTP CONNECT proxy to trusted peers. Default: off. */
  readonly proxyListen?: string
  /** `ip:port` of the DNS responder for the names of trusted peers. Default: off. */
  readonly dns?: string
  /** `ip:port` of metrics, health checks and the dashboard. The command line opens it; `createGateway` does not. */
  readonly observe?: string
  /** true: mappings, http, proxy and dns may listen beyond loopback. Default: false. */
  readonly allowLan?: boolean
  /** Unix socket of a running pilot daemon whose identity and trust to use, instead of running a node. */
  readonly daemon?: string
  /** Unix socket of a pilot daemon to serve from this node, for pilotctl and the SDKs; `auto`: where they look. Default: none. */
  readonly driverSocket?: string
  /** Peers (hostname, address or node id) to ask for trust, and to approve when they ask. */
  readonly trust?: readonly string[]
  /** Mappings, as on the command line: `8080:agent-b:80`, `agent-b:8000-8010`. */
  readonly map?: readonly string[]
  /** Exposures, as on the command line: `80=3000`, `80=127.0.0.1:3000,allow=agent-a`. */
  readonly expose?: readonly string[]
  /** Services of the gateway itself, for every trusted peer: `messages`, `events`. */
  readonly serve?: readonly string[]
}
