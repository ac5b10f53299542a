/**
 * The effective configuration, value by value, and where each comes from, for `pilotgate config show`. It contains no
 * secrets: a token is shown as the file that holds it.
 */
import { isDeepStrictEqual } from 'node:util'
import { isAlias, isMap, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml'
import { formatExposeSpec, type ExposeSpec } from '../gateway/model/expose-spec.ts'
import { parseProxy } from '../runtime/net/proxy.ts'
import { formatListen } from '../gateway/model/listen.ts'
import { formatMapSpec, type MapSpec } from '../gateway/model/map-spec.ts'
import type { GatewayOptions } from '../gateway/model/options.ts'
import type { SettingOrigin, SettingRecord } from '../gateway/model/records.ts'
import type { Environment } from './env.ts'
import {
  flagName,
  OPTION_NAMES,
  OPTIONS,
  variableName,
  type OptionDefinition,
  type OptionName,
} from './option-table.ts'
import type { Flags } from './flags.ts'
import type { Sources } from './sources.ts'
import { exposesOf, mapsOf, resolveOptions } from './options.ts'
import { variable, words } from './paths.ts'
import { Config } from './schema.ts'

/** Changes by command in the running gateway, on top of its sources. */
export interface CommandEdits {
  readonly maps: Edits<MapSpec>
  readonly exposes: Edits<ExposeSpec>
  readonly sections: readonly {
    readonly key: 'trust' | 'http' | 'proxy' | 'dns' | 'observe'
    readonly value: unknown
  }[]
}

interface Edits<Spec> {
  readonly added: readonly Spec[]
  readonly removed: readonly Spec[]
}

/** @throws PilotError like `resolveOptions`: an invalid configuration has no effect. */
export function settingsOf(sources: Sources, edits: CommandEdits = NO_EDITS): SettingRecord[] {
  const options = resolveOptions(sources)
  const places = new Places(sources)
  const { maps, exposes, sections } = edits
  const replaced = sections.map(({ key }) => KEY_OF_SECTION[key])
  const isReplaced = (key: string): boolean => replaced.some((name) => key === name || key.startsWith(`${name}.`))
  return [
    ...[
      ...SINGLE.map((name) => single(name, sources, options, places)),
      ...trust(sources, places),
      ...listOrigins('serve', sources.flags, sources.env).map((item) => ({ key: OPTIONS.serve.key, ...item })),
      ...fileOnly(sources, places),
    ].filter(({ key }) => !isReplaced(key)),
    ...sections.flatMap(({ key, value }) =>
      leavesOf(value, [KEY_OF_SECTION[key]]).map((leaf) => ({
        key: leaf.path.join('.'),
        value: leaf.value,
        origin: { kind: 'command' } as const,
      })),
    ),
    ...services('map', options.maps, originsOf('map', sources, places), maps, formatMapSpec),
    ...services('expose', options.exposes, originsOf('expose', sources, places), exposes, formatExposeSpec),
  ]
}

/** One setting per mapping or exposure, as its spec, with its name if that adds information. */
function services<Spec extends { readonly name: string }>(
  key: 'map' | 'expose',
  specs: readonly Spec[],
  origins: readonly SettingOrigin[],
  { added, removed }: Edits<Spec>,
  format: (spec: Spec) => string,
): SettingRecord[] {
  const setting = (spec: Spec, origin: SettingOrigin): SettingRecord => {
    const text = format(spec)
    return { key, value: text.includes(spec.name) ? text : `${text} (${spec.name})`, origin }
  }
  return [
    ...specs.flatMap((spec, index) =>
      removed.some((other) => isDeepStrictEqual(other, spec)) ? [] : [setting(spec, origins[index]!)],
    ),
    ...added.map((spec) => setting(spec, { kind: 'command' })),
  ]
}

/** In the order of `resolveOptions`: the file, whose entries may make several, then variables, then flags. */
function originsOf(key: 'map' | 'expose', { flags, env, file }: Sources, places: Places): SettingOrigin[] {
  const config = file?.config
  const inFile = (config?.[key] ?? []).flatMap((_, index) => {
    const one = { ...config!, map: config!.map.slice(index, index + 1), expose: config!.expose.slice(index, index + 1) }
    const origin = places.of([key, index])
    return (key === 'map' ? mapsOf(one) : exposesOf(one)).map(() => origin)
  })
  return [...inFile, ...listOrigins(key, flags, env).map(({ origin }) => origin)]
}

function trust({ flags, env, file }: Sources, places: Places): SettingRecord[] {
  const inFile = (file?.config.node.trust ?? []).map((value, index) => ({
    value,
    origin: places.of(['node', 'trust', index]),
  }))
  return [...inFile, ...listOrigins('trust', flags, env)].map((item) => ({ key: OPTIONS.trust.key, ...item }))
}

/** Items that variables and flags add to a list. */
function listOrigins(name: ListName, flags: Flags, env: Environment): { value: string; origin: SettingOrigin }[] {
  return [
    ...words(env, OPTIONS[name].variable).map((value) => ({
      value,
      origin: { kind: 'variable', name: variableName(name) } as const,
    })),
    ...(flags[name] ?? []).map((value) => ({ value, origin: { kind: 'flag', name: flagName(name) } as const })),
  ]
}

function single(name: SingleName, { flags, env }: Sources, options: GatewayOptions, places: Places): SettingRecord {
  const definition: OptionDefinition = OPTIONS[name]
  const origin: SettingOrigin =
    flags[name] !== undefined
      ? { kind: 'flag', name: flagName(name) }
      : variable(env, definition.variable) !== undefined
        ? { kind: 'variable', name: variableName(name) }
        : places.of(definition.key?.split('.') ?? [])
  return { key: definition.key ?? flagName(name), value: VALUE_OF[name](options) ?? null, origin }
}

/** Settings without a flag: every value of the sections that only a file can have. */
function fileOnly({ file }: Sources, places: Places): SettingRecord[] {
  const { node, peers, http, dns, serve } = file?.config ?? Config.parse({ version: 1 })
  const sections = {
    node: { networks: node.networks, tags: node.tags },
    peers,
    ...(serve !== undefined && { serve }),
    ...(http !== undefined && { http: { origins: http.origins } }),
    ...(dns !== undefined && { dns: { domain: dns.domain, ports: dns.ports } }),
  }
  return leavesOf(sections, []).map(({ path, value }) => ({
    key: path.join('.'),
    value,
    origin: places.of(path),
  }))
}

function leavesOf(value: unknown, path: readonly string[]): { path: readonly string[]; value: unknown }[] {
  if (value === undefined) return []
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return [{ path, value }]
  return Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, [...path, key]))
}

/** The position of a key in the file. */
class Places {
  readonly #doc: Document | undefined
  readonly #lines = new LineCounter()
  readonly #file: string

  constructor({ file }: Sources) {
    this.#file = file?.file ?? ''
    this.#doc = file?.text === undefined ? undefined : parseDocument(file.text, { lineCounter: this.#lines })
  }

  /** For an alias: the position of the alias. */
  of(path: readonly (string | number)[]): SettingOrigin {
    let node: unknown = path.length === 0 ? undefined : this.#doc?.contents
    let at: Node | undefined
    for (const part of path) {
      if (isAlias(node)) node = node.resolve(this.#doc!)
      node = isMap(node) || isSeq(node) ? node.get(part, true) : undefined
      if (node === null || node === undefined) return { kind: 'default' }
      at = node as Node
    }
    const start = at?.range?.[0]
    return start === undefined
      ? { kind: 'default' }
      : { kind: 'file', file: this.#file, line: this.#lines.linePos(start).line }
  }
}

type ListName = 'trust' | 'map' | 'expose' | 'serve'
type SingleName = Exclude<OptionName, ListName | 'config'>

const LISTS: readonly ListName[] = ['trust', 'map', 'expose', 'serve']
const SINGLE = OPTION_NAMES.filter(
  (name): name is SingleName => name !== 'config' && !LISTS.some((list) => list === name),
)
const KEY_OF_SECTION = {
  trust: 'node.trust',
  http: 'http',
  proxy: 'proxy',
  dns: 'dns',
  observe: 'observe.listen',
} as const
const NO_EDITS: CommandEdits = {
  maps: { added: [], removed: [] },
  exposes: { added: [], removed: [] },
  sections: [],
}

const VALUE_OF: { readonly [Name in SingleName]: (options: GatewayOptions) => unknown } = {
  registry: ({ registry }) => registry,
  registryFingerprint: ({ registryFingerprint }) => registryFingerprint,
  beacon: ({ beacon }) => beacon,
  transport: ({ transport }) => transport,
  proxy: ({ outboundProxy: proxy }) =>
    proxy === undefined ? 'off' : `http${proxy.url.startsWith('https:') ? 's' : ''}://${parseProxy(proxy.url).shown}`,
  listen: ({ listen }) => listen,
  endpoint: ({ endpoint }) => endpoint,
  hostname: ({ hostname }) => hostname,
  public: (options) => options.public,
  stateDir: ({ stateDir }) => stateDir,
  identity: ({ identityFile }) => identityFile,
  admin: ({ adminSocket }) => adminSocket,
  http: ({ http }) => http && formatListen(http.address, http.port),
  proxyListen: ({ proxy }) => proxy?.listen,
  dns: ({ dns }) => dns?.listen,
  observe: ({ observe }) => observe,
  daemon: ({ daemon }) => daemon?.socket,
  driverSocket: ({ driver }) => driver?.socket,
  allowLan: ({ allowLan }) => allowLan,
}
