/**
 * The basis of every end-to-end test: a stage with a temporary folder, the rendezvous and gateways as real processes of
 * the built program, and a guarantee that nothing is left behind afterwards.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ReadyEvent } from '../../src/gateway/model/events.ts'
import type { ConnectionRecord, MappedRecord, PeerRecord, StatusRecord } from '../../src/gateway/model/records.ts'
import { cleanEnvironment, MAIN, Program, WAIT_MS } from './program.ts'
import type { ProgramOptions } from './program.ts'

/** What a command printed, and how it ended. */
export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Address {
  readonly host: string
  readonly port: number
}

/** A temporary folder, and everything that must end before it can be removed. */
export class Stage {
  readonly dir: string
  readonly #cleanups: (() => Promise<unknown>)[] = []

  private constructor(dir: string) {
    this.dir = dir
  }

  static async open(): Promise<Stage> {
    return new Stage(await mkdtemp(join(tmpdir(), 'pg-e2e-')))
  }

  /** Run at the end, in reverse order. */
  defer(cleanup: () => Promise<unknown>): void {
    this.#cleanups.push(cleanup)
  }

  async close(): Promise<void> {
    for (const cleanup of this.#cleanups.reverse())
      await cleanup().catch((error: unknown) => console.error(`clean-up failed: ${String(error)}`))
    await rm(this.dir, { recursive: true, force: true })
  }

  path(...parts: readonly string[]): string {
    return join(this.dir, ...parts)
  }

  /** Any program that runs until the stage closes. */
  spawn(
    command: string,
    args: readonly string[],
    { label = command, cwd = this.dir, env = {}, ...rest }: SpawnOptions = {},
  ): Program {
    const program = new Program(command, args, { label, cwd, env: { ...cleanEnvironment(this.dir), ...env }, ...rest })
    this.defer(() => program.kill())
    return program
  }

  /** A pilotgate process. */
  start(args: readonly string[], options: SpawnOptions = {}): Program {
    return this.spawn(process.execPath, [MAIN, ...args], {
      label: `pilotgate ${args.slice(0, 3).join(' ')}`,
      ...options,
    })
  }

  /** Any program that ends on its own. */
  async run(
    command: string,
    args: readonly string[],
    { timeoutMs = WAIT_MS, ...options }: SpawnOptions & { readonly timeoutMs?: number } = {},
  ): Promise<Ran> {
    const program = this.spawn(command, args, options)
    const { code } = await program.ended(timeoutMs)
    return { code, stdout: program.stdout, stderr: program.stderr }
  }

  /** A pilotgate command that ends on its own. */
  async pilotgate(args: readonly string[], options: SpawnOptions & { readonly timeoutMs?: number } = {}): Promise<Ran> {
    return await this.run(process.execPath, [MAIN, ...args], { label: `pilotgate ${args.join(' ')}`, ...options })
  }
}

export type SpawnOptions = Partial<ProgramOptions>

/** A rendezvous that keeps its state and, from the first start on, its ports. */
export class Rendezvous {
  readonly #stage: Stage
  readonly #store: string
  readonly #env: Readonly<Record<string, string>>
  program: Program
  registry = '127.0.0.1:0'
  beacon = '127.0.0.1:0'

  private constructor(stage: Stage, store: string, env: Readonly<Record<string, string>>) {
    this.#stage = stage
    this.#store = store
    this.#env = env
    this.program = this.#spawn()
  }

  static async start(
    stage: Stage,
    store = stage.path('rendezvous'),
    env: Readonly<Record<string, string>> = {},
  ): Promise<Rendezvous> {
    const rendezvous = new Rendezvous(stage, store, env)
    await rendezvous.#ready()
    return rendezvous
  }

  async restart(): Promise<void> {
    await this.program.kill()
    this.program = this.#spawn()
    await this.#ready()
  }

  /** Only while it is not running: all its state is lost. */
  async forget(): Promise<void> {
    await rm(this.#store, { recursive: true, force: true })
  }

  #spawn(): Program {
    return this.#stage.start(
      ['rendezvous', '--json', '--registry', this.registry, '--beacon', this.beacon, '--store', this.#store],
      { label: 'rendezvous', env: this.#env },
    )
  }

  async #ready(): Promise<void> {
    const ready = await this.program.event('ready')
    this.registry = String(ready['registry'])
    this.beacon = String(ready['beacon'])
  }
}

export interface GatewaySetup {
  readonly name: string // hostname
  readonly folder?: string // of the state; defaults to the name
  readonly registry: string
  readonly beacon: string
  readonly trust?: readonly string[]
  readonly map?: readonly string[]
  readonly expose?: readonly string[]
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly openFiles?: number
}

/** A `pilotgate up` that can be killed and started again as the same node. */
export class Gateway {
  readonly setup: GatewaySetup
  readonly stateDir: string
  readonly admin: string
  program: Program
  ready!: ReadyEvent
  readonly #stage: Stage

  private constructor(stage: Stage, setup: GatewaySetup) {
    this.#stage = stage
    this.setup = setup
    this.stateDir = stage.path(setup.folder ?? setup.name)
    this.admin = join(this.stateDir, 'admin.sock')
    this.program = this.#spawn()
  }

  /** Resolves once it has printed `ready`. */
  static async start(stage: Stage, setup: GatewaySetup): Promise<Gateway> {
    const gateway = new Gateway(stage, setup)
    await gateway.#untilReady()
    return gateway
  }

  /** As the same node, after a kill -9 if it is still running. */
  async restart(): Promise<void> {
    await this.program.kill()
    this.program = this.#spawn()
    await this.#untilReady()
  }

  /** The local address of a mapping, by name. */
  local(name: string): Address {
    const found = this.ready.mappings.find((mapping) => mapping.name === name)
    if (found === undefined) throw new Error(`${this.setup.name} has no mapping ${name}`)
    return address(found.local)
  }

  get udp(): Address {
    return address(this.ready.udp!)
  }

  async trusts(peer: string): Promise<void> {
    await this.program.event('trust', (event) => event['peer'] === peer && event['state'] === 'approved')
  }

  /** What this process logs from now on. */
  mark(): number {
    return this.program.logs.length
  }

  async status(): Promise<StatusRecord> {
    return (await this.ask('status')) as StatusRecord
  }
  async peers(): Promise<readonly PeerRecord[]> {
    return (await this.ask('peers')) as readonly PeerRecord[]
  }
  async connections(): Promise<readonly ConnectionRecord[]> {
    return (await this.ask('connections')) as readonly ConnectionRecord[]
  }
  async mappings(): Promise<readonly MappedRecord[]> {
    return (await this.ask('mappings')) as readonly MappedRecord[]
  }
  async counter(name: string): Promise<number> {
    return (await this.status()).counters[name] ?? 0
  }

  /** GET on the admin socket, as documented in docs/operations.md; faster than a command each time. */
  async ask(path: string): Promise<unknown> {
    return await new Promise((resolve, reject) => {
      const call = request(
        { socketPath: this.admin, path: `/v1/${path}`, agent: false, timeout: WAIT_MS },
        (response) => {
          const parts: Buffer[] = []
          response.on('data', (part: Buffer) => parts.push(part))
          response.on('error', reject)
          response.on('end', () => resolve(JSON.parse(Buffer.concat(parts).toString('utf8'))))
        },
      )
      call.on('timeout', () => call.destroy(new Error(`${this.setup.name}: no answer to ${path}`)))
      call.on('error', reject)
      call.end()
    })
  }

  /** A pilotgate command that asks this gateway. */
  async cli(...args: readonly string[]): Promise<Ran> {
    return await this.#stage.pilotgate([...args, '--admin', this.admin], { timeoutMs: 40_000 })
  }

  /** The same with --json: returns the data, or fails the test. */
  async json<T>(...args: readonly string[]): Promise<T> {
    const { code, stdout, stderr } = await this.cli(...args, '--json')
    if (code !== 0) throw new Error(`pilotgate ${args.join(' ')} ended with ${code}: ${stdout}${stderr}`)
    return (JSON.parse(stdout) as { readonly data: T }).data
  }

  #spawn(): Program {
    const { name, registry, beacon, trust = [], map = [], expose = [], args = [] } = this.setup
    const list = (flag: string, values: readonly string[]): string[] => values.flatMap((value) => [flag, value])
    const listen = args.includes('--listen') ? [] : ['--listen', '127.0.0.1:0']
    return this.#stage.start(
      [
        'up',
        '--json',
        '--registry',
        registry,
        '--beacon',
        beacon,
        ...listen,
        '--hostname',
        name,
        '--state-dir',
        this.stateDir,
        ...list('--trust', trust),
        ...list('--map', map),
        ...list('--expose', expose),
        ...args,
      ],
      { label: name, env: this.setup.env ?? {}, openFiles: this.setup.openFiles },
    )
  }

  async #untilReady(): Promise<void> {
    this.ready = (await this.program.event('ready')) as unknown as ReadyEvent
  }
}

/** What may differ within a pair; names, rendezvous and mutual trust are fixed. */
export type PairSetup = Partial<Omit<GatewaySetup, 'name' | 'registry' | 'beacon'>>

export interface Pair {
  readonly rendezvous: Rendezvous
  readonly a: Gateway // agent-a
  readonly b: Gateway // agent-b
}

/** A rendezvous and two private gateways started with `--trust` for each other, both of which saw it approved. */
export async function pair(stage: Stage, a: PairSetup, b: PairSetup): Promise<Pair> {
  const rendezvous = await Rendezvous.start(stage)
  const { registry, beacon } = rendezvous
  const [first, second] = await Promise.all([
    Gateway.start(stage, { registry, beacon, ...a, name: 'agent-a', trust: ['agent-b', ...(a.trust ?? [])] }),
    Gateway.start(stage, { registry, beacon, ...b, name: 'agent-b', trust: ['agent-a', ...(b.trust ?? [])] }),
  ])
  await Promise.all([first.trusts('agent-b'), second.trusts('agent-a')])
  return { rendezvous, a: first, b: second }
}

/** Polls for states that no event announces. `look` returns undefined until the state is reached. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
  timeoutMs = WAIT_MS,
): Promise<T> {
  const until = performance.now() + timeoutMs
  for (;;) {
    const value = await look()
    if (value !== undefined) return value
    if (performance.now() > until) throw new Error(`not so after ${timeoutMs} ms: ${what}`)
    await pause(POLL_MS)
  }
}

/** Only between two polls, or to show that nothing happens. */
export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

export function address(text: string): Address {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) }
}

export function format({ host, port }: Address): string {
  return `${host}:${port}`
}

const POLL_MS = 50
