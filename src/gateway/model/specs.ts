/**
 * The short notations of the command line: `8080:agent-b:80` (map), `80=127.0.0.1:3000,allow=agent-a` (expose) and
 * the target of an exposure. Overlay addresses hold a colon, so a map spec is read from the right.
 * What does not read is a USAGE error that names the part; `format*` writes what `parse*` reads.
 */
import { isIP } from 'node:net'
import { CLIENT_FORM, isClientBlock } from './clients.ts'
import { ALLOW_FORM, TRUSTED, formatTerms, parseAllow, readTerm, tagOf } from './expose-options.ts'
import type { Balance, Check, ExposeSpec, IdentityKind, MapSpec, PathPolicy, Target } from './types.ts'
import { formatEndpoint } from '../../base/types.ts'
import { parseAddress, parsePeerName } from '../../base/address.ts'
import { PilotError } from '../../base/errors.ts'

/** `[[BIND-IP:]LOCAL-PORT:]PEER:PORT[/udp][,path=POLICY]`. Without a local part: the peer's own loopback address and the same port. */
export function parseMapSpec(text: string): MapSpec {
  const fail = failing('map', text, MAP_FORM)
  const [head, ...options] = text.split(',')
  const { body, protocol } = splitProtocol(head!, fail)
  const path = parseMapOptions(options, fail)
  if (protocol === 'udp' && path.path === 'direct') fail(NO_DIRECT_UDP)
  const colon = body.lastIndexOf(':')
  if (colon < 0) fail('there is no colon with a port behind it')
  const portText = body.slice(colon + 1)
  const port = parsePort(portText) ?? fail(`"${portText}" behind the last colon is no port (1 to 65535)`)
  const { peer, local } = splitPeer(body.slice(0, colon), fail)
  const spec = { name: mapName(peer, port, protocol), peer, port, protocol, ...path }
  if (local === '') return { ...spec, localPort: port }
  return { ...spec, ...parseLocal(local, fail) }
}

/** The shortest text that reads as this; a name of one's own is not part of the notation. */
export function formatMapSpec(spec: MapSpec): string {
  const peers = peersOf(spec.peer)
    .map((peer) => (peer.includes(':') ? `[${peer}]` : peer))
    .join('|')
  const options = (['path', 'balance', 'probe'] as const).map((key) =>
    spec[key] === undefined ? '' : `,${key}=${spec[key]}`,
  )
  if (spec.check !== undefined)
    options.push(`,probe-${spec.check.kind}=${spec.check.kind === 'http' ? spec.check.path : spec.check.service}`)
  const clients = (spec.clients ?? []).map((block) => `,client=${block}`)
  const remote = `${peers}:${spec.port}${suffix(spec.protocol)}${[...options, ...clients].join('')}`
  if (spec.localAddress !== undefined)
    return `${formatEndpoint({ address: spec.localAddress, port: spec.localPort })}:${remote}`
  return spec.localPort === spec.port ? remote : `${spec.localPort}:${remote}`
}

/** The peers behind what a mapping calls its peer. */
export function peersOf(peer: string): readonly string[] {
  return peer.split('|')
}

/** Whether a choice between peers has to be made: there are several, or nobody knows yet how many. */
export function isGroup(peer: string): boolean {
  return peersOf(peer).length > 1 || tagOf(peer) !== undefined
}

/** The name a mapping has unless the configuration names it. */
export function mapName(peer: string, port: number, protocol: Protocol = 'tcp'): string {
  return `${peer}:${port}${suffix(protocol)}`
}

/** The name an exposure has unless the configuration names it. */
export function exposeName(port: number, protocol: Protocol = 'tcp'): string {
  return `${port}${suffix(protocol)}`
}

/** `PORT[/udp]=TARGET[,allow=WHO]...[,identity=KIND]...[,path=POLICY][,max=N]…[,for=2h][,once]`. Without `allow`: every trusted peer. */
export function parseExposeSpec(text: string): ExposeSpec {
  const fail = failing('expose', text, EXPOSE_FORM)
  const [head, ...options] = text.split(',')
  const equals = head!.indexOf('=')
  if (equals < 0) fail('there is no "=" with a target behind it')
  const { body: portText, protocol } = splitProtocol(head!.slice(0, equals), fail)
  const port = parsePort(portText) ?? fail(`"${portText}" before the "=" is no port (1 to 65535)`)
  const target = parseTarget(head!.slice(equals + 1), protocol)
  const allow = new Set<string>()
  const identity = new Set<IdentityKind>()
  const terms: { -readonly [K in keyof ExposeSpec]?: ExposeSpec[K] } = {}
  for (const option of options) {
    if (option.startsWith('path='))
      terms.path = parsePathPolicy(option.slice('path='.length)) ?? fail(`"${option}": ${PATH_FORM}`)
    else if (option.startsWith('allow='))
      allow.add(parseAllowed(option.slice('allow='.length)) ?? fail(`"${option}": who is ${ALLOW_FORM}`))
    else if (option.startsWith('identity='))
      identity.add(
        IDENTITY_KINDS.find((kind) => kind === option.slice('identity='.length)) ??
          fail(`"${option}": ${IDENTITY_FORM}`),
      )
    else {
      const isRead = readTerm(option, terms)
      if (typeof isRead === 'string') fail(isRead)
      if (isRead === false)
        fail(
          `"${option}" is no option; there are allow=WHO, identity=KIND, path=POLICY, max=, max-per-peer=, rate=, rate-per-peer=, bytes=, bytes-per-peer=, for=DURATION and once`,
        )
    }
  }
  const clash = identityFault([...identity])
  if (clash !== undefined) fail(clash)
  if (identity.size > 0) terms.identity = [...identity]
  if (protocol === 'udp' && identity.size > 0) fail('identity goes with connections, not with /udp')
  if (protocol === 'udp' && terms.path === 'direct') fail(NO_DIRECT_UDP)
  return {
    name: exposeName(port, protocol),
    port,
    protocol,
    target,
    allow: allow.size === 0 ? [TRUSTED] : [...allow],
    ...terms,
  }
}

export function formatExposeSpec(spec: ExposeSpec): string {
  const everyone = spec.allow.length === 1 && spec.allow[0] === TRUSTED
  const path = spec.path === undefined ? [] : [`path=${spec.path}`]
  return [
    `${spec.port}${suffix(spec.protocol)}=${formatTarget(spec.target)}`,
    ...(everyone ? [] : spec.allow.map((peer) => `allow=${peer}`)),
    ...(spec.identity ?? []).map((kind) => `identity=${kind}`),
    ...path,
    ...formatTerms(spec),
  ].join(',')
}

/**
 * `3000`, `127.0.0.1:3000`, `tcp://…`, `http://…`, `h2c://…` or `unix:/path`; of a UDP port `5353`, `127.0.0.1:5353` or
 * `udp://…`. Bytes are carried as they are whatever the scheme says (docs/decisions/0016-http.md); it is kept in `text` for those who read the record.
 */
export function parseTarget(text: string, protocol: Protocol = 'tcp'): Target {
  const fail = failing('target', text, TARGET_FORM)
  if (text.startsWith('unix:'))
    return protocol === 'udp' ? fail('a /udp port needs HOST:PORT') : unixTarget(text.slice('unix:'.length), fail)
  const [, scheme = protocol, rest] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/s.exec(text)!
  if (protocol === 'udp' && scheme !== 'udp') fail(`"${scheme}" does not go with a /udp port`)
  if (protocol === 'tcp' && scheme === 'udp') fail('"udp" goes with a /udp port, as 53/udp=127.0.0.1:5353')
  if (protocol === 'tcp' && !TARGET_SCHEMES.includes(scheme))
    fail(`"${scheme}" is no scheme this version knows; tcp://HOST:PORT carries any bytes, TLS included`)
  const [, authority, path] = /^([^/]*)(.*)$/s.exec(rest!)!
  if (path !== '' && (path !== '/' || scheme === 'tcp' || scheme === 'udp'))
    fail(`"${path}" behind the port: connections are carried whole, there is no path to choose`)
  const match =
    /^(?:(?:\[([^\]]+)\]|([^:[\]@\s]+)):)?(\d+)$/.exec(authority!) ?? fail(`"${authority}" is not HOST:PORT`)
  const host = match[1] ?? match[2] ?? '127.0.0.1'
  if (match[1] !== undefined && isIP(host) !== 6) fail(`"${host}" is no IPv6 address`)
  const port = parsePort(match[3]!) ?? fail(`"${match[3]}" is no port (1 to 65535)`)
  return { kind: protocol, host, port, text: `${scheme}://${formatEndpoint({ address: host, port })}` }
}

/** `PEER` or `PEER:PORT`, the peer written as in a map spec. */
export function parseTargetName(text: string): { readonly peer: string; readonly port: number | undefined } {
  if (parsePeerName(withoutBrackets(text)) !== undefined) return { peer: withoutBrackets(text), port: undefined }
  const { peer, port } = parseMapSpec(text)
  return { peer, port }
}

export function formatTarget(target: Target): string {
  return target.text
}

/** `IP:PORT` of a listener; port 0 picks a free one. Undefined when it is not that. */
export function parseListen(text: string): { readonly address: string; readonly port: number } | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  const address = match?.[1] ?? match?.[2]
  const port = parsePort(match?.[3] ?? '', 0)
  if (address === undefined || port === undefined || isIP(address) !== (match![1] === undefined ? 4 : 6))
    return undefined
  return { address, port }
}

export function formatListen(address: string, port: number): string {
  return formatEndpoint({ address, port })
}

/** Decimal digits only: `Number` would also read "0x50", "8e1" and "". */
export function parsePort(text: string, least = 1): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined
  const port = Number(text)
  return port >= least && port <= 65_535 ? port : undefined
}

/** An entry of an allow-list, a peer without brackets; undefined when it does not read. */
export function parseAllowed(text: string): string | undefined {
  return parseAllow(text) === undefined ? undefined : withoutBrackets(text)
}

export function parsePathPolicy(text: string): PathPolicy | undefined {
  return PATH_POLICIES.find((policy) => policy === text)
}

export const BALANCES = ['round-robin', 'least-connections'] as const satisfies readonly Balance[]
export const BALANCE_FORM = 'round-robin or least-connections'
/** Seconds between probes. */
export const MAX_PROBE_S = 3_600

/** A path of a GET. Commas separate options in a spec. */
export function isProbePath(text: string): boolean {
  return /^\/[\x21-\x2b\x2d-\x7e]{0,255}$/.test(text)
}

/** A gRPC service by its full name; '' is the server as a whole. */
export function isProbeService(text: string): boolean {
  return /^[\w./-]*$/.test(text) && text.length <= MAX_SERVICE_CHARS
}

const MAX_SERVICE_CHARS = 120
export const PROBE_PATH_FORM = 'a path as /healthz, with no comma'
export const PROBE_SERVICE_FORM = `the full name of a gRPC service as pkg.Service, or "" for the server; at most ${MAX_SERVICE_CHARS} characters`

export const PATH_POLICIES = ['any', 'prefer-direct', 'direct'] as const satisfies readonly PathPolicy[]
export const PATH_FORM = 'any, prefer-direct or direct'
/** What is wrong with this combination, if anything. */
export function identityFault(kinds: readonly IdentityKind[]): string | undefined {
  return kinds.includes('proxy-v1') && kinds.includes('proxy-v2')
    ? 'proxy-v1 and proxy-v2 exclude each other: a connection begins with one of them'
    : undefined
}

export const IDENTITY_KINDS: readonly IdentityKind[] = ['headers', 'proxy-v1', 'proxy-v2']
export const IDENTITY_FORM = 'headers, proxy-v1 or proxy-v2'

export const PEER_FORM =
  'a peer is a hostname (lower-case letters, digits, hyphens), an address as 0:0000.0000.0004, or a node id'

/** Bytes of a Unix socket path, without the closing zero (sun_path of unix(7)); macOS has four less. */
export const MAX_SOCKET_PATH_BYTES = 107

type Fail = (what: string) => never

function failing(kind: string, text: string, form: string): Fail {
  return (what) => {
    throw new PilotError('USAGE', `${kind} "${text}": ${what}; expected ${form}`, { [kind]: text })
  }
}

function parseMapOptions(
  options: readonly string[],
  fail: Fail,
): Pick<MapSpec, 'path' | 'balance' | 'probe' | 'check' | 'clients'> {
  const read: { path?: PathPolicy; balance?: Balance; probe?: number; check?: Check; clients?: readonly string[] } = {}
  for (const option of options) {
    const [, key, value] = /^([a-z-]+)=(.*)$/s.exec(option) ?? []
    if (key === 'path') read.path = parsePathPolicy(value!) ?? fail(`"${option}": ${PATH_FORM}`)
    else if (key === 'balance')
      read.balance = BALANCES.find((known) => known === value) ?? fail(`"${option}": ${BALANCE_FORM}`)
    else if (key === 'probe') read.probe = parsePort(value!) ?? fail(`"${option}": whole seconds`)
    else if (key === 'probe-http')
      read.check = { kind: 'http', path: isProbePath(value!) ? value! : fail(`"${option}": ${PROBE_PATH_FORM}`) }
    else if (key === 'probe-grpc')
      read.check = {
        kind: 'grpc',
        service: isProbeService(value!) ? value! : fail(`"${option}": ${PROBE_SERVICE_FORM}`),
      }
    else if (key === 'client')
      read.clients = [...(read.clients ?? []), isClientBlock(value!) ? value! : fail(`"${option}": ${CLIENT_FORM}`)]
    else
      fail(
        `"${option}" is no option; there are path=POLICY, balance=POLICY, probe=SECONDS, probe-http=PATH, probe-grpc=SERVICE and client=CIDR`,
      )
  }
  if (read.check !== undefined && read.probe === undefined)
    fail(`"probe-${read.check.kind}" goes with probe=SECONDS, which says how often`)
  if (read.probe !== undefined && read.probe > MAX_PROBE_S)
    fail(`"probe=${read.probe}": at most ${MAX_PROBE_S} seconds`)
  return read
}

/** Splits `[LOCAL:]PEER`, where PEER may be `[…]`, an address with its colon, a hostname or a node id. */
function splitPeer(text: string, fail: Fail): { peer: string; local: string } {
  const match = LOCAL_AND_PEERS.exec(text) ?? fail(`"${text}" has no peer at its end`)
  const [, local, written] = match
  const peers = written!.split('|').map(withoutBrackets)
  for (const peer of peers) if (tagOf(peer) === undefined) checkPeer(peer, fail)
  if (new Set(peers).size < peers.length) fail('a peer is named twice')
  if (local === '') fail('the local port before the first colon is missing')
  return { peer: peers.join('|'), local: local ?? '' }
}

function checkPeer(peer: string, fail: Fail): void {
  if (peer === '') fail('the peer is missing')
  // `8080:0000.0000.0004:80` reads as network 8080, which its first group denies: the network was forgotten.
  if (peer.includes(':') && parseAddress(peer) === undefined)
    fail(`"${peer}" is no address: it is NETWORK:NNNN.HHHH.LLLL, and the first group repeats the network in hex`)
  if (parsePeerName(peer) === undefined) fail(`"${peer}": ${PEER_FORM}`)
}

function parseLocal(text: string, fail: Fail): { localAddress?: string; localPort: number } {
  const [, address, portText] = /^(?:(.*):)?([^:]*)$/s.exec(text)!
  const localPort = parsePort(portText!, 0) ?? fail(`"${portText}" is no local port (0 to 65535, 0 picks a free one)`)
  if (address === undefined) return { localPort }
  const localAddress = withoutBrackets(address)
  if (isIP(localAddress) === 0) fail(`"${address}" is no IP address to listen on${BIND_HINTS[address] ?? ''}`)
  if (isIP(localAddress) === 6 && address === localAddress) fail(`write the IPv6 address in brackets: [${address}]`)
  return { localAddress, localPort }
}

function unixTarget(written: string, fail: Fail): Target {
  const path = written.replace(/^\/\/(?=\/)/, '') // unix:///run/x is the same as unix:/run/x
  if (!path.startsWith('/')) fail('a socket path begins with "/"')
  if (path.includes('\0')) fail('a socket path holds no zero byte')
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES)
    fail(`a socket path has at most ${MAX_SOCKET_PATH_BYTES} bytes, this has ${Buffer.byteLength(path)}`)
  return { kind: 'unix', path, text: `unix:${path}` }
}

/** `/tcp` may be said, and is what is meant without. */
function splitProtocol(text: string, fail: Fail): { body: string; protocol: Protocol } {
  const [, body, protocol = 'tcp'] = /^(.*?)(?:\/([a-z]*))?$/s.exec(text)!
  if (protocol !== 'tcp' && protocol !== 'udp') return fail(`"/${protocol}" is no protocol; there are /tcp and /udp`)
  return { body: body!, protocol }
}

function suffix(protocol: Protocol): string {
  return protocol === 'udp' ? '/udp' : ''
}

function withoutBrackets(text: string): string {
  return text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
}

export const NO_DIRECT_UDP =
  'path=direct does not go with /udp: a datagram takes the path that its peer has at that moment'
export const NO_GROUP_UDP =
  'several peers do not go with /udp: which of them has a datagram cannot be told from its answer'

type Protocol = MapSpec['protocol']

const MAP_FORM =
  '[[BIND-IP:]LOCAL-PORT:]PEER[|PEER...]:PORT[/udp][,path=POLICY][,balance=POLICY][,probe=SECONDS][,probe-http=PATH][,client=CIDR]..., as 8080:agent-b:80'
const EXPOSE_FORM = 'PORT[/udp]=TARGET[,allow=WHO]...[,OPTION]..., as 80=127.0.0.1:3000,allow=agent-a'
const ONE_PEER = String.raw`\[[^[\]|]*\]|tag:[a-z0-9-]+|\d+:[0-9A-Fa-f]+\.[0-9A-Fa-f.]+|[^:[\]|]*`
const LOCAL_AND_PEERS = new RegExp(`^(?:(.*?):)??((?:${ONE_PEER})(?:\\|(?:${ONE_PEER}))*)$`, 's')
const TARGET_FORM = 'PORT, HOST:PORT, tcp://HOST:PORT, http://HOST:PORT, h2c://HOST:PORT or unix:/PATH'
const TARGET_SCHEMES: readonly string[] = ['tcp', 'http', 'h2c']
const BIND_HINTS: Readonly<Record<string, string>> = {
  localhost: ' (write 127.0.0.1)',
  '*': ' (write 0.0.0.0, with --allow-lan)',
  '': ' (leave out the colon before the port)',
}
