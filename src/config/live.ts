/**
 * The configuration while the gateway runs: from the file, flags and variables, and from commands on top of them. Every
 * change is computed completely, then applied as a whole or not at all; a refused change alters nothing and reports
 * why. Above: routes.ts and `up`. Below: config/, which parses, and gateway.ts, which applies.
 */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { asPilotError, PilotError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { withExposure, withMapping, without } from './edit.ts'
import { parseConfig, writeConfig } from './load.ts'
import type { LoadedConfig } from './load.ts'
import { checkServices, exposesOf, mapsOf, resolveOptions, withOwnNames } from './options.ts'
import type { Sources } from './sources.ts'
import { settingsOf } from './origins.ts'
import { isLabel } from './values.ts'
import type {
  AdminControl,
  ConfigChange,
  ConfigControl,
  ConfigRecord,
  Edit,
  Gateway,
  GatewayControl,
  Wanted,
} from '../gateway/control.ts'
import type { GatewayEvent } from '../gateway/model/events.ts'
import { type ExposeSpec, parseExposeSpec } from '../gateway/model/expose-spec.ts'
import { type MapSpec, parseMapSpec } from '../gateway/model/map-spec.ts'
import { type Desired, desiredOf, type GatewayOptions, LIVE_KEYS } from '../gateway/model/options.ts'
import type { ExposedRecord, MappedRecord, SettingRecord, StatusRecord } from '../gateway/model/records.ts'

/** What the admin socket offers: the operations of both, and a status that includes the configuration. */
export function adminControl(gateway: GatewayControl, live: LiveConfig): AdminControl {
  return {
    status: () => live.status(),
    peers: () => gateway.peers(),
    mappings: () => gateway.mappings(),
    exposures: () => gateway.exposures(),
    connections: () => gateway.connections(),
    recent: () => gateway.recent(),
    messages: gateway.messages,
    whois: (local) => gateway.whois(local),
    ping: (peer, seq, timeoutMs) => gateway.ping(peer, seq, timeoutMs),
    bench: (peer, options) => gateway.bench(peer, options),
    doctor: () => gateway.doctor(),
    explain: (target) => gateway.explain(target),
    resolve: (name) => gateway.resolve(name),
    hosts: () => gateway.hosts(),
    trusted: () => gateway.trusted(),
    pending: () => gateway.pending(),
    requestTrust: (peer, reason) => gateway.requestTrust(peer, reason),
    approveTrust: (peer, forMs) => gateway.approveTrust(peer, forMs),
    rejectTrust: (peer) => gateway.rejectTrust(peer),
    revokeTrust: (peer) => gateway.revokeTrust(peer),
    invite: (service, forMs, label) => gateway.invite(service, forMs, label),
    tickets: () => gateway.tickets(),
    cancelTicket: (which) => gateway.cancelTicket(which),
    redeem: (ticket) => gateway.redeem(ticket),
    drain: (exposure) => gateway.drain(exposure),
    resume: (exposure) => gateway.resume(exposure),
    config: () => live.config(),
    settings: () => live.settings(),
    reload: () => live.reload(),
    diff: (file, text) => live.diff(file, text),
    replace: (version, wanted) => live.replace(version, wanted),
    map: (spec, edit) => live.map(spec, edit),
    unmap: (name, edit) => live.unmap(name, edit),
    expose: (spec, edit) => live.expose(spec, edit),
    unexpose: (name, edit) => live.unexpose(name, edit),
    down: () => live.down(),
  }
}

/** The state requested of the gateway. */
export type LiveGateway = Pick<Gateway, 'desired' | 'status' | 'mappings' | 'exposures' | 'changes' | 'apply'>

export interface LiveDeps {
  readonly gateway: LiveGateway
  readonly sources: Sources
  readonly file?: string | undefined
  readonly log: Pick<Logger, 'info' | 'error'>
  readonly onEvent: (event: GatewayEvent) => void
  readonly onDown: () => void
}

/** Edits by command on one list: removals match equal entries, so an entry that changes in the file reappears. */
interface Edits<Spec> {
  readonly added: readonly Spec[]
  readonly removed: readonly Spec[]
}

/** What is to be done. */
interface Work {
  readonly wanted: Desired
  readonly restart: readonly string[] // keys that prevent it
}

interface State {
  readonly sources: Sources
  readonly maps: Edits<MapSpec>
  readonly exposes: Edits<ExposeSpec>
  readonly sections: readonly SectionEdit[]
}

type Section = Exclude<keyof Desired, 'maps' | 'exposes'>

/** A section set by command: it holds until the file's value for it changes. */
interface SectionEdit {
  readonly key: Section
  readonly instead: unknown // the value in file and flags at that time
  readonly value: unknown
}

export class LiveConfig implements ConfigControl {
  readonly #deps: LiveDeps
  readonly #file: string | undefined
  readonly #started: GatewayOptions
  #state: State
  #version = 1
  #error: string | null = null
  #refusedText: string | undefined // reported already
  #queue: Promise<unknown> = Promise.resolve()

  constructor(deps: LiveDeps) {
    this.#deps = deps
    this.#file = deps.file === undefined ? undefined : resolve(deps.file)
    this.#started = resolveOptions(deps.sources)
    this.#state = { sources: deps.sources, maps: NO_EDITS, exposes: NO_EDITS, sections: [] }
  }

  get file(): string | undefined {
    return this.#file
  }

  status(): StatusRecord {
    return {
      ...this.#deps.gateway.status(),
      config: { version: this.#version, file: this.#file ?? null, error: this.#error },
    }
  }

  config(): ConfigRecord {
    const { maps, exposes, ...sections } = this.#deps.gateway.desired
    return {
      version: this.#version,
      file: this.#file ?? null,
      error: this.#error,
      mappings: maps,
      exposures: exposes,
      ...sections,
    }
  }

  settings(): readonly SettingRecord[] {
    const { sources, maps, exposes, sections } = this.#state
    return settingsOf(sources, { maps, exposes, sections: inForce(sections, resolveOptions(sources)) })
  }

  reload(): Promise<ConfigChange> {
    return this.#inTurn(async () => {
      const file = this.#fileOr('there is no file to reload')
      const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => error)
      if (typeof text === 'string' && text === this.#state.sources.file?.text) {
        // unchanged, or changed back
        this.#error = null
        this.#refusedText = undefined
        return {
          version: this.#version,
          changes: this.#deps.gateway.changes(this.#deps.gateway.desired),
          restart: [],
        }
      }
      try {
        if (typeof text !== 'string')
          throw new PilotError(
            'CONFIG_INVALID',
            `${file}: cannot be read (${text.code ?? text.message})`,
            { file },
            text,
          )
        return await this.#take(withFile(this.#state, this.#load(file, text)))
      } catch (error) {
        this.#refuse(asPilotError(error), typeof text === 'string' ? text : '')
        throw error
      }
    })
  }

  diff(file: string, text: string): Promise<ConfigChange> {
    return this.#inTurn(async () => {
      const work = this.#work(withFile(this.#state, this.#load(file, text)))
      return { version: this.#version, changes: this.#deps.gateway.changes(work.wanted), restart: work.restart }
    })
  }

  replace(version: number, wanted: Wanted): Promise<ConfigChange> {
    return this.#inTurn(async () => {
      this.#check(version)
      const { map = [], expose = [], trust, ...sections } = wanted
      const present = Object.entries(sections).filter(
        ([key, value]) => SECTIONS.has(key) && value !== undefined && value !== null,
      )
      const document = { version: 1, map, expose, node: { trust: trust ?? [] }, ...Object.fromEntries(present) }
      const file = this.#load('the request', JSON.stringify(document)) // JSON is YAML
      const {
        trust: asked,
        http,
        proxy,
        dns,
        observe,
      } = resolveOptions({
        flags: { allowLan: this.#started.allowLan },
        env: this.#home,
        file,
      })
      const values = { trust: asked, http, proxy, dns, observe }
      const base = resolveOptions(this.#state.sources)
      const given = SECTION_KEYS.filter((key) => wanted[key] !== undefined)
      return await this.#take({
        ...this.#state,
        maps: editsFor(base.maps, withOwnNames(mapsOf(file.config))),
        exposes: editsFor(base.exposes, exposesOf(file.config)),
        sections: [
          ...this.#state.sections.filter(({ key }) => !given.includes(key)),
          ...given.map((key) => ({ key, instead: base[key], value: values[key] })),
        ],
      })
    })
  }

  map(text: string, edit: Edit): Promise<MappedRecord> {
    return this.#inTurn(async () => {
      this.#check(edit.ifVersion)
      const { maps } = this.#deps.gateway.desired
      const spec =
        edit.name === undefined
          ? withOwnNames([...maps, parseMapSpec(text)]).at(-1)!
          : { ...parseMapSpec(text), name: checkLabel(edit.name) }
      checkFree('mapping', spec.name, maps)
      if (edit.save === true) await this.#save((file) => withMapping(file, spec, edit.name !== undefined))
      else await this.#take({ ...this.#state, maps: plus(this.#state.maps, spec) })
      return find('mapping', this.#deps.gateway.mappings(), spec.name)
    })
  }

  unmap(name: string, edit: Edit): Promise<MappedRecord> {
    return this.#inTurn(async () => {
      this.#check(edit.ifVersion)
      const { gateway } = this.#deps
      const record = find('mapping', gateway.mappings(), name)
      if (edit.save === true) await this.#save((file) => without(file, 'map', name))
      else
        await this.#take({ ...this.#state, maps: minus(this.#state.maps, find('mapping', gateway.desired.maps, name)) })
      return record
    })
  }

  expose(text: string, edit: Edit): Promise<ExposedRecord> {
    return this.#inTurn(async () => {
      this.#check(edit.ifVersion)
      const parsed = parseExposeSpec(text)
      const spec = edit.name === undefined ? parsed : { ...parsed, name: checkLabel(edit.name) }
      checkFree('exposure', spec.name, this.#deps.gateway.desired.exposes)
      if (edit.save === true) await this.#save((file) => withExposure(file, spec, edit.name !== undefined))
      else await this.#take({ ...this.#state, exposes: plus(this.#state.exposes, spec) }, spec.name)
      return find('exposure', this.#deps.gateway.exposures(), spec.name)
    })
  }

  unexpose(name: string, edit: Edit): Promise<ExposedRecord> {
    return this.#inTurn(async () => {
      this.#check(edit.ifVersion)
      const { gateway } = this.#deps
      const record = find('exposure', gateway.exposures(), name)
      if (edit.save === true) await this.#save((file) => without(file, 'expose', name))
      else
        await this.#take({
          ...this.#state,
          exposes: minus(this.#state.exposes, find('exposure', gateway.desired.exposes, name)),
        })
      return record
    })
  }

  async down(): Promise<{ readonly state: 'draining'; readonly connections: number }> {
    const { connections } = this.#deps.gateway.status()
    setImmediate(this.#deps.onDown) // after the answer
    return { state: 'draining', connections }
  }

  /** Defaults for a document that names no folder and no identity. */
  get #home(): Sources['env'] {
    const { HOME, XDG_STATE_HOME } = this.#state.sources.env
    return { HOME, XDG_STATE_HOME }
  }

  /**
   * Serialises changes, each with what surrounds it: reading the file and the current state before, writing the file
   * after. The gateway has a queue of its own, for `apply` alone: exposures also end on their own, and it runs without us.
   */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work)
    this.#queue = done.catch(() => {})
    return done
  }

  #load(file: string, text: string): LoadedConfig {
    return { config: parseConfig(text, file), folder: dirname(this.#file ?? resolve(file)), text, file }
  }

  /** What a state requests, and which keys prevent it. @throws PilotError if it is inconsistent. */
  #work({ sources, maps, exposes, sections }: State): Work {
    const options = resolveOptions(sources)
    const set = inForce(sections, options)
    const wanted = desiredOf({
      ...options,
      ...Object.fromEntries(set.map(({ key, value }) => [key, value])),
      maps: edited(options.maps, maps),
      exposes: edited(options.exposes, exposes),
    })
    checkServices({ ...wanted, allowLan: options.allowLan })
    return { wanted, restart: fixedKeys(this.#started, options) }
  }

  async #take(state: State, renewed?: string): Promise<ConfigChange> {
    const work = this.#work(state)
    const { restart } = work
    if (restart.length > 0)
      throw new PilotError(
        'RESTART_NEEDED',
        `${restart.join(', ')}: cannot change while the gateway runs, so none of it was applied`,
        { keys: restart },
      )
    const changes = await this.#deps.gateway.apply(work.wanted, renewed)
    const fresh = state.sources.file !== this.#state.sources.file
    this.#state = state
    if (fresh) {
      this.#error = null
      this.#refusedText = undefined
    }
    if (Object.values(changes).some((names) => names.length > 0)) {
      this.#version += 1
      this.#deps.log.info({ version: this.#version, ...changes }, 'another configuration is in force')
      this.#deps.onEvent({ event: 'reloaded', version: this.#version, ...changes })
    }
    return { version: this.#version, changes, restart }
  }

  /**
   * Applied before it is saved: the file must not contain what cannot be bound. If the file cannot be written, the
   * change is undone.
   */
  async #save(change: (text: string) => string): Promise<void> {
    const file = this.#fileOr('there is no file to save to; leave out --save')
    const before = this.#state
    const text = await readFile(file, 'utf8')
    if (text !== before.sources.file?.text)
      throw new PilotError(
        'CONFLICT',
        `${file} has changed and is not in force: ${this.#error ?? 'it is about to be read'}`,
        { file },
        undefined,
        'Run `pilotgate reload`, then try again.',
      )
    const edited = change(text)
    await this.#take(withFile(before, this.#load(file, edited)))
    try {
      await writeConfig(file, edited)
    } catch (error) {
      await this.#take(before)
      throw new PilotError(
        'FAILED',
        `${file}: cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
        { file },
        error,
      )
    }
  }

  /** The running configuration stays; the reason is reported once for each text. */
  #refuse(error: PilotError, text: string): void {
    this.#error = error.message
    if (this.#refusedText === text) return
    this.#refusedText = text
    this.#deps.log.error(
      { file: this.#file, code: error.code, reason: error.message },
      'the changed configuration was not applied; the running one stays in force',
    )
  }

  #check(version: number | undefined): void {
    if (version === undefined || version === this.#version) return
    throw new PilotError(
      'CONFLICT',
      `the configuration is now at version ${this.#version}, not ${version}`,
      { version: this.#version },
      undefined,
      'It was changed in the meantime. Look at it again, then repeat the change with the new version.',
    )
  }

  #fileOr(without: string): string {
    if (this.#file === undefined)
      throw new PilotError(
        'USAGE',
        `the gateway was started without a configuration file: ${without}`,
        {},
        undefined,
        'Start it with `pilotgate up -c FILE`; `pilotgate config init` prints a file to start from.',
      )
    return this.#file
  }
}

/** A section set by command holds until the file's value for it changes. */
function inForce(sections: readonly SectionEdit[], options: GatewayOptions): readonly SectionEdit[] {
  return sections.filter(({ key, instead }) => isDeepStrictEqual(options[key], instead))
}

function withFile(state: State, file: LoadedConfig): State {
  return { ...state, sources: { ...state.sources, file } }
}

function edited<Spec extends { readonly name: string }>(
  base: readonly Spec[],
  { added, removed }: Edits<Spec>,
): Spec[] {
  const kept = base.filter((spec) => !removed.some((gone) => isDeepStrictEqual(gone, spec)))
  const names = new Set(kept.map(({ name }) => name))
  return [...kept, ...added.filter(({ name }) => !names.has(name))] // later edits of the file count
}

function editsFor<Spec>(base: readonly Spec[], wanted: readonly Spec[]): Edits<Spec> {
  const among = (list: readonly Spec[], spec: Spec): boolean => list.some((other) => isDeepStrictEqual(other, spec))
  return { added: wanted.filter((spec) => !among(base, spec)), removed: base.filter((spec) => !among(wanted, spec)) }
}

function plus<Spec extends { readonly name: string }>({ added, removed }: Edits<Spec>, spec: Spec): Edits<Spec> {
  return { added: [...added.filter(({ name }) => name !== spec.name), spec], removed }
}

function minus<Spec extends { readonly name: string }>({ added, removed }: Edits<Spec>, spec: Spec): Edits<Spec> {
  return { added: added.filter(({ name }) => name !== spec.name), removed: [...removed, spec] }
}

/** Keys, as in the file, that differ although they are read only at startup. */
function fixedKeys(started: GatewayOptions, options: GatewayOptions): string[] {
  const keys = new Set([...Object.keys(started), ...Object.keys(options)] as (keyof GatewayOptions)[])
  return [...keys]
    .filter((key) => !LIVE.has(key) && !isDeepStrictEqual(started[key], options[key]))
    .map((key) => KEY_NAMES[key] ?? `node.${key}`)
}

function find<T extends { readonly name: string }>(kind: string, list: readonly T[], name: string): T {
  const found = list.find((entry) => entry.name === name)
  if (found === undefined) {
    const names = list.slice(0, MAX_NAMES_SHOWN).map((entry) => entry.name)
    const there = names.length === 0 ? `There are no ${kind}s.` : `There are ${names.join(', ')}.`
    throw new PilotError('NOT_FOUND', `there is no ${kind} named "${name}"`, { name }, undefined, there)
  }
  return found
}

/** In a hint: enough to see a misspelling. */
const MAX_NAMES_SHOWN = 20

function checkFree(kind: string, name: string, list: readonly { readonly name: string }[]): void {
  if (list.some((entry) => entry.name === name))
    throw new PilotError(
      'CONFLICT',
      `there is already ${kind === 'exposure' ? 'an' : 'a'} ${kind} "${name}"`,
      { name },
      undefined,
      kind === 'exposure'
        ? `Remove that one first (\`pilotgate unexpose ${name}\`), or expose another port.`
        : `Remove that one first (\`pilotgate unmap ${name}\`), or choose another name with --name.`,
    )
}

function checkLabel(name: string): string {
  if (isLabel(name)) return name
  throw new PilotError('USAGE', `--name "${name}": expected 1 to 64 letters, digits and . _ : -`, { name })
}

const NO_EDITS = { added: [], removed: [] }
const LIVE: ReadonlySet<string> = new Set(LIVE_KEYS)
const SECTION_KEYS = LIVE_KEYS.filter((key) => key !== 'maps' && key !== 'exposes')
const SECTIONS: ReadonlySet<string> = new Set(SECTION_KEYS)
const KEY_NAMES: Readonly<Record<string, string>> = {
  identityFile: 'node.identity',
  pinned: 'peers',
  adminSocket: 'admin.socket',
  allowLan: '--allow-lan',
  serve: 'serve',
}
