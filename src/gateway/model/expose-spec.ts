/**
 * An exposure: a local service on one of our overlay ports. `80=127.0.0.1:3000,allow=agent-a,max=100,for=2h,once` on
 * the command line; `formatExposeSpec` is the inverse of `parseExposeSpec`.
 */
import { isIP } from 'node:net'
import { formatEndpoint } from '../../base/types.ts'
import { ALLOW_FORM, parseAllowed, TRUSTED } from './allow.ts'
import { DURATION_FORM, formatDuration, parseDuration } from './duration.ts'
import { HTTP_PORT } from './peer-host.ts'
import { HOST_FORM, NO_UDP_HOST, parseHostPolicy, type HostPolicy } from './host-policy.ts'
import { MAX_SOCKET_PATH_BYTES, parsePort } from './listen.ts'
import { NO_DIRECT_UDP, parsePathPolicy, PATH_FORM, type PathPolicy } from './path-policy.ts'
import { type Fail, failing, portsOf, type Protocol, splitProtocol, suffix } from './spec-text.ts'

/** One local service made reachable on one of our overlay ports. */
export interface ExposeSpec {
  readonly name: string // unique; the port, or `PORT/udp`, unless the configuration names it
  readonly port: number // overlay port, 1..65535
  readonly protocol: 'tcp' | 'udp'
  readonly target: Target
  readonly allow: readonly string[] // 'trusted' (every trusted peer), peers as written, or key:, net:, tag:
  readonly path?: PathPolicy // absent: any
  readonly identity?: readonly IdentityKind[] // absent: the service learns nothing, bytes are carried unchanged
  readonly host?: HostPolicy // absent: the Host header is the caller's
  readonly limits?: Limits
  readonly forMs?: number // it ends this long after it began
  readonly once?: true // it ends after one connection
  readonly unsafeTarget?: true // the target may be one of unsafe-target.ts
}

export type Target =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly text: string } // text: tcp://127.0.0.1:3000
  | { readonly kind: 'udp'; readonly host: string; readonly port: number; readonly text: string } // text: udp://127.0.0.1:5353
  | { readonly kind: 'unix'; readonly path: string; readonly text: string } // text: unix:/run/pg.sock
  | { readonly kind: 'folder'; readonly path: string; readonly text: string } // its files over HTTP; text: folder:/srv/site
  | { readonly kind: 'exec'; readonly command: string; readonly text: string } // for each connection a process, by /bin/sh -c; text: exec:COMMAND

/** How a backend learns who is calling: by HTTP headers, or by the PROXY protocol before each connection. */
export type ProxyVersion = 'proxy-v1' | 'proxy-v2'

export type IdentityKind = 'headers' | ProxyVersion

/**
 * Absent: none. Connections beyond a limit are refused as if nothing were exposed; bytes are delayed (UDP: dropped).
 */
export interface Limits {
  readonly connections?: number // open at a time
  readonly connectionsPerPeer?: number
  readonly newPerSecond?: number
  readonly newPerSecondPerPeer?: number
  readonly bytesPerSecond?: number // both directions together
  readonly bytesPerSecondPerPeer?: number
}

/** The default name of an exposure. */
export function exposeName(port: number, protocol: Protocol = 'tcp'): string {
  return `${port}${suffix(protocol)}`
}

/** `PORT[/udp]=TARGET[,allow=WHO]...[,identity=KIND]...[,host=rewrite][,path=POLICY][,max=N]…[,for=2h][,once][,unsafe-target]`. Without `allow`: every trusted peer. */
export function parseExposeSpec(text: string): ExposeSpec {
  const fail = failing('expose', text, EXPOSE_FORM)
  const [head, ...options] = text.split(',')
  const equals = head!.indexOf('=')
  if (equals < 0) fail('there is no "=" followed by a target')
  const { body: portText, protocol } = splitProtocol(head!.slice(0, equals), fail)
  const port = parsePort(portText) ?? fail(`"${portText}" before the "=" is not a port (1 to 65535)`)
  const target = parseTarget(unescaped(head!.slice(equals + 1)), protocol)
  const allow = new Set<string>()
  const identity = new Set<IdentityKind>()
  const terms: { -readonly [K in keyof ExposeSpec]?: ExposeSpec[K] } = {}
  for (const option of options) {
    if (option.startsWith('path='))
      terms.path = parsePathPolicy(option.slice('path='.length)) ?? fail(`"${option}": ${PATH_FORM}`)
    else if (option.startsWith('host='))
      terms.host = parseHostPolicy(option.slice('host='.length)) ?? fail(`"${option}": ${HOST_FORM}`)
    else if (option.startsWith('allow='))
      allow.add(parseAllowed(option.slice('allow='.length)) ?? fail(`"${option}": allow takes ${ALLOW_FORM}`))
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
          `"${option}" is not an option; use allow=WHO, identity=KIND, host=rewrite, path=POLICY, max=, max-per-peer=, rate=, rate-per-peer=, bytes=, bytes-per-peer=, for=DURATION, once and unsafe-target`,
        )
    }
  }
  const clash = identityFault([...identity])
  if (clash !== undefined) fail(clash)
  if (identity.size > 0) terms.identity = [...identity]
  const mode = modeFault({ target, ...terms })
  if (mode !== undefined) fail(mode)
  if (protocol === 'udp' && identity.size > 0) fail('identity cannot be combined with /udp')
  if (protocol === 'udp' && terms.host !== undefined) fail(NO_UDP_HOST)
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

/**
 * `8000-8010=127.0.0.1:9000` as one spec for each port; the port of the target counts up with it. Other specs, also
 * wrong ones, are returned unchanged. @throws PilotError USAGE for a range that cannot be counted.
 */
export function expandExposeSpec(text: string): readonly string[] {
  const fail = failing('expose', text, EXPOSE_FORM)
  const [, first, last, protocol, target, tail] =
    /^(\d{1,5})-(\d{1,5})((?:\/\w+)?)=([^,]*)((?:,.*)?)$/s.exec(text) ?? []
  if (first === undefined) return [text]
  return portsOf(first, last!, fail).map(
    (port, index) => `${port}${protocol}=${countedTarget(target!, index, fail)}${tail}`,
  )
}

/** The target whose port is `index` higher. */
export function countedTarget(target: string, index: number, fail: Fail): string {
  const [, host, port] = /^(.*?)(\d{1,5})\/?$/s.exec(target.startsWith('unix:') ? '' : target) ?? []
  if (port === undefined || !/^$|:$/.test(host!)) fail(`"${target}" has no port that could count up`)
  return `${host}${Number(port) + index}`
}

export function formatExposeSpec(spec: ExposeSpec): string {
  const everyone = spec.allow.length === 1 && spec.allow[0] === TRUSTED
  const path = spec.path === undefined ? [] : [`path=${spec.path}`]
  return [
    `${spec.port}${suffix(spec.protocol)}=${escaped(spec.target)}`,
    ...(everyone ? [] : spec.allow.map((peer) => `allow=${peer}`)),
    ...(spec.identity ?? []).map((kind) => `identity=${kind}`),
    ...(spec.host === undefined ? [] : [`host=${spec.host}`]),
    ...path,
    ...formatTerms(spec),
  ].join(',')
}

/**
 * `3000`, `127.0.0.1:3000`, `tcp://…`, `http://…`, `h2c://…`, `unix:/path`, `folder:/path` or `exec:COMMAND`; of a UDP port `5353`, `127.0.0.1:5353` or
 * `udp://…`. Bytes are carried unchanged, whatever the scheme (docs/decisions/0016-http.md); `text` keeps it for
 * readers of the record.
 */
export function parseTarget(text: string, protocol: Protocol = 'tcp'): Target {
  const fail = failing('target', text, TARGET_FORM)
  if (text.startsWith('unix:'))
    return protocol === 'udp' ? fail('a /udp port needs HOST:PORT') : unixTarget(text.slice('unix:'.length), fail)
  if (text.startsWith('folder:') || text.startsWith('exec:')) {
    if (protocol === 'udp') fail('a /udp port needs HOST:PORT')
    return text.startsWith('exec:')
      ? execTarget(text.slice('exec:'.length), fail)
      : folderTarget(text.slice('folder:'.length), fail)
  }
  const [, scheme = protocol, rest] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/s.exec(text)!
  if (protocol === 'udp' && scheme !== 'udp') fail(`"${scheme}" cannot be used with a /udp port`)
  if (protocol === 'tcp' && scheme === 'udp') fail('"udp" needs a /udp port, such as 53/udp=127.0.0.1:5353')
  if (protocol === 'tcp' && !TARGET_SCHEMES.includes(scheme))
    fail(`"${scheme}" is not a scheme this version knows; tcp://HOST:PORT carries any bytes, TLS included`)
  const [, authority, path] = /^([^/]*)(.*)$/s.exec(rest!)!
  if (path !== '' && (path !== '/' || scheme === 'tcp' || scheme === 'udp'))
    fail(`"${path}" after the port: connections are carried whole, so there is no path to choose`)
  const match =
    /^(?:(?:\[([^\]]+)\]|([^:[\]@\s]+)):)?(\d+)$/.exec(authority!) ?? fail(`"${authority}" is not HOST:PORT`)
  const host = match[1] ?? match[2] ?? 'localhost' // a bare port: both families
  if (match[1] !== undefined && isIP(host) !== 6) fail(`"${host}" is not an IPv6 address`)
  const port = parsePort(match[3]!) ?? fail(`"${match[3]}" is not a port (1 to 65535)`)
  return { kind: protocol, host, port, text: `${scheme}://${formatEndpoint({ address: host, port })}` }
}

/** Options that need an HTTP or TCP service behind the port. */
export function modeFault({
  target,
  identity,
  host,
}: Pick<ExposeSpec, 'target' | 'identity' | 'host'>): string | undefined {
  if (target.kind !== 'folder' && target.kind !== 'exec') return undefined
  const what = target.kind === 'folder' ? 'a folder' : 'a command'
  if (identity !== undefined) return `identity cannot be combined with ${what}`
  return host === undefined ? undefined : `host=rewrite cannot be combined with ${what}`
}

/** The target as the host of its URL: what it expects as `Host`. */
export function hostOf(target: Target): string {
  if (!('port' in target)) return 'localhost'
  return target.port === HTTP_PORT
    ? formatEndpoint({ address: target.host, port: HTTP_PORT }).replace(/:80$/, '')
    : formatEndpoint({ address: target.host, port: target.port })
}

export function formatTarget(target: Target): string {
  return target.text
}

/** What is wrong with this combination, if anything. */
export function identityFault(kinds: readonly IdentityKind[]): string | undefined {
  return kinds.includes('proxy-v1') && kinds.includes('proxy-v2')
    ? 'proxy-v1 and proxy-v2 exclude each other: a connection begins with only one of them'
    : undefined
}

export const IDENTITY_KINDS: readonly IdentityKind[] = ['headers', 'proxy-v1', 'proxy-v2']

export const IDENTITY_FORM = 'headers, proxy-v1 or proxy-v2'

function folderTarget(path: string, fail: Fail): Target {
  if (!path.startsWith('/')) fail('the path of a folder begins with "/"')
  if (path.includes('\0')) fail('a path cannot contain a zero byte')
  return { kind: 'folder', path, text: `folder:${path}` }
}

function execTarget(command: string, fail: Fail): Target {
  if (command.trim() === '') fail('the command is missing')
  if (command.includes('\0')) fail('a command cannot contain a zero byte')
  if (command.length > MAX_COMMAND_CHARS) fail(`a command has at most ${MAX_COMMAND_CHARS} characters`)
  return { kind: 'exec', command, text: `exec:${command}` }
}

/** Commas separate the options of a spec; paths and commands contain them as %2C. */
function escaped({ kind, text }: Target): string {
  return FREE_TEXT.has(kind) ? text.replaceAll('%', '%25').replaceAll(',', '%2C') : text
}

function unescaped(text: string): string {
  const [, kind] = /^(folder|exec):/.exec(text) ?? []
  return kind === undefined ? text : text.replace(/%(2C|25)/gi, (_, code) => (code === '25' ? '%' : ','))
}

const FREE_TEXT: ReadonlySet<Target['kind']> = new Set(['folder', 'exec'])
/** Longer ones belong in a script. */
const MAX_COMMAND_CHARS = 4_096

function unixTarget(written: string, fail: Fail): Target {
  const path = written.replace(/^\/\/(?=\/)/, '') // unix:///run/x is the same as unix:/run/x
  if (!path.startsWith('/')) fail('a socket path begins with "/"')
  if (path.includes('\0')) fail('a socket path cannot contain a zero byte')
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES)
    fail(`a socket path has at most ${MAX_SOCKET_PATH_BYTES} bytes, this has ${Buffer.byteLength(path)}`)
  return { kind: 'unix', path, text: `unix:${path}` }
}

type Terms = Pick<ExposeSpec, 'limits' | 'forMs' | 'once' | 'unsafeTarget'>

/** Reads one option into `terms`. @returns false if it is not one of ours, or what is wrong with it. */
export function readTerm(option: string, terms: { -readonly [K in keyof Terms]: Terms[K] }): boolean | string {
  if (option === 'once') {
    terms.once = true
    return true
  }
  if (option === 'unsafe-target') {
    terms.unsafeTarget = true
    return true
  }
  const [, name, value] = /^([a-z-]+)=(.*)$/s.exec(option) ?? []
  if (name === 'for') {
    const ms = parseDuration(value!)
    if (ms === undefined) return `"${option}": ${DURATION_FORM}`
    terms.forMs = ms
    return true
  }
  const limit = LIMIT_OPTIONS.find(([written]) => written === name)?.[1]
  if (limit === undefined) return false
  const number = /^\d{1,12}$/.test(value!) ? Number(value) : 0
  if (number < 1) return `"${option}": a whole number from 1`
  terms.limits = { ...terms.limits, [limit]: number }
  return true
}

/** What `readTerm` reads, in a fixed order. */
export function formatTerms({ limits, forMs, once, unsafeTarget }: Terms): string[] {
  return [
    ...LIMIT_OPTIONS.flatMap(([written, limit]) =>
      limits?.[limit] === undefined ? [] : [`${written}=${limits[limit]}`],
    ),
    ...(forMs === undefined ? [] : [`for=${formatDuration(forMs)}`]),
    ...(once === true ? ['once'] : []),
    ...(unsafeTarget === true ? ['unsafe-target'] : []),
  ]
}

const LIMIT_OPTIONS: ReadonlyArray<readonly [string, keyof Limits]> = [
  ['max', 'connections'],
  ['max-per-peer', 'connectionsPerPeer'],
  ['rate', 'newPerSecond'],
  ['rate-per-peer', 'newPerSecondPerPeer'],
  ['bytes', 'bytesPerSecond'],
  ['bytes-per-peer', 'bytesPerSecondPerPeer'],
]

const EXPOSE_FORM = 'PORT[-PORT][/udp]=TARGET[,allow=WHO]...[,OPTION]..., as 80=127.0.0.1:3000,allow=agent-a'

const TARGET_FORM =
  'PORT, HOST:PORT, tcp://HOST:PORT, http://HOST:PORT, h2c://HOST:PORT, unix:/PATH, folder:/PATH or exec:COMMAND'

const TARGET_SCHEMES: readonly string[] = ['tcp', 'http', 'h2c']
