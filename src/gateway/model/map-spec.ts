/**
 * A mapping: a remote overlay port on a local address. `8080:agent-b:80` on the command line: a local port alone means
 * 127.0.0.1, as in `ssh -L`. Overlay addresses contain a colon, so specs are parsed from the right. `formatMapSpec` is
 * the inverse of `parseMapSpec`.
 */
import { isIP } from 'node:net'
import { parseAddress, parsePeerName, withoutBrackets } from '../../base/address.ts'
import { formatEndpoint } from '../../base/types.ts'
import { tagOf } from './allow.ts'
import { CLIENT_FORM, isClientBlock } from './clients.ts'
import { parseDuration } from './duration.ts'
import { HOST_FORM, NO_UDP_HOST, parseHostPolicy, type HostPolicy } from './host-policy.ts'
import { parsePort } from './listen.ts'
import { NO_DIRECT_UDP, parsePathPolicy, PATH_FORM, type PathPolicy } from './path-policy.ts'
import { type Fail, failing, portsOf, type Protocol, splitProtocol, suffix } from './spec-text.ts'

/** One remote overlay port made reachable on a local address. */
export interface MapSpec {
  readonly name: string // unique; `PEER:PORT` or `PEER:PORT/udp` unless the configuration names it
  readonly peer: string // as written: hostname, address or node id, or tag:NAME; or several of them, with "|" between
  readonly port: number // overlay port, 1..65535
  readonly protocol: 'tcp' | 'udp'
  readonly localAddress?: string // absent: the peer's own loopback address, and `localPort` is `port`
  readonly localPort: number // 0 picks a free one
  readonly path?: PathPolicy // absent: any
  readonly host?: HostPolicy // absent: the Host header is the client's
  readonly clients?: readonly string[] // addresses and CIDR blocks that may connect; absent: anyone who can reach the local address
  readonly balance?: Balance // between several peers; absent: round-robin
  readonly probe?: number // seconds between probe connections; absent: none
  readonly check?: Check // what a probe requests; absent: only a connection
}

/** A probe of the service behind a peer's port. */
export type Check =
  | { readonly kind: 'http'; readonly path: string }
  | { readonly kind: 'grpc'; readonly service: string } // '': the server as a whole

export type Balance = 'round-robin' | 'least-connections'

/** `[[BIND-IP:]LOCAL-PORT:]PEER:PORT[/udp][,path=POLICY]`. Without a local part: the same port on the peer's own loopback address. */
export function parseMapSpec(text: string): MapSpec {
  const fail = failing('map', text, MAP_FORM)
  const [head, ...options] = text.split(',')
  const { body, protocol } = splitProtocol(head!, fail)
  const path = parseMapOptions(options, fail)
  if (protocol === 'udp' && path.path === 'direct') fail(NO_DIRECT_UDP)
  if (protocol === 'udp' && path.host !== undefined) fail(NO_UDP_HOST)
  const colon = body.lastIndexOf(':')
  if (colon < 0) fail('there is no colon followed by a port')
  const portText = body.slice(colon + 1)
  const port = parsePort(portText) ?? fail(`"${portText}" after the last colon is not a port (1 to 65535)`)
  const { peer, local } = splitPeer(body.slice(0, colon), fail)
  const spec = { name: mapName(peer, port, protocol), peer, port, protocol, ...path }
  if (local === '') return { ...spec, localPort: port }
  return { ...spec, ...parseLocal(local, fail) }
}

/**
 * `agent-b:8000-8010` as one spec for each port; a local port, or the first of a local range, counts up with it. Other
 * specs, also wrong ones, are returned unchanged. @throws PilotError USAGE for a range that cannot be counted.
 */
export function expandMapSpec(text: string): readonly string[] {
  const fail = failing('map', text, MAP_FORM)
  const [, head, first, last, tail] = /^([^,]*):(\d{1,5})-(\d{1,5})((?:\/\w+)?(?:,.*)?)$/s.exec(text) ?? []
  if (head === undefined) return [text]
  const ports = portsOf(first!, last!, fail)
  const { local } = splitPeer(head, fail)
  if (local === '') return ports.map((port) => `${head}:${port}${tail}`)
  const peers = head.slice(local.length + 1)
  const [, bind = '', from, to] =
    /^(.*:)?(\d{1,5})(?:-(\d{1,5}))?$/s.exec(local) ?? fail(`"${local}" is not a local port`)
  if (to !== undefined && Number(to) - Number(from) !== ports.length - 1)
    fail('the local range must have as many ports as the remote one')
  return ports.map((port, index) => {
    const localPort = from === '0' ? 0 : Number(from) + index
    return `${bind}${localPort}:${peers}:${port}${tail}`
  })
}

/** The shortest equivalent text; a custom name is not part of the notation. */
export function formatMapSpec(spec: MapSpec): string {
  const peers = peersOf(spec.peer)
    .map((peer) => (peer.includes(':') ? `[${peer}]` : peer))
    .join('|')
  const options = (['path', 'host', 'balance', 'probe'] as const).map((key) =>
    spec[key] === undefined ? '' : `,${key}=${spec[key]}`,
  )
  if (spec.check !== undefined)
    options.push(`,probe-${spec.check.kind}=${spec.check.kind === 'http' ? spec.check.path : spec.check.service}`)
  const clients = (spec.clients ?? []).map((block) => `,client=${block}`)
  const remote = `${peers}:${spec.port}${suffix(spec.protocol)}${[...options, ...clients].join('')}`
  if (spec.localAddress === undefined) return remote
  if (spec.localAddress === LOCALHOST) return `${spec.localPort}:${remote}`
  return `${formatEndpoint({ address: spec.localAddress, port: spec.localPort })}:${remote}`
}

/** The peers in a mapping's `peer`. */
export function peersOf(peer: string): readonly string[] {
  return peer.split('|')
}

/** Whether a peer must be chosen: there are several, or their number is unknown. */
export function isGroup(peer: string): boolean {
  return peersOf(peer).length > 1 || tagOf(peer) !== undefined
}

/** The default name of a mapping. */
export function mapName(peer: string, port: number, protocol: Protocol = 'tcp'): string {
  return `${peer}:${port}${suffix(protocol)}`
}

/** `PEER` or `PEER:PORT`, the peer written as in a map spec. */
export function parseTargetName(text: string): { readonly peer: string; readonly port: number | undefined } {
  if (parsePeerName(withoutBrackets(text)) !== undefined) return { peer: withoutBrackets(text), port: undefined }
  const { peer, port } = parseMapSpec(text)
  return { peer, port }
}

export const BALANCES = ['round-robin', 'least-connections'] as const satisfies readonly Balance[]

export const BALANCE_FORM = 'round-robin or least-connections'

/** Seconds between probes, from `30s`, `5m`, or a number of seconds. */
export function parseProbe(text: string): number | undefined {
  const seconds = /^\d{1,5}$/.test(text) ? Number(text) : (parseDuration(text) ?? 0) / 1_000
  return seconds >= 1 && seconds <= MAX_PROBE_S ? seconds : undefined
}

/** Seconds between probes. */
const MAX_PROBE_S = 3_600

export const PROBE_FORM = `whole seconds from 1 to ${MAX_PROBE_S}, or a duration as "30s"`

/** A path of a GET. Commas separate options in a spec. */
export function isProbePath(text: string): boolean {
  return /^\/[\x21-\x2b\x2d-\x7e]{0,255}$/.test(text)
}

/** A gRPC service by its full name; '' is the server as a whole. */
export function isProbeService(text: string): boolean {
  return /^[\w./-]*$/.test(text) && text.length <= MAX_SERVICE_CHARS
}

const MAX_SERVICE_CHARS = 120

export const PROBE_PATH_FORM = 'a path such as /healthz, without commas'

export const PROBE_SERVICE_FORM = `the full name of a gRPC service such as pkg.Service, or "" for the server; at most ${MAX_SERVICE_CHARS} characters`

export const PEER_FORM =
  'a peer is a hostname (lower-case letters, digits, hyphens), an address such as 0:0000.0000.0004, or a node id'

type MapTerms = Pick<MapSpec, 'path' | 'host' | 'balance' | 'probe' | 'check' | 'clients'>

function parseMapOptions(options: readonly string[], fail: Fail): MapTerms {
  const read: { -readonly [K in keyof MapTerms]: MapTerms[K] } = {}
  for (const option of options) {
    const [, key, value] = /^([a-z-]+)=(.*)$/s.exec(option) ?? []
    if (key === 'path') read.path = parsePathPolicy(value!) ?? fail(`"${option}": ${PATH_FORM}`)
    else if (key === 'host') read.host = parseHostPolicy(value!) ?? fail(`"${option}": ${HOST_FORM}`)
    else if (key === 'balance')
      read.balance = BALANCES.find((known) => known === value) ?? fail(`"${option}": ${BALANCE_FORM}`)
    else if (key === 'probe') read.probe = parseProbe(value!) ?? fail(`"${option}": ${PROBE_FORM}`)
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
        `"${option}" is not an option; use path=POLICY, host=rewrite, balance=POLICY, probe=SECONDS, probe-http=PATH, probe-grpc=SERVICE and client=CIDR`,
      )
  }
  if (read.check !== undefined && read.probe === undefined)
    fail(`"probe-${read.check.kind}" needs probe=SECONDS, the interval`)
  return read
}

/** Splits `[LOCAL:]PEER`, where PEER may be `[…]`, an address with its colon, a hostname or a node id. */
function splitPeer(text: string, fail: Fail): { peer: string; local: string } {
  const match = LOCAL_AND_PEERS.exec(text) ?? fail(`"${text}" does not end with a peer`)
  const [, local, written] = match
  const peers = written!.split('|').map(withoutBrackets)
  for (const peer of peers) if (tagOf(peer) === undefined) checkPeer(peer, fail)
  if (new Set(peers).size < peers.length) fail('a peer is named twice')
  if (local === '') fail('the local port before the first colon is missing')
  return { peer: peers.join('|'), local: local ?? '' }
}

function checkPeer(peer: string, fail: Fail): void {
  if (peer === '') fail('the peer is missing')
  // `8080:0000.0000.0004:80` parses as network 8080, which contradicts its first group: the network is missing.
  if (peer.includes(':') && parseAddress(peer) === undefined)
    fail(`"${peer}" is not an address: write NETWORK:NNNN.HHHH.LLLL, and the first group repeats the network in hex`)
  if (parsePeerName(peer) === undefined) fail(`"${peer}": ${PEER_FORM}`)
}

function parseLocal(text: string, fail: Fail): { localAddress: string; localPort: number } {
  const [, address, portText] = /^(?:(.*):)?([^:]*)$/s.exec(text)!
  const localPort =
    parsePort(portText!, 0) ?? fail(`"${portText}" is not a local port (0 to 65535, 0 picks a free one)`)
  if (address === undefined) return { localAddress: LOCALHOST, localPort }
  const localAddress = withoutBrackets(address)
  if (isIP(localAddress) === 0) fail(`"${address}" is not an IP address to listen on${BIND_HINTS[address] ?? ''}`)
  if (isIP(localAddress) === 6 && address === localAddress) fail(`write the IPv6 address in brackets: [${address}]`)
  return { localAddress, localPort }
}

/** Where a mapping listens if only a port is given. */
export const LOCALHOST = '127.0.0.1'

export const NO_GROUP_UDP =
  'several peers cannot be combined with /udp: an answer does not show which of them received the datagram'

const MAP_FORM =
  '[[BIND-IP:]LOCAL-PORT:]PEER[|PEER...]:PORT[-PORT][/udp][,path=POLICY][,host=rewrite][,balance=POLICY][,probe=SECONDS][,probe-http=PATH][,client=CIDR]..., as 8080:agent-b:80'

const ONE_PEER = String.raw`\[[^[\]|]*\]|tag:[a-z0-9-]+|\d+:[0-9A-Fa-f]+\.[0-9A-Fa-f.]+|[^:[\]|]*`

const LOCAL_AND_PEERS = new RegExp(`^(?:(.*?):)??((?:${ONE_PEER})(?:\\|(?:${ONE_PEER}))*)$`, 's')

const BIND_HINTS: Readonly<Record<string, string>> = {
  localhost: ' (write 127.0.0.1)',
  '*': ' (write 0.0.0.0, with --allow-lan)',
  '': ' (leave out the colon before the port)',
}
