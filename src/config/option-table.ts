/**
 * The options of a gateway that are flags, each defined once: the help of commander, the names of the environment
 * variables, the descriptions in the schema of the file and the tables of docs/config.md all come from here.
 */

export interface OptionDefinition {
  readonly flag: string // as commander reads it
  readonly variable: string // behind PILOTGATE_
  readonly key?: string // in the file; absent: only a flag and a variable
  readonly fallback?: string // the default, where it is a fixed value
  readonly repeatable?: true // a list: a variable separates its items by spaces
  readonly text: string // one sentence without its full stop
}

export const OPTIONS = {
  config: {
    flag: '-c, --config <file>',
    variable: 'CONFIG',
    text: 'Configuration file, reloaded when it changes; flags and variables override it',
  },
  registry: {
    flag: '--registry <host:port,...>',
    variable: 'REGISTRY',
    key: 'node.registry',
    fallback: '127.0.0.1:9000',
    text: 'Registry to join (TCP), the directory of nodes; tls://host:port verifies its certificate as a browser does; several are tried in turn',
  },
  registryFingerprint: {
    flag: '--registry-fingerprint <hex>',
    variable: 'REGISTRY_FINGERPRINT',
    key: 'node.registryFingerprint',
    text: "SHA-256 of the registry's TLS certificate, which `pilotgate rendezvous` prints: use TLS and accept only this certificate",
  },
  beacon: {
    flag: '--beacon <host:port,...>',
    variable: 'BEACON',
    key: 'node.beacon',
    fallback: '127.0.0.1:9001',
    text: 'Beacon to use (UDP): it reports our public address, helps with hole punching, and relays; several are tried in turn, and wss://host:port is where networks without UDP connect',
  },
  transport: {
    flag: '--transport <auto|udp|tcp>',
    variable: 'TRANSPORT',
    key: 'node.transport',
    fallback: 'auto',
    text: 'How the rendezvous is reached: by UDP and, where that is dropped, by one TCP connection (auto), or only by one of them',
  },
  proxy: {
    flag: '--proxy <auto|off|url>',
    variable: 'PROXY',
    key: 'node.proxy',
    fallback: 'auto',
    text: 'HTTP proxy for connections to the rendezvous; auto: HTTPS_PROXY and NO_PROXY; put a URL with a password into a variable, not on the command line',
  },
  listen: {
    flag: '--listen <ip:port>',
    variable: 'LISTEN',
    key: 'node.listen',
    fallback: '0.0.0.0:0',
    text: 'UDP socket of this node; port 0 picks a free one, a fixed port suits a firewall rule',
  },
  endpoint: {
    flag: '--endpoint <ip:port>',
    variable: 'ENDPOINT',
    key: 'node.endpoint',
    text: 'Public address of this node, if it is fixed and known (port forwarding); discovered otherwise',
  },
  hostname: {
    flag: '--hostname <name>',
    variable: 'HOSTNAME',
    key: 'node.hostname',
    text: 'Name by which trusted peers find this node; without one they use its address',
  },
  public: {
    flag: '--public',
    variable: 'PUBLIC',
    key: 'node.public',
    fallback: 'false',
    text: "Let everyone resolve this node's endpoint, not only trusted peers",
  },
  stateDir: {
    flag: '--state-dir <dir>',
    variable: 'STATE_DIR',
    key: 'node.stateDir',
    text: 'Folder foreverything kept between runs; default: $XDG_STATE_HOME/pilotgate or ~/.local/state/pilotgate',
  },
  identity: {
    flag: '--identity <file>',
    variable: 'IDENTITY',
    key: 'node.identity',
    text: 'Private key of this node, mode 0600, created if missing; default: identity.json in the state folder',
  },
  trust: {
    flag: '--trust <peer>',
    variable: 'TRUST',
    key: 'node.trust',
    repeatable: true,
    text: 'Peer to request trust from, and whose own request is approved',
  },
  map: {
    flag: '--map <spec>',
    variable: 'MAP',
    key: 'map',
    repeatable: true,
    text: 'Map a remote port to a local address: [[BIND-IP:]LOCAL-PORT:]PEER:PORT[/udp]',
  },
  expose: {
    flag: '--expose <spec>',
    variable: 'EXPOSE',
    key: 'expose',
    repeatable: true,
    text: 'Expose a local service to trusted peers: PORT[/udp]=TARGET[,allow=PEER]...',
  },
  serve: {
    flag: '--serve <service>',
    variable: 'SERVE',
    key: 'serve',
    repeatable: true,
    text: 'Service of the gateway itself to offer to every trusted peer: messages (messages and files, port 1001) or events (a broker, port 1002)',
  },
  admin: {
    flag: '--admin <socket>',
    variable: 'ADMIN',
    key: 'admin.socket',
    text: 'Unix socket through which the other commands reach the gateway; default: admin.sock in the state folder',
  },
  http: {
    flag: '--http <ip:port>',
    variable: 'HTTP',
    key: 'http.listen',
    text: 'One local port for the HTTP services of all peers, as http://PEER.pilot.localhost:PORT/',
  },
  proxyListen: {
    flag: '--proxy-listen <ip:port>',
    variable: 'PROXY_LISTEN',
    key: 'proxy.listen',
    text: 'Local SOCKS5 and HTTP CONNECT proxy to trusted peers by name',
  },
  dns: {
    flag: '--dns <ip:port>',
    variable: 'DNS',
    key: 'dns.listen',
    text: 'Local DNS responder for the names of trusted peers, such as agent-b.pilot',
  },
  observe: {
    flag: '--observe <ip:port>',
    variable: 'OBSERVE',
    key: 'observe.listen',
    text: 'Serve metrics, health checks and the dashboard here, without a password',
  },
  daemon: {
    flag: '--daemon <socket>',
    variable: 'DAEMON',
    key: 'node.daemon',
    text: 'Unix socket of a running pilot daemon whose identity and trust to use, instead of running a node',
  },
  driverSocket: {
    flag: '--driver-socket <path>',
    variable: 'DRIVER_SOCKET',
    key: 'driver.socket',
    text: 'Serve the Unix socket of a pilot daemon here, for pilotctl and the SDKs; `auto` uses the places where they look, $XDG_RUNTIME_DIR/pilot.sock and /tmp/pilot.sock',
  },
  allowLan: {
    flag: '--allow-lan',
    variable: 'ALLOW_LAN',
    fallback: 'false',
    text: 'Allow mappings, http, proxy and dns to listen beyond loopback',
  },
} as const satisfies Readonly<Record<string, OptionDefinition>>

export type OptionName = keyof typeof OPTIONS

export const OPTION_NAMES = Object.keys(OPTIONS) as readonly OptionName[]

/** `registryFingerprint` → `--registry-fingerprint`. */
export function flagName(name: OptionName): string {
  return /--[a-z-]+/.exec(OPTIONS[name].flag)![0]
}

export function variableName(name: OptionName): string {
  return `PILOTGATE_${OPTIONS[name].variable}`
}

/** The text of --help: a fragment in lower case, in commander's style. */
export function helpText(name: OptionName): string {
  const { text, fallback, repeatable }: OptionDefinition = OPTIONS[name]
  const small = /^[A-Z][a-z]/.test(text) ? `${text.charAt(0).toLowerCase()}${text.slice(1)}` : text
  const notes = [
    ...(repeatable === true ? ['repeatable'] : []),
    ...(fallback === undefined || fallback === 'false' ? [] : [`default ${fallback}`]),
  ]
  return notes.length === 0 ? small : `${small} (${notes.join(', ')})`
}

/** The text in the schema of the file. */
export function keyText(name: OptionName): string {
  return `${OPTIONS[name].text}.`
}
