/**
 * The short notations of the command line: `8080:agent-b:80` (map), `80=127.0.0.1:3000,allow=agent-a` (expose) and
 * the target of an exposure. Overlay addresses hold a colon, so a map spec is read from the right.
 * What does not read is a USAGE error that names the part; `format*` writes what `parse*` reads.
 */
import { isIP } from 'node:net'
import type { Balance, ExposeSpec, MapSpec, PathPolicy, Target } from './types.ts'
import { formatEndpoint } from '../base/types.ts'
import { parseAddress, parsePeerName } from '../base/address.ts'
import { PilotError } from '../base/errors.ts'

/** `[[BIND-IP:]LOCAL-PORT:]PEER:PORT[,path=POLICY]`. Without a local part: the peer's own loopback address and the same port. */
export function parseMapSpec (text: string): MapSpec {
  const fail = failing('map', text, MAP_FORM)
  const [head, ...options] = text.split(',')
  const body = withoutProtocol(head!, fail)
  const path = parseMapOptions(options, fail)
  const colon = body.lastIndexOf(':')
  if (colon < 0) fail('there is no colon with a port behind it')
  const portText = body.slice(colon + 1)
  const port = parsePort(portText) ?? fail(`"${portText}" behind the last colon is no port (1 to 65535)`)
  const { peer, local } = splitPeer(body.slice(0, colon), fail)
  const spec = { name: mapName(peer, port), peer, port, protocol: 'tcp' as const, ...path }
  if (local === '') return { ...spec, localPort: port }
  return { ...spec, ...parseLocal(local, fail) }
}

/** The shortest text that reads as this; a name of one's own is not part of the notation. */
export function formatMapSpec (spec: MapSpec): string {
  const peers = peersOf(spec.peer).map((peer) => peer.includes(':') ? `[${peer}]` : peer).join('|')
  const options = (['path', 'balance', 'probe'] as const).map((key) => spec[key] === undefined ? '' : `,${key}=${spec[key]}`)
  const remote = `${peers}:${spec.port}${options.join('')}`
  if (spec.localAddress !== undefined) return `${formatEndpoint({ address: spec.localAddress, port: spec.localPort })}:${remote}`
  return spec.localPort === spec.port ? remote : `${spec.localPort}:${remote}`
}

/** The peers behind what a mapping calls its peer. */
export function peersOf (peer: string): readonly string[] {
  return peer.split('|')
}

/** The name a mapping has unless the configuration names it. */
export function mapName (peer: string, port: number): string {
  return `${peer}:${port}`
}

/** `PORT=TARGET[,allow=PEER]...[,path=POLICY]`. Without `allow`: every trusted peer. */
export function parseExposeSpec (text: string): ExposeSpec {
  const fail = failing('expose', text, EXPOSE_FORM)
  const [head, ...options] = text.split(',')
  const equals = head!.indexOf('=')
  if (equals < 0) fail('there is no "=" with a target behind it')
  const portText = withoutProtocol(head!.slice(0, equals), fail)
  const port = parsePort(portText) ?? fail(`"${portText}" before the "=" is no port (1 to 65535)`)
  const target = parseTarget(head!.slice(equals + 1))
  const allow = new Set<string>()
  const path: { path?: PathPolicy } = {}
  for (const option of options) {
    if (option.startsWith('path=')) {
      path.path = parsePathPolicy(option.slice('path='.length)) ?? fail(`"${option}": ${PATH_FORM}`)
      continue
    }
    if (!option.startsWith('allow=')) fail(`"${option}" is no option; there are allow=PEER and path=POLICY`)
    allow.add(parseAllowed(option.slice('allow='.length)) ?? fail(`"${option}": ${PEER_FORM}`))
  }
  return { name: String(port), port, protocol: 'tcp', target, allow: allow.size === 0 ? [TRUSTED] : [...allow], ...path }
}

export function formatExposeSpec (spec: ExposeSpec): string {
  const everyone = spec.allow.length === 1 && spec.allow[0] === TRUSTED
  return [`${spec.port}=${formatTarget(spec.target)}`, ...everyone ? [] : spec.allow.map((peer) => `allow=${peer}`), ...spec.path === undefined ? [] : [`path=${spec.path}`]].join(',')
}

/**
 * `3000`, `127.0.0.1:3000`, `tcp://…`, `http://…`, `h2c://…` or `unix:/path`. Bytes are carried as they are whatever
 * the scheme says; it is kept in `text` for those who read the record.
 */
export function parseTarget (text: string): Target {
  const fail = failing('target', text, TARGET_FORM)
  if (text.startsWith('unix:')) return unixTarget(text.slice('unix:'.length), fail)
  const [, scheme = 'tcp', rest] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/s.exec(text)!
  if (!TARGET_SCHEMES.includes(scheme)) fail(`"${scheme}" is no scheme this version knows; tcp://HOST:PORT carries any bytes, TLS included`)
  const [, authority, path] = /^([^/]*)(.*)$/s.exec(rest!)!
  if (path !== '' && (path !== '/' || scheme === 'tcp')) fail(`"${path}" behind the port: connections are carried whole, there is no path to choose`)
  const match = /^(?:(?:\[([^\]]+)\]|([^:[\]@\s]+)):)?(\d+)$/.exec(authority!) ?? fail(`"${authority}" is not HOST:PORT`)
  const host = match[1] ?? match[2] ?? '127.0.0.1'
  if (match[1] !== undefined && isIP(host) !== 6) fail(`"${host}" is no IPv6 address`)
  const port = parsePort(match[3]!) ?? fail(`"${match[3]}" is no port (1 to 65535)`)
  return { kind: 'tcp', host, port, text: `${scheme}://${formatEndpoint({ address: host, port })}` }
}

/** `PEER` or `PEER:PORT`, the peer written as in a map spec. */
export function parseTargetName (text: string): { readonly peer: string, readonly port: number | undefined } {
  if (parsePeerName(withoutBrackets(text)) !== undefined) return { peer: withoutBrackets(text), port: undefined }
  const { peer, port } = parseMapSpec(text)
  return { peer, port }
}

export function formatTarget (target: Target): string {
  return target.text
}

/** `IP:PORT` of a listener; port 0 picks a free one. Undefined when it is not that. */
export function parseListen (text: string): { readonly address: string, readonly port: number } | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  const address = match?.[1] ?? match?.[2]
  const port = parsePort(match?.[3] ?? '', 0)
  if (address === undefined || port === undefined || isIP(address) !== (match![1] === undefined ? 4 : 6)) return undefined
  return { address, port }
}

export function formatListen (address: string, port: number): string {
  return formatEndpoint({ address, port })
}

/** Decimal digits only: `Number` would also read "0x50", "8e1" and "". */
export function parsePort (text: string, least = 1): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined
  const port = Number(text)
  return port >= least && port <= 65_535 ? port : undefined
}

/** 'trusted', or a peer without brackets; undefined when it is neither. */
export function parseAllowed (text: string): string | undefined {
  return text === TRUSTED || parsePeerName(text) !== undefined ? withoutBrackets(text) : undefined
}

export function parsePathPolicy (text: string): PathPolicy | undefined {
  return PATH_POLICIES.find((policy) => policy === text)
}

export const BALANCES = ['round-robin', 'least-connections'] as const satisfies readonly Balance[]
export const BALANCE_FORM = 'round-robin or least-connections'
/** Seconds between probes. */
export const MAX_PROBE_S = 3_600

export const PATH_POLICIES = ['any', 'prefer-direct', 'direct'] as const satisfies readonly PathPolicy[]
export const PATH_FORM = 'any, prefer-direct or direct'

/** Every trusted peer. */
export const TRUSTED = 'trusted'

/** Whoever holds a ticket for the exposure. A ticket lets in whatever the list says; alone, this lets in nobody else. */
export const INVITED = 'invited'

export const PEER_FORM = 'a peer is a hostname (lower-case letters, digits, hyphens), an address as 0:0000.0000.0004, or a node id'

/** Bytes of a Unix socket path, without the closing zero (sun_path of unix(7)); macOS has four less. */
export const MAX_SOCKET_PATH_BYTES = 107

type Fail = (what: string) => never

function failing (kind: string, text: string, form: string): Fail {
  return (what) => { throw new PilotError('USAGE', `${kind} "${text}": ${what}; expected ${form}`, { [kind]: text }) }
}

function parseMapOptions (options: readonly string[], fail: Fail): Pick<MapSpec, 'path' | 'balance' | 'probe'> {
  const read: { path?: PathPolicy, balance?: Balance, probe?: number } = {}
  for (const option of options) {
    const [, key, value] = /^([a-z]+)=(.*)$/s.exec(option) ?? []
    if (key === 'path') read.path = parsePathPolicy(value!) ?? fail(`"${option}": ${PATH_FORM}`)
    else if (key === 'balance') read.balance = BALANCES.find((known) => known === value) ?? fail(`"${option}": ${BALANCE_FORM}`)
    else if (key === 'probe') read.probe = parsePort(value!) ?? fail(`"${option}": whole seconds`)
    else fail(`"${option}" is no option; there are path=POLICY, balance=POLICY and probe=SECONDS`)
  }
  if (read.probe !== undefined && read.probe > MAX_PROBE_S) fail(`"probe=${read.probe}": at most ${MAX_PROBE_S} seconds`)
  return read
}

/** Splits `[LOCAL:]PEER`, where PEER may be `[…]`, an address with its colon, a hostname or a node id. */
function splitPeer (text: string, fail: Fail): { peer: string, local: string } {
  const match = LOCAL_AND_PEERS.exec(text) ?? fail(`"${text}" has no peer at its end`)
  const [, local, written] = match
  const peers = written!.split('|').map(withoutBrackets)
  for (const peer of peers) checkPeer(peer, fail)
  if (new Set(peers).size < peers.length) fail('a peer is named twice')
  if (local === '') fail('the local port before the first colon is missing')
  return { peer: peers.join('|'), local: local ?? '' }
}

function checkPeer (peer: string, fail: Fail): void {
  if (peer === '') fail('the peer is missing')
  // `8080:0000.0000.0004:80` reads as network 8080, which its first group denies: the network was forgotten.
  if (peer.includes(':') && parseAddress(peer) === undefined) fail(`"${peer}" is no address: it is NETWORK:NNNN.HHHH.LLLL, and the first group repeats the network in hex`)
  if (parsePeerName(peer) === undefined) fail(`"${peer}": ${PEER_FORM}`)
}

function parseLocal (text: string, fail: Fail): { localAddress?: string, localPort: number } {
  const [, address, portText] = /^(?:(.*):)?([^:]*)$/s.exec(text)!
  const localPort = parsePort(portText!, 0) ?? fail(`"${portText}" is no local port (0 to 65535, 0 picks a free one)`)
  if (address === undefined) return { localPort }
  const localAddress = withoutBrackets(address)
  if (isIP(localAddress) === 0) fail(`"${address}" is no IP address to listen on${BIND_HINTS[address] ?? ''}`)
  if (isIP(localAddress) === 6 && address === localAddress) fail(`write the IPv6 address in brackets: [${address}]`)
  return { localAddress, localPort }
}

function unixTarget (written: string, fail: Fail): Target {
  const path = written.replace(/^\/\/(?=\/)/, '') // unix:///run/x is the same as unix:/run/x
  if (!path.startsWith('/')) fail('a socket path begins with "/"')
  if (path.includes('\0')) fail('a socket path holds no zero byte')
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) fail(`a socket path has at most ${MAX_SOCKET_PATH_BYTES} bytes, this has ${Buffer.byteLength(path)}`)
  return { kind: 'unix', path, text: `unix:${path}` }
}

/** `/tcp` may be said; `/udp` is a promise of the notation that this version does not keep. */
function withoutProtocol (text: string, fail: Fail): string {
  const [, body, protocol] = /^(.*?)(?:\/([a-z]*))?$/s.exec(text)!
  if (protocol === 'udp') fail('this version carries TCP only, not /udp')
  if (protocol !== undefined && protocol !== 'tcp') fail(`"/${protocol}" is no protocol; this version carries TCP`)
  return body!
}

function withoutBrackets (text: string): string {
  return text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
}

const MAP_FORM = '[[BIND-IP:]LOCAL-PORT:]PEER[|PEER...]:PORT[,path=POLICY][,balance=POLICY][,probe=SECONDS], as 8080:agent-b:80'
const ONE_PEER = String.raw`\[[^[\]|]*\]|\d+:[0-9A-Fa-f]+\.[0-9A-Fa-f.]+|[^:[\]|]*`
const LOCAL_AND_PEERS = new RegExp(`^(?:(.*?):)??((?:${ONE_PEER})(?:\\|(?:${ONE_PEER}))*)$`, 's')
const EXPOSE_FORM = 'PORT=TARGET[,allow=PEER]...[,path=POLICY], as 80=127.0.0.1:3000,allow=agent-a'
const TARGET_FORM = 'PORT, HOST:PORT, tcp://HOST:PORT, http://HOST:PORT, h2c://HOST:PORT or unix:/PATH'
const TARGET_SCHEMES: readonly string[] = ['tcp', 'http', 'h2c']
const BIND_HINTS: Readonly<Record<string, string>> = {
  localhost: ' (write 127.0.0.1)',
  '*': ' (write 0.0.0.0, with --allow-lan)',
  '': ' (leave out the colon before the port)',
}
