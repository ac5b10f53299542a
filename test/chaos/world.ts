/**
 * The world faults happen to: a rendezvous and two gateways as processes of the built program, each in its own
 * namespace, with a router between them and the load on top.
 *
 *   client ── a ──┐
 *                 middle ── rv (registry, beacon)        `cut`, `link`, `mtu`, … act on the middle
 *   service ─ b ──┘
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ReadyEvent } from '../../src/gateway/model/events.ts'
import type { ConnectionRecord, StatusRecord } from '../../src/gateway/model/records.ts'
import { eventually, Stage } from '../e2e/harness.ts'
import type { Ran } from '../e2e/harness.ts'
import { MAIN, ROOT } from '../e2e/program.ts'
import type { Program } from '../e2e/program.ts'
import { Lab, insideCommand } from '../nat/lab.ts'
import type { Site } from '../nat/lab.ts'
import { control } from './load/control.ts'
import { localPort, NOWHERE, OVERLAY, servicePort } from './load/ports.ts'
import type { Flow } from './load/ports.ts'
import type { LoadStats } from './load/tally.ts'
import { Part } from './part.ts'

export type Side = 'a' | 'b' // a maps, b exposes

export interface WorldOptions {
  readonly openFiles?: number // limit of the gateways' descriptors
  readonly probe?: boolean // load/probe.mjs goes into every process: the clock can be shifted, the heap measured
  readonly configFile?: boolean // the mapping gateway reads its mappings from a file
}

export interface ServiceReport {
  readonly finished: number
  readonly open: number
  readonly earlyEnds: readonly string[]
  readonly wrong: readonly string[]
}

export class World {
  readonly stage: Stage
  readonly lab: Lab
  readonly options: WorldOptions
  readonly random: (limit: number) => number
  readonly sites: { readonly rv: Site; readonly a: Site; readonly b: Site }
  readonly rendezvous: Part
  readonly a: Part
  readonly b: Part
  /** What a row reports besides the figures. */
  readonly notes: string[] = []
  readonly #sampler: NodeJS.Timeout

  private constructor(stage: Stage, options: WorldOptions, random: (limit: number) => number) {
    this.stage = stage
    this.options = options
    this.random = random
    this.lab = new Lab()
    stage.defer(async () => this.lab.close())
    this.sites = { rv: this.lab.site('rv'), a: this.lab.site('a'), b: this.lab.site('b') }
    this.rendezvous = new Part('rendezvous', () => this.#pilotgate(this.sites.rv, 'rendezvous', this.#rendezvousArgs()))
    this.a = new Part('a', () => this.#pilotgate(this.sites.a, 'a', this.#gatewayArgs('a'), this.options.openFiles))
    this.b = new Part('b', () => this.#pilotgate(this.sites.b, 'b', this.#gatewayArgs('b'), this.options.openFiles))
    this.#sampler = setInterval(() => {
      for (const part of this.parts) part.resources()
    }, SAMPLE_MS)
    stage.defer(async () => clearInterval(this.#sampler))
  }

  /** Everything is up, both trust each other, and every flow of the load has moved. */
  static async start(
    options: WorldOptions,
    random: (limit: number) => number,
    prepare: (world: World) => void = () => {},
  ): Promise<World> {
    const stage = await Stage.open()
    const world = new World(stage, options, random)
    try {
      for (const name of ['a', 'b', 'rendezvous']) mkdirSync(stage.path(name), { mode: 0o700 })
      prepare(world)
      if (options.configFile === true) world.writeConfig(world.config())
      world.#agent('server', world.sites.b)
      world.#agent('client', world.sites.a)
      await world.rendezvous.start()
      await Promise.all([world.a.start(), world.b.start()])
      await world.#trusted()
      await eventually(
        'the load answers',
        async () =>
          await world.client('mark').then(
            () => true,
            () => undefined,
          ),
      )
      await world.client('start')
      await world.moving(WARM_MS)
      return world
    } catch (error) {
      await stage.close()
      throw error
    }
  }

  async stop(): Promise<void> {
    await this.stage.close()
  }

  get parts(): readonly Part[] {
    return [this.rendezvous, this.a, this.b]
  }

  part(side: Side): Part {
    return side === 'a' ? this.a : this.b
  }

  ready(side: Side): ReadyEvent {
    return this.part(side).program.events.find(({ event }) => event === 'ready') as unknown as ReadyEvent
  }

  /** Sends a command to the load. */
  async client<T = unknown>(command: string, body: unknown = {}, timeoutMs?: number): Promise<T> {
    return await control<T>(this.stage.path('client.ctl'), command, body, timeoutMs)
  }
  async server<T = unknown>(command: string, body: unknown = {}): Promise<T> {
    return await control<T>(this.stage.path('server.ctl'), command, body)
  }

  async stats(): Promise<LoadStats> {
    return await this.client<LoadStats>('stats')
  }

  /** How long after the last mark every flow had moved both ways; undefined: not within `timeoutMs`. */
  async moving(timeoutMs: number): Promise<number | undefined> {
    const until = performance.now() + timeoutMs
    for (;;) {
      const { movedMs } = await this.stats()
      if (movedMs !== null) return movedMs
      if (performance.now() > until) return undefined
      await pause(POLL_MS)
    }
  }

  /** A pilotgate command for one of the gateways. */
  async cli(side: Side, ...args: readonly string[]): Promise<Ran> {
    return await this.stage.pilotgate([...args, '--json', '--admin', this.#admin(side)], { timeoutMs: 60_000 })
  }

  async ask<T>(side: Side, path: string, timeoutMs = 5_000): Promise<T> {
    return await new Promise((resolve, reject) => {
      const call = request({ socketPath: this.#admin(side), path: `/v1/${path}`, agent: false }, (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('end', () => resolve(JSON.parse(Buffer.concat(parts).toString('utf8')) as T))
        response.on('error', reject)
      })
      call.setTimeout(timeoutMs, () => call.destroy(new Error(`${side}: no answer to ${path}`)))
      call.on('error', reject)
      call.end()
    })
  }

  async status(side: Side): Promise<StatusRecord> {
    return await this.ask<StatusRecord>(side, 'status')
  }

  /** Streams a gateway still has; UDP sessions end by their own timeout. */
  async connections(side: Side): Promise<readonly ConnectionRecord[]> {
    return (await this.ask<readonly ConnectionRecord[]>(side, 'connections')).filter(
      ({ protocol }) => protocol === 'tcp',
    )
  }

  /** Another program from this folder at a site, for floods. */
  script(site: Site, file: string, args: readonly string[]): Program {
    const path = fileURLToPath(new URL(file, import.meta.url))
    const [command, all] = insideCommand(site.host, [process.execPath, '--import', 'tsx', path, ...args])
    return this.stage.spawn(command, all, { label: file, cwd: ROOT })
  }

  /** YAML of the mapping gateway; extra lines go after the mappings. */
  config(more: readonly string[] = []): string {
    const lines = [...FLOWS, 'nowhere' as const].map((flow) => {
      const port = flow === 'nowhere' ? NOWHERE : OVERLAY[flow]
      const text = flow === 'datagrams' ? `"${port}/udp"` : String(port)
      return `  - { name: ${flow}, peer: agent-b, port: ${text}, local: "127.0.0.1:${localPort(flow)}" }`
    })
    return ['version: 1', 'map:', ...lines, ...more, ''].join('\n')
  }

  get configPath(): string {
    return this.stage.path('gateway.yaml')
  }

  writeConfig(text: string): void {
    writeFileSync(this.configPath, text)
  }

  get registry(): string {
    return `${this.sites.rv.address}:9000`
  }
  get beacon(): string {
    return `${this.sites.rv.address}:9001`
  }

  folder(part: 'a' | 'b' | 'rendezvous'): string {
    return this.stage.path(part)
  }

  #admin(side: Side): string {
    return join(this.folder(side), 'admin.sock')
  }

  async #trusted(): Promise<void> {
    const approved = (part: Part): Promise<unknown> =>
      part.program.event('trust', (event) => event['state'] === 'approved', TRUST_MS)
    await Promise.all([approved(this.a), approved(this.b)])
  }

  #agent(name: 'client' | 'server', site: Site): void {
    this.script(site, `load/${name}.ts`, [this.stage.path(`${name}.ctl`)])
  }

  #pilotgate(site: Site, label: string, args: readonly string[], openFiles?: number): Program {
    const probe = this.options.probe === true ? ['--import', PROBE] : []
    const [command, all] = insideCommand(site.host, [process.execPath, ...probe, MAIN, ...args])
    const env = { CHAOS_PROBE: this.stage.path(`${label}.probe`) }
    return this.stage.spawn(command, all, { label, env, openFiles })
  }

  #rendezvousArgs(): string[] {
    const store = ['--store', join(this.folder('rendezvous'), 'store')]
    return ['rendezvous', '--json', '--registry', this.registry, '--beacon', this.beacon, ...store]
  }

  #gatewayArgs(side: Side): string[] {
    const common = ['--registry', this.registry, '--beacon', this.beacon, '--state-dir', this.folder(side)]
    const names = ['--hostname', `agent-${side}`, '--trust', side === 'a' ? 'agent-b' : 'agent-a']
    return ['up', '--json', ...common, ...names, ...(side === 'a' ? this.#maps() : EXPOSES)]
  }

  #maps(): string[] {
    if (this.options.configFile === true) return ['-c', this.configPath]
    const udp = (flow: Flow): string => (flow === 'datagrams' ? '/udp' : '')
    return [
      ...FLOWS.flatMap((flow) => ['--map', `127.0.0.1:${localPort(flow)}:agent-b:${OVERLAY[flow]}${udp(flow)}`]),
      '--map',
      `127.0.0.1:${localPort('nowhere')}:agent-b:${NOWHERE}`,
    ]
  }
}

export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

const FLOWS = Object.keys(OVERLAY) as Flow[]
const EXPOSES = FLOWS.flatMap((flow) => [
  '--expose',
  `${OVERLAY[flow]}${flow === 'datagrams' ? '/udp' : ''}=127.0.0.1:${servicePort(flow)}`,
])
const PROBE = new URL('load/probe.mjs', import.meta.url).href
const SAMPLE_MS = 500
const POLL_MS = 100
const WARM_MS = 20_000
const TRUST_MS = 20_000
