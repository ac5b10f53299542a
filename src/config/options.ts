/**
 * Flags over environment over file over default, as the `GatewayOptions` that the layers below understand. Lists
 * (trust, map, expose) are merged from all sources.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseAllowed } from '../gateway/model/allow.ts'
import { parseDuration } from '../gateway/model/duration.ts'
import {
  countedTarget,
  expandExposeSpec,
  exposeName,
  type ExposeSpec,
  type Limits,
  parseExposeSpec,
  parseTarget,
} from '../gateway/model/expose-spec.ts'
import { failing } from '../gateway/model/spec-text.ts'
import { checkTarget } from '../gateway/model/unsafe-target.ts'
import { checkLoopback, parseListen } from '../gateway/model/listen.ts'
import {
  expandMapSpec,
  formatMapSpec,
  isGroup,
  mapName,
  type MapSpec,
  NO_GROUP_UDP,
  parseMapSpec,
  parseProbe,
  PEER_FORM,
} from '../gateway/model/map-spec.ts'
import type { GatewayOptions } from '../gateway/model/options.ts'
import { NO_UDP_HOST } from '../gateway/model/host-policy.ts'
import { NO_DIRECT_UDP } from '../gateway/model/path-policy.ts'
import { isHostname, parsePeerName, withoutBrackets } from '../base/address.ts'
import { PilotError } from '../base/errors.ts'
import { isLoopback } from '../base/types.ts'
import type { Transport } from '../proto/rendezvous/beacon-way.ts'
import { blamed } from './blame.ts'
import { servedBy } from './served.ts'
import type { Sources } from './sources.ts'
import { flagName, OPTIONS, variableName } from './option-table.ts'
import { adminSocketOf, expandHome, identityFileOf, stateDirOf, variable, words } from './paths.ts'
import { Config, DnsSection } from './schema.ts'
import {
  FINGERPRINT_FORM,
  isFingerprint,
  isFixedEndpoint,
  isBeacons,
  isProxy,
  isProxyOff,
  isRegistry,
  parseLocal,
  parsePortRange,
  PROXY_FORM,
  TRANSPORT_FORM,
  TRANSPORTS,
} from './values.ts'

/**
 * @throws PilotError USAGE for a bad flag, variable or combination, CONFLICT for a name or port given twice; with
 *   `file:line:column` if an entry of the file is to blame.
 */
export function resolveOptions(sources: Sources): GatewayOptions {
  const options = combined(sources)
  const { allowLan } = options
  const check = (config: Config): void => {
    checkFronts({ ...frontsOf(config), allowLan })
    checkServices({ maps: withOwnNames(mapsOf(config)), exposes: exposesOf(config), allowLan })
  }
  try {
    checkFronts(options)
    checkServices(options)
  } catch (error) {
    throw error instanceof PilotError ? blamed(error, sources.file, check) : error
  }
  return options
}

function combined(sources: Sources): GatewayOptions {
  const config = sources.file?.config ?? Config.parse({ version: 1 })
  const { node } = config
  const pick = (key: TextKey, holds: (value: string) => boolean, expected: string): string | undefined =>
    pickText(sources, key, holds, expected)
  const stateDir = stateDirOf(sources)
  const hostname =
    pick('hostname', isHostname, 'a hostname: lower-case letters, digits and inner hyphens, at most 63') ??
    node.hostname
  const endpoint =
    pick('endpoint', isFixedEndpoint, 'a public IP address and port as 203.0.113.7:4000') ?? node.endpoint
  const registryFingerprint = pick('registryFingerprint', isFingerprint, FINGERPRINT_FORM) ?? node.registryFingerprint
  const observe =
    pick('observe', (value) => parseListen(value) !== undefined, 'an IP address and port as 127.0.0.1:9464') ??
    config.observe.listen
  return {
    registry: pick('registry', isRegistry, `${HOST_PORT}, or tls://host:port`) ?? node.registry,
    transport: transportOf(sources),
    ...proxyOf(sources),
    ...(registryFingerprint === undefined ? {} : { registryFingerprint }),
    beacon: pick('beacon', isBeacons, HOST_PORT) ?? node.beacon,
    listen:
      pick('listen', (value) => parseListen(value) !== undefined, 'an IP address and port as 0.0.0.0:0') ?? node.listen,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(hostname === undefined ? {} : { hostname }),
    public: pickFlag(sources, 'public') ?? node.public,
    stateDir,
    identityFile: identityFileOf(sources, stateDir),
    trust: unique([...node.trust, ...words(sources.env, 'TRUST'), ...(sources.flags.trust ?? [])]).map(checkPeer),
    pinned: config.peers,
    ...(node.tags === undefined ? {} : { tags: unique(node.tags) }),
    maps: withOwnNames([
      ...mapsOf(config),
      ...[...words(sources.env, 'MAP'), ...(sources.flags.map ?? [])].flatMap(expandMapSpec).map(parseMapSpec),
    ]),
    exposes: [
      ...exposesOf(config),
      ...[...words(sources.env, 'EXPOSE'), ...(sources.flags.expose ?? [])]
        .flatMap(expandExposeSpec)
        .map(parseExposeSpec),
    ],
    adminSocket: adminSocketOf(sources, stateDir),
    allowLan: pickFlag(sources, 'allowLan') ?? false,
    ...(observe === undefined ? {} : { observe }),
    ...(variable(sources.env, 'NATIVE') === '0' && { native: false }),
    ...frontsOf(withFronts(config, pick)),
    ...networksOf(sources),
    ...driverOf(sources),
    ...servedBy(sources),
    ...daemonOf(sources),
  }
}

function transportOf(sources: Sources): Transport {
  const isTransport = (value: string): value is Transport => TRANSPORTS.some((one) => one === value)
  const given = pickText(sources, 'transport', isTransport, TRANSPORT_FORM)
  return given !== undefined && isTransport(given) ? given : (sources.file?.config.node.transport ?? 'auto')
}

/** The URL may hold a password: it appears in no message. */
function proxyOf(sources: Sources): Pick<GatewayOptions, 'outboundProxy'> {
  const { flags, env, file } = sources
  const text = flags.proxy ?? variable(env, OPTIONS.proxy.variable) ?? file?.config.node.proxy ?? 'auto'
  if (!isProxy(text)) {
    const name = flags.proxy === undefined ? variableName('proxy') : flagName('proxy')
    throw new PilotError('USAGE', `${name}: expected ${PROXY_FORM}`)
  }
  if (isProxyOff(text)) return {}
  if (text !== 'auto') return { outboundProxy: { url: text, except: '', isFromEnvironment: false } }
  const url = env['HTTPS_PROXY'] || env['https_proxy'] || env['ALL_PROXY'] || env['all_proxy'] || ''
  if (!/^https?:\/\//.test(url) || !isProxy(url)) return {} // SOCKS proxies are named there too: not ours
  return { outboundProxy: { url, except: env['NO_PROXY'] || env['no_proxy'] || '', isFromEnvironment: true } }
}

/** @throws PilotError USAGE, CONFLICT: for a conflict among these mappings and exposures. */
export function checkServices(options: Pick<GatewayOptions, 'maps' | 'exposes' | 'allowLan'>): void {
  checkMaps(options)
  checkExposes(options)
}

/** @throws PilotError USAGE for a token that cannot be read. */
function networksOf({ file, env }: Sources): Pick<GatewayOptions, 'networks'> {
  const networks = (file?.config.node.networks ?? []).map((entry) => {
    if (typeof entry === 'number') return { network: entry, token: undefined }
    const path = resolve(file!.folder, expandHome(entry.tokenFile, env))
    try {
      return { network: entry.id, token: readFileSync(path, 'utf8').trim() }
    } catch (error) {
      throw new PilotError(
        'USAGE',
        `node.networks: the token of network ${entry.id}: ${(error as Error).message}`,
        { path },
        error,
      )
    }
  })
  return networks.length === 0 ? {} : { networks }
}

/** A path in the file is relative to the file; `auto` is kept as it is. */
function driverOf({ flags, env, file }: Sources): Pick<GatewayOptions, 'driver'> {
  const given = flags.driverSocket ?? variable(env, 'DRIVER_SOCKET')
  const place = given ?? file?.config.driver.socket
  if (place === undefined) return {}
  const folder = given === undefined ? file!.folder : '.'
  const socket = place === 'auto' ? place : resolve(folder, expandHome(place, env))
  return { driver: { socket, runtimeDir: env['XDG_RUNTIME_DIR'] } }
}

/** A daemon has an identity, a socket and a visibility of its own: setting these as well is a mistake. */
function daemonOf({ flags, env, file }: Sources): Pick<GatewayOptions, 'daemon'> {
  const given = flags.daemon ?? variable(env, 'DAEMON')
  const written = file?.config.node.daemon
  if (given === undefined && written === undefined) return {}
  const socket =
    given === undefined ? resolve(file!.folder, expandHome(written!, env)) : resolve(expandHome(given, env))
  const { node } = Config.parse({ version: 1 })
  const inFile = (key: keyof typeof node): boolean => file !== undefined && file.config.node[key] !== node[key] // an explicit default changes nothing
  for (const key of NODE_OF_OUR_OWN) {
    const name =
      flags[key] !== undefined
        ? flagName(key)
        : variable(env, OPTIONS[key].variable) !== undefined
          ? variableName(key)
          : inFile(key)
            ? OPTIONS[key].key
            : undefined
    if (name !== undefined)
      throw new PilotError('USAGE', `${name} cannot be combined with --daemon: ${key} is up to the daemon`, {
        option: name,
      })
  }
  if ((file?.config.node.networks.length ?? 0) > 0)
    throw new PilotError('USAGE', 'node.networks cannot be combined with --daemon: the daemon is the member', {
      option: 'networks',
    })
  if (file?.config.node.tags !== undefined)
    throw new PilotError('USAGE', "node.tags cannot be combined with --daemon: the tags are the daemon's", {
      option: 'tags',
    })
  if (Object.keys(file?.config.peers ?? {}).length > 0)
    throw new PilotError(
      'USAGE',
      'peers cannot be combined with --daemon: a daemon takes the keys of its peers from the registry, so none can be pinned',
      { option: 'peers' },
    )
  if (
    flags.driverSocket !== undefined ||
    variable(env, 'DRIVER_SOCKET') !== undefined ||
    file?.config.driver.socket !== undefined
  )
    throw new PilotError('USAGE', '--driver-socket cannot be combined with --daemon: drivers use the daemon itself', {
      option: 'driverSocket',
    })
  const registry =
    flags.registry ?? variable(env, 'REGISTRY') ?? (inFile('registry') ? file?.config.node.registry : undefined)
  const first = registry?.split(',')[0]?.trim() // a daemon has one
  return { daemon: first === undefined ? { socket } : { socket, registry: first } }
}

/** The mappings in a file. */
export function mapsOf(config: Config): MapSpec[] {
  return config.map.flatMap(
    ({ name, peer: written, port, ports, local, clients, path, host, balance, probe }): MapSpec[] => {
      const peer = (typeof written === 'string' ? [written] : written).map(withoutBrackets).join('|')
      const listen = local === undefined ? undefined : parseLocal(local)
      const isSeveral = ports !== undefined
      return (ports ?? [port!])
        .map((range) => parsePortRange(range)!)
        .flatMap(({ first, last, protocol }) =>
          Array.from({ length: last - first + 1 }, (_, index): MapSpec => {
            const remote = first + index
            const spec = {
              name:
                name === undefined
                  ? mapName(peer, remote, protocol)
                  : isSeveral
                    ? entryName(name, remote, protocol)
                    : name,
              peer,
              port: remote,
              protocol,
              localPort: (isSeveral ? undefined : listen?.port) ?? remote,
              ...(path !== undefined && { path }),
              ...(host !== undefined && { host }),
              ...(clients !== undefined && { clients }),
              ...(balance !== undefined && { balance }),
              ...probeOf(probe),
            }
            return listen === undefined ? spec : { ...spec, localAddress: listen.address }
          }),
        )
    },
  )
}

/** Of one port of a named entry that has several. */
function entryName(name: string, port: number, protocol: 'tcp' | 'udp'): string {
  return `${name}:${exposeName(port, protocol)}`
}

function probeOf(probe: Config['map'][number]['probe']): Pick<MapSpec, 'probe' | 'check'> {
  if (probe === undefined) return {}
  if (typeof probe !== 'object') return { probe: parseProbe(String(probe))! }
  const { every, http, grpc } = probe
  return {
    probe: parseProbe(String(every))!,
    ...(http !== undefined && { check: { kind: 'http', path: http } }),
    ...(grpc !== undefined && { check: { kind: 'grpc', service: grpc } }),
  }
}

/** The same remote port on a second local address is legitimate: such a mapping is named after its spec. */
export function withOwnNames(maps: readonly MapSpec[]): MapSpec[] {
  const taken = new Set<string>()
  return maps.map((spec) => {
    const name =
      taken.has(spec.name) && spec.name === mapName(spec.peer, spec.port, spec.protocol)
        ? formatMapSpec(spec)
        : spec.name
    taken.add(name)
    return { ...spec, name }
  })
}

/** The exposures in a file. */
export function exposesOf(config: Config): ExposeSpec[] {
  return config.expose.flatMap((entry) => {
    const {
      name,
      port: written,
      target,
      allow,
      path,
      identity,
      host,
      limits,
      for: duration,
      once,
      unsafeTarget,
    } = entry
    const { first, last, protocol } = parsePortRange(written)!
    const fail = failing('target', target, 'a target with a port')
    return Array.from({ length: last - first + 1 }, (_, index): ExposeSpec => ({
      name:
        name === undefined
          ? exposeName(first + index, protocol)
          : first === last
            ? name
            : entryName(name, first + index, protocol),
      port: first + index,
      protocol,
      target: parseTarget(first === last ? target : countedTarget(target, index, fail), protocol),
      allow: unique(allow.map((peer) => parseAllowed(peer)!)),
      ...(path !== undefined && { path }),
      ...(identity !== undefined && identity.length > 0 && { identity: [...new Set(identity)] }),
      ...(host !== undefined && { host }),
      ...(limits !== undefined && { limits: withoutAbsent(limits) }),
      ...(duration !== undefined && { forMs: parseDuration(duration)! }),
      ...(once === true && { once }),
      ...(unsafeTarget === true && { unsafeTarget }),
    }))
  })
}

/** Flags and variables say where they listen; the rest of their sections is up to the file. */
function withFronts(
  config: Config,
  pick: (key: TextKey, holds: (value: string) => boolean, expected: string) => string | undefined,
): Config {
  const listen = (key: TextKey): string | undefined =>
    pick(key, (value) => parseListen(value) !== undefined, 'an IP address and port as 127.0.0.1:8080')
  const [http, proxy, dns] = [listen('http'), listen('proxyListen'), listen('dns')]
  return {
    ...config,
    ...(http !== undefined && { http: { origins: [], ...config.http, listen: http } }),
    ...(proxy !== undefined && { proxy: { listen: proxy } }),
    ...(dns !== undefined && { dns: DnsSection.parse({ ...config.dns, listen: dns }) }),
  }
}

function frontsOf({ http, proxy, dns }: Config): Pick<GatewayOptions, 'http' | 'proxy' | 'dns'> {
  return {
    ...(http !== undefined && {
      http: { ...parseListen(http.listen)!, ...(http.origins.length > 0 && { origins: http.origins }) },
    }),
    ...(proxy !== undefined && { proxy }),
    ...(dns !== undefined && { dns }),
  }
}

function checkFronts({
  http,
  proxy,
  dns,
  allowLan,
}: Pick<GatewayOptions, 'http' | 'proxy' | 'dns' | 'allowLan'>): void {
  if (http !== undefined) checkLoopback(http.address, allowLan, 'http.listen')
  if (proxy !== undefined) checkLoopback(parseListen(proxy.listen)!.address, allowLan, 'proxy.listen')
  if (dns !== undefined) checkLoopback(parseListen(dns.listen)!.address, allowLan, 'dns.listen')
}

/** A path can be required of a connection, not of a datagram; nor has a datagram a `Host`. */
function checkDatagrams(specs: readonly Pick<MapSpec, 'name' | 'protocol' | 'path' | 'host'>[]): void {
  const web = specs.find(({ protocol, host }) => protocol === 'udp' && host !== undefined)
  if (web !== undefined) throw new PilotError('USAGE', `${web.name}: ${NO_UDP_HOST}`, { name: web.name })
  const bad = specs.find(({ protocol, path }) => protocol === 'udp' && path === 'direct')
  if (bad !== undefined) throw new PilotError('USAGE', `${bad.name}: ${NO_DIRECT_UDP}`, { name: bad.name })
}

function withoutAbsent(limits: { readonly [K in keyof Limits]: Limits[K] | undefined }): Limits {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined))
}

function checkMaps({ maps, allowLan }: Pick<GatewayOptions, 'maps' | 'allowLan'>): void {
  checkDatagrams(maps)
  const group = maps.find(({ peer, protocol }) => protocol === 'udp' && isGroup(peer))
  if (group !== undefined) throw new PilotError('USAGE', `${group.name}: ${NO_GROUP_UDP}`, { name: group.name })
  checkDistinct(
    'mapping',
    maps.map((map) => map.name),
  )
  checkDistinct(
    'local address',
    maps
      .filter((map) => map.localAddress !== undefined && map.localPort !== 0)
      .map((map) => `${map.localAddress}:${map.localPort}${map.protocol === 'udp' ? '/udp' : ''}`),
  )
  if (maps.length > MAX_MAPPINGS)
    throw new PilotError('USAGE', `${maps.length} mappings were requested; the limit is ${MAX_MAPPINGS}`)
  const open = maps.find((map) => map.localAddress !== undefined && !isLoopback(map.localAddress))
  if (open !== undefined) checkLoopback(open.localAddress!, allowLan, `map "${formatMapSpec(open)}"`)
}

function checkExposes({ exposes }: Pick<GatewayOptions, 'exposes'>): void {
  checkDistinct(
    'exposure',
    exposes.map((expose) => expose.name),
  )
  checkDistinct(
    'overlay port',
    exposes.map((expose) => exposeName(expose.port, expose.protocol)),
  )
  checkDatagrams(exposes)
  exposes.forEach(checkTarget)
}

function checkDistinct(what: string, names: readonly string[]): void {
  const seen = new Set<string>()
  const twice = names.find((name) => seen.size === seen.add(name).size)
  if (twice !== undefined)
    throw new PilotError(
      'CONFLICT',
      `the ${what} "${twice}" is given twice`,
      { name: twice },
      undefined,
      'Remove one of the two, or change the name or port of one.',
    )
}

function checkPeer(text: string): string {
  if (parsePeerName(text) === undefined) throw new PilotError('USAGE', `trust "${text}": ${PEER_FORM}`, { peer: text })
  return withoutBrackets(text)
}

type TextKey =
  | 'registry'
  | 'registryFingerprint'
  | 'beacon'
  | 'transport'
  | 'listen'
  | 'endpoint'
  | 'hostname'
  | 'http'
  | 'proxyListen'
  | 'dns'
  | 'observe'

function pickText(
  { flags, env }: Sources,
  key: TextKey,
  holds: (value: string) => boolean,
  expected: string,
): string | undefined {
  const value = flags[key] ?? variable(env, OPTIONS[key].variable)
  if (value === undefined || holds(value)) return value
  const name = flags[key] === undefined ? variableName(key) : flagName(key)
  throw new PilotError('USAGE', `${name} "${value}": expected ${expected}`, { [key]: value })
}

function pickFlag({ flags, env }: Sources, key: 'public' | 'allowLan'): boolean | undefined {
  const value = flags[key] ?? variable(env, OPTIONS[key].variable)
  if (value === undefined || typeof value === 'boolean') return value
  if (/^(1|true|yes|on)$/i.test(value)) return true
  if (/^(0|false|no|off)$/i.test(value)) return false
  throw new PilotError('USAGE', `${variableName(key)} "${value}": expected true or false`)
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)]
}

const NODE_OF_OUR_OWN = [
  'beacon',
  'transport',
  'proxy',
  'listen',
  'endpoint',
  'hostname',
  'public',
  'identity',
] as const

const HOST_PORT = 'a host and port as 127.0.0.1:9000'

/** A range such as "1-65535" would open that many listeners; a proxy suits that better than mappings. */
const MAX_MAPPINGS = 16_384
