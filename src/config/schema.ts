/**
 * The configuration file: every key with its type, default and description. `config/gateway.schema.json` and the tables
 * of docs/config.md are generated from here (scripts/schema.mjs); `load.ts` turns its errors into file:line:column.
 *
 * `error` texts complete the sentence "expected …"; a problem with `whole: true` is a complete sentence. For an unknown
 * key, the text is the list of known ones.
 */
import { isIP } from 'node:net'
import { z } from 'zod'
import { isHostname, parseAddress, parsePeerName } from '../base/address.ts'
import { fromBase64 } from '../base/bytes.ts'
import { PilotError } from '../base/errors.ts'
import { CLIENT_FORM, isClientBlock } from '../gateway/model/clients.ts'
import { ALLOW_FORM, isTag, parseAllow, TAG_FORM, tagOf, TRUSTED } from '../gateway/model/allow.ts'
import { DURATION_FORM, parseDuration } from '../gateway/model/duration.ts'
import {
  countedTarget,
  IDENTITY_FORM,
  IDENTITY_KINDS,
  identityFault,
  parseTarget,
} from '../gateway/model/expose-spec.ts'
import { HOST_FORM } from '../gateway/model/host-policy.ts'
import { parseListen } from '../gateway/model/listen.ts'
import {
  BALANCE_FORM,
  BALANCES,
  isProbePath,
  isProbeService,
  parseProbe,
  PROBE_FORM,
  PROBE_PATH_FORM,
  PROBE_SERVICE_FORM,
} from '../gateway/model/map-spec.ts'
import { PATH_FORM, PATH_POLICIES } from '../gateway/model/path-policy.ts'
import { failing, portsOf } from '../gateway/model/spec-text.ts'
import { keyText, OPTIONS } from './option-table.ts'
import {
  FINGERPRINT_FORM,
  isBeacons,
  isFingerprint,
  isFixedEndpoint,
  isLabel,
  isOrigin,
  isProxy,
  isRegistry,
  isWebUrl,
  parseLocal,
  parsePortRange,
  PROXY_FORM,
  TRANSPORT_FORM,
  TRANSPORTS,
} from './values.ts'

const networkText = 'the number of a network from 1 to 65535, or { id, tokenFile }'
const networkId = z.int({ error: networkText }).min(1, { error: networkText }).max(65_535, { error: networkText })
const keysAndValues = 'keys with values'
const listenPort = text('an IP address and port as "127.0.0.1:8080"', (value) => parseListen(value) !== undefined)
const groupText = 'a hostname, an address as "0:0000.0000.0004", a node id, or "tag:NAME"'
const groupPeer = text(groupText, (value) => tagOf(value) !== undefined || parsePeerName(value) !== undefined)
const peerText = 'a hostname, an address as "0:0000.0000.0004", or a node id'
const peer = text(peerText, (value) => parsePeerName(value) !== undefined)
const portNumber = 'a port from 1 to 65535'
const filePath = text('a path', (value) => value !== '' && !value.includes('\0'))
const label = text('a name of 1 to 64 letters, digits and . _ : -', isLabel)
const pathPolicy = z.enum(PATH_POLICIES, { error: PATH_FORM })
const hostPolicy = z.literal('rewrite', { error: HOST_FORM })
const flag = z.boolean({ error: 'true or false' })

const NodeSection = section({
  hostname: text('a hostname: lower-case letters, digits and inner hyphens, at most 63', isHostname)
    .optional()
    .describe(keyText('hostname')),
  registry: text('a host and port as "127.0.0.1:9000", or "tls://rv.example:9000"', isRegistry)
    .default(OPTIONS.registry.fallback)
    .describe(keyText('registry')),
  registryFingerprint: text(FINGERPRINT_FORM, isFingerprint).optional().describe(keyText('registryFingerprint')),
  beacon: text('a host and port as "127.0.0.1:9001", or several, separated by commas', isBeacons)
    .default(OPTIONS.beacon.fallback)
    .describe(keyText('beacon')),
  transport: z.enum(TRANSPORTS, { error: TRANSPORT_FORM }).default('auto').describe(keyText('transport')),
  proxy: text(PROXY_FORM, isProxy).default('auto').describe(keyText('proxy')),
  listen: listenPort.default(OPTIONS.listen.fallback).describe(keyText('listen')),
  endpoint: text('a public IP address and port as "203.0.113.7:4000"', isFixedEndpoint)
    .optional()
    .describe(keyText('endpoint')),
  public: flag.default(false).describe(keyText('public')),
  identity: filePath.optional().describe(keyText('identity')),
  stateDir: filePath.optional().describe(keyText('stateDir')),
  daemon: filePath.optional().describe(keyText('daemon')),
  networks: list(
    z.union(
      [
        networkId,
        section({
          id: networkId.describe('Number of the network.'),
          tokenFile: filePath.describe('File with the token required to join the network; relative to this file.'),
        }),
      ],
      { error: networkText },
    ),
  )
    .default([])
    .describe(
      'Networks of the registry to join, by number, or as { id, tokenFile } if a network requires a token. Members of a network trust each other without asking.',
    ),
  tags: list(text(TAG_FORM, isTag))
    .max(10, { error: 'at most 10 tags' })
    .optional()
    .describe('Tags of this node at the registry, at most 10, which others can name as "tag:NAME". Absent: unchanged.'),
  trust: list(peer).default([]).describe(keyText('trust')),
})

const PinnedPeer = section({
  address: text('an address as "0:0000.0000.1A2B"', (value) => parseAddress(value) !== undefined)
    .optional()
    .describe(
      'Overlay address of this peer, whatever the registry says. Absent: that of the node with this hostname, if it has the key.',
    ),
  key: text('a base64 Ed25519 public key of 32 bytes', (value) => fromBase64(value)?.length === 32).describe(
    'Ed25519 public key, base64; only a node that proves that it holds this key is this peer.',
  ),
  tags: list(text(TAG_FORM, isTag))
    .default([])
    .describe(
      'Tags of this peer. A tag used here belongs only to the peers that have it here, whatever tags other nodes claim.',
    ),
})

const seconds = z
  .union([z.number(), z.string()], { error: PROBE_FORM })
  .refine((value) => parseProbe(String(value)) !== undefined, { error: PROBE_FORM })
const ProbeSection = section({
  every: seconds.describe('Time between two probes of a peer: seconds, or a duration such as "30s".'),
  http: text(PROBE_PATH_FORM, isProbePath)
    .optional()
    .describe('Path of a GET request that must be answered with 2xx or 3xx.'),
  grpc: text(PROBE_SERVICE_FORM, isProbeService)
    .optional()
    .describe('Service of a grpc.health.v1 Check that must be answered with SERVING; "" for the whole server.'),
}).refine(({ http, grpc }) => http === undefined || grpc === undefined, { error: 'either `http` or `grpc`' })

const MapEntry = section({
  name: label
    .optional()
    .describe(
      'Name of the mapping in events, logs and commands. Default: PEER:PORT. With `ports`: NAME:PORT for each.',
    ),
  peer: z
    .union(
      [
        groupPeer,
        list(groupPeer)
          .min(1)
          .refine((peers) => new Set(peers).size === peers.length),
      ],
      { error: `${groupText}, or a list of them, without repeats` },
    )
    .describe(
      'The peer: a hostname, an address, a node id, a name from `peers`, or "tag:NAME" for all trusted nodes with that tag; or a list of these, over which connections are spread.',
    ),
  port: onePort().optional().describe('Overlay port of the peer, such as 80 or "53/udp". Use this or `ports`.'),
  ports: list(portRange())
    .optional()
    .describe('Several overlay ports: numbers, or ranges such as "8000-8010", optionally followed by "/udp".'),
  local: localPlace()
    .optional()
    .describe(
      "Local ip:port to listen on; a port alone means 127.0.0.1, port 0 picks a free one. With `ports`, an IP address alone: the same ports there. Absent: the same port on the peer's own loopback address.",
    ),
  clients: list(text(CLIENT_FORM, isClientBlock))
    .min(1, { error: 'at least one, or no `clients` at all' })
    .optional()
    .describe(
      'Addresses and CIDR blocks from which connections are accepted, for a `local` that other machines can reach (--allow-lan). Absent: all.',
    ),
  path: pathPolicy
    .optional()
    .describe(
      'any (default): whatever works. prefer-direct: wait up to 2 s for a direct path before using the relay. direct: never the relay.',
    ),
  host: hostPolicy
    .optional()
    .describe(
      'rewrite: the service sees `localhost` as `Host` and `Origin` (docs/targets.md); the connection is then treated as HTTP. Absent: what the client sent.',
    ),
  balance: z
    .enum(BALANCES, { error: BALANCE_FORM })
    .optional()
    .describe('How connections are spread over several peers: round-robin (default) or least-connections.'),
  probe: z
    .union([seconds, ProbeSection], { error: `${PROBE_FORM}, or { every, http } or { every, grpc }` })
    .optional()
    .describe(
      'Time between probe connections to each of several peers: seconds, or a duration such as "30s"; { every, http: "/healthz" } or { every, grpc: "" } probes the service itself. Absent: no probes; a client notices first.',
    ),
}).superRefine((entry, context) => {
  const complain = (key: string, message: string): void =>
    context.addIssue({ code: 'custom', path: [key], message, params: { whole: true } })
  if (entry.port === undefined && entry.ports === undefined)
    complain('port', 'missing; expected `port`, or `ports` for several')
  if (entry.ports !== undefined && entry.port !== undefined)
    complain('ports', 'cannot be combined with `port`; give one of them')
  const isAddress = entry.local !== undefined && isIP(String(entry.local)) > 0
  if (entry.ports === undefined && isAddress) complain('local', 'needs a port as well, as in "127.0.0.1:8080"')
  if (entry.ports !== undefined && entry.local !== undefined && !isAddress)
    complain('local', 'with `ports` it is an IP address alone, as in "127.0.0.1"; the ports are the same')
})

const limit = z.int({ error: 'a whole number from 1' }).min(1, { error: 'a whole number from 1' }).optional()
const LimitsSection = section({
  connections: limit.describe('Open connections at the same time (UDP: sessions). Absent: no limit.'),
  connectionsPerPeer: limit.describe('Open connections at the same time, per peer.'),
  newPerSecond: limit.describe('New connections per second. Absent: no limit.'),
  newPerSecondPerPeer: limit.describe('New connections per second, per peer.'),
  bytesPerSecond: limit.describe('Bytes per second, all connections and both directions together. Absent: no limit.'),
  bytesPerSecondPerPeer: limit.describe('Bytes per second, per peer.'),
})

const ExposeEntry = section({
  name: label
    .optional()
    .describe(
      'Name of the exposure in events, logs and commands. Default: the port. Of a range: NAME:PORT for each port.',
    ),
  port: exposedPort().describe(
    'Overlay port on which peers reach the service, such as 80 or "53/udp"; or a range such as "8000-8010", with whose ports the port of the target counts up.',
  ),
  target: z
    .string({ error: 'a string' })
    .describe(
      'The local service: "3000", "127.0.0.1:3000", "h2c://127.0.0.1:8080", "unix:/run/pg.sock", "folder:/srv/site", "exec:COMMAND" (docs/targets.md); for a "/udp" port, "127.0.0.1:5353". Bytes are carried unchanged, whatever the scheme.',
    ),
  allow: list(text(`"${TRUSTED}", or ${ALLOW_FORM}`, (value) => parseAllow(value) !== undefined))
    .min(1, { error: 'at least one peer, or no `allow` at all' })
    .default([TRUSTED])
    .describe(
      'Who may connect: "trusted" forevery trusted peer, or some of them: single peers, "key:BASE64", "net:ID" for members of a network, "tag:NAME" for nodes with a tag; "invited" alone for holders of a ticket only.',
    ),
  path: z
    .enum(['any', 'direct'], { error: 'any or direct' })
    .optional()
    .describe('direct: refuse peers that can only be reached through the relay. Default: any.'),
  identity: list(z.enum(IDENTITY_KINDS, { error: IDENTITY_FORM }))
    .refine((kinds) => identityFault(kinds) === undefined, { error: 'proxy-v1 or proxy-v2, not both' })
    .optional()
    .describe(
      'How the service learns who is calling: "headers" (Pilot-Node etc.; the connection is then treated as HTTP), "proxy-v1" or "proxy-v2" (PROXY protocol before each connection). Absent: it does not.',
    ),
  host: hostPolicy
    .optional()
    .describe(
      'rewrite: the service sees its own address as `Host` and `Origin`, as if it had been called on this machine (docs/targets.md); the connection is then treated as HTTP. Absent: what the caller sent.',
    ),
  limits: LimitsSection.optional().describe(
    'Limits. Connections beyond them are refused as if nothing were exposed; bytes beyond them are delayed (UDP: dropped).',
  ),
  for: text(DURATION_FORM, (value) => parseDuration(value) !== undefined)
    .optional()
    .describe('End the exposure and its connections after this time: "90s", "10m", "2h", "1d". Absent: never.'),
  once: flag.optional().describe('true: accept one connection, then end the exposure. Default: false.'),
  unsafeTarget: flag
    .optional()
    .describe(
      'true: the target may be a link-local, metadata or multicast address, or a socket that controls this machine, such as docker.sock. Default: false.',
    ),
}).superRefine(({ port, target }, context) => {
  try {
    const range = parsePortRange(port)
    if (range === undefined || range.first === range.last) parseTarget(target, range?.protocol ?? 'tcp')
    else {
      const ports = portsOf(String(range.first), String(range.last), failing('port', String(port), 'PORT-PORT'))
      for (const index of [0, ports.length - 1])
        parseTarget(countedTarget(target, index, failing('target', target, 'a target with a port')), range.protocol)
    }
  } catch (error) {
    if (!(error instanceof PilotError)) throw error
    context.addIssue({ code: 'custom', path: ['target'], message: error.message, params: { whole: true } })
  }
})

const HttpSection = section({
  listen: listenPort.describe(
    `${keyText('http')} Port 0 picks a free one; http://MAPPING.pilot.localhost:PORT/ is the port of that mapping.`,
  ),
  origins: list(text('a web origin, as "http://localhost:3000"', isOrigin))
    .default([])
    .describe(
      'Origins of web pages that may send requests which change something, and open WebSockets, in addition to those of the front itself.',
    ),
})

const ProxySection = section({
  listen: listenPort.describe(`${keyText('proxyListen')} Port 0 picks a free one.`),
})

export const DnsSection = section({
  listen: listenPort.describe(`${keyText('dns')} UDP and TCP; port 0 picks a free one.`),
  domain: text(
    'a domain name in lower case, as "pilot"',
    (value) => value.length <= 200 && value.split('.').every(isHostname),
  )
    .default('pilot')
    .describe('Zone of the names: agent-b.pilot, and also agent-b.pilot.localhost.'),
  ports: z
    .array(z.int({ error: portNumber }).min(1, { error: portNumber }).max(65_535, { error: portNumber }), {
      error: 'a list',
    })
    .max(64, { error: 'at most 64 ports' })
    .default([80, 443])
    .describe(
      'Ports of a peer to map when its name is looked up, to the same local ports. Ports that cannot be bound are left out.',
    ),
})

const bytes = z.int({ error: 'bytes, from 1048576' }).min(1_048_576, { error: 'bytes, from 1048576' }).optional()
const allowList = list(text(`"${TRUSTED}", or ${ALLOW_FORM}`, (value) => parseAllow(value) !== undefined))
  .min(1, { error: 'at least one peer, or no `allow` at all' })
  .default([TRUSTED])
const hookForm = '{ exec: [COMMAND, ARGUMENTS…] } or { post: URL }'
const topicForm = 'a list of topics, as "news" or "ci.*"'
const ServeSection = section({
  messages: section({
    allow: allowList.describe('Who may send, as of an exposure. Answers to what this node sent always arrive.'),
    inbox: filePath.optional().describe('Folder of messages. Default: inbox in the state folder.'),
    received: filePath.optional().describe('Folder of files. Default: received in the state folder.'),
    inboxBytes: bytes.describe(
      'Disk space for messages; beyond it, the oldest of the peer with most are removed. Default: 256 MiB.',
    ),
    receivedBytes: bytes.describe(
      'Disk space for files, half of it for one peer; beyond it, files are refused. Default: 8 GiB.',
    ),
    hook: z
      .union(
        [
          section({
            exec: list(z.string())
              .min(1)
              .describe('Command and arguments; it gets the record as JSON on its standard input.'),
          }),
          section({ post: text(hookForm, isWebUrl).describe('URL that gets the record as JSON in a POST.') }),
        ],
        { error: hookForm },
      )
      .optional()
      .describe('Is told of each arrival.'),
  })
    .optional()
    .describe(
      'Data exchange, port 1001: messages and files of peers, kept on disk. Absent: only answers to what this node sent.',
    ),
  events: section({
    allow: allowList.describe('Who may publish and subscribe, as of an exposure. Guests never may.'),
    topics: list(text(topicForm, (value) => value !== '' && !value.slice(0, -1).includes('*')))
      .min(1, { error: topicForm })
      .optional()
      .describe('Topics that may be used: names, or beginnings such as "ci.*". Absent: all.'),
  })
    .optional()
    .describe('A broker of events, port 1002. Absent: the port is closed.'),
})

const AdminSection = section({
  socket: filePath.optional().describe(keyText('admin')),
})

const DriverSection = section({
  socket: filePath.optional().describe(keyText('driverSocket')),
})

const ObserveSection = section({
  listen: listenPort.optional().describe(keyText('observe')),
})

export const Config = section({
  version: z.literal(1, { error: 'the number 1' }).describe('Version of this format; always 1.'),
  node: NodeSection.prefault({}).describe('This node, and where it meets others.'),
  peers: z
    .record(text('a hostname-like name', isHostname), PinnedPeer, { error: keysAndValues })
    .default({})
    .describe('Pinned peers: names that you choose, each for one key.'),
  map: list(MapEntry).default([]).describe('Mappings: remote overlay ports made reachable on local addresses.'),
  expose: list(ExposeEntry).default([]).describe('Exposures: local services made reachable on our overlay ports.'),
  observe: ObserveSection.prefault({}).describe('Metrics, health checks and the dashboard.'),
  http: HttpSection.optional().describe('One local port for the HTTP services of all peers. Absent: off.'),
  proxy: ProxySection.optional().describe('A proxy to all trusted peers by name. Absent: off.'),
  dns: DnsSection.optional().describe('A DNS responder for the names of trusted peers. Absent: off.'),
  driver: DriverSection.prefault({}).describe('The socket of a pilot daemon, served from this node.'),
  serve: ServeSection.optional().describe('Services of the gateway itself that peers may use. Absent: none but echo.'),
  admin: AdminSection.prefault({}).describe('How commands reach this gateway.'),
})
export type Config = z.output<typeof Config>

function text(expected: string, holds: (value: string) => boolean) {
  return z.string({ error: expected }).refine(holds, { error: expected })
}

function portRange() {
  const expected = 'a port from 1 to 65535, or a range such as "8000-8010", optionally followed by "/udp"'
  return z
    .union([z.number(), z.string()], { error: expected })
    .refine((value) => parsePortRange(value) !== undefined, { error: expected })
}

function onePort() {
  const expected = `${portNumber}, or "53/udp"`
  return z.union([z.number(), z.string().regex(/\//, { error: expected })], { error: expected }).refine(
    (value) => {
      // a quoted number is an error
      const range = parsePortRange(value)
      return range !== undefined && range.first === range.last
    },
    { error: expected },
  )
}

/** A quoted number alone is an error, as in `onePort`. */
function exposedPort() {
  const expected = `${portNumber}, or "53/udp", or a range such as "8000-8010"`
  return z
    .union([z.number(), z.string().regex(/[/-]/, { error: expected })], { error: expected })
    .refine((value) => parsePortRange(value) !== undefined, { error: expected })
}

function localPlace() {
  const expected =
    'an IP address and port as "127.0.0.1:8080", or a port from 0 to 65535; with `ports`, an IP address alone'
  return z
    .union([z.number(), z.string()], { error: expected })
    .refine((value) => parseLocal(value) !== undefined, { error: expected })
}

function list<T extends z.ZodType>(element: T) {
  return z.array(element, { error: 'a list' })
}

function section<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).join(', ') : keysAndValues),
  })
}
