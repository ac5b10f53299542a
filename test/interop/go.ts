/**
 * The programs of the reference implementation. April 2026: where PILOT_GO_BIN names a folder that holds pilot-daemon,
 * pilot-rendezvous, pilotctl and pilot-gateway. Today: pilot-daemon and pilotctl of the wheel that scripts/wheel.mjs
 * fetches. Each runs in its own home, on loopback, with its own ports.
 */
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Stage } from '../e2e/harness.ts'
import { Gateway, Rendezvous, address as addressOf } from '../e2e/harness.ts'
import type { Program } from '../e2e/program.ts'
import { isContained, refusingProxy } from './containment.ts'
import type { RefusingProxy } from './containment.ts'

const folder = process.env['PILOT_GO_BIN'] ?? ''
const missing = ['pilot-daemon', 'pilot-rendezvous', 'pilotctl', 'pilot-gateway'].filter(
  (name) => !existsSync(join(folder, name)),
)

/** Why the suites cannot run, for `skip`; false if they can. */
export const noGo: string | false =
  folder === ''
    ? 'PILOT_GO_BIN does not name a folder with the programs of the reference implementation'
    : missing.length > 0 && `PILOT_GO_BIN has no ${missing.join(', ')}`

const today = process.env['PILOT_TODAY_BIN']

/** The same for the programs of today, which run only where nothing of them can leave the machine. */
export const noToday: string | false = !isContained
  ? 'not contained: run it with npm run test:interop, where network namespaces can be made'
  : today === undefined && 'the wheel with the reference programs of today is not here (scripts/wheel.mjs said why)'

export type Release = 'april' | 'today'

export function goProgram(name: string, release: Release = 'april'): string {
  return join(release === 'april' ? folder : today!, name)
}

/** Both look the same to their nodes. */
export interface AnyRendezvous {
  readonly registry: string
  readonly beacon: string
}

export const RENDEZVOUS = ['pilotgate', 'go'] as const

export async function startRendezvous(
  stage: Stage,
  kind: (typeof RENDEZVOUS)[number],
  args: readonly string[] = [],
): Promise<AnyRendezvous> {
  if (kind === 'pilotgate') return await Rendezvous.start(stage)
  const [registry, beacon] = [`127.0.0.1:${await freePort('tcp')}`, `127.0.0.1:${await freePort('udp')}`]
  const program = stage.spawn(
    goProgram('pilot-rendezvous'),
    ['-registry-addr', registry, '-beacon-addr', beacon, ...args],
    { label: 'Go rendezvous' },
  )
  await untilListening(registry)
  stage.defer(() => program.kill())
  return { registry, beacon }
}

export interface GoNodeSetup {
  readonly name: string
  readonly rendezvous: AnyRendezvous
  readonly public?: boolean
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Of the programs of today: what they may ask for the web, and is refused. April's ask for nothing. */
  readonly today?: RefusingProxy | undefined
}

/** A Go daemon, and `pilotctl` for it. */
export class GoNode {
  readonly name: string
  readonly home: string
  readonly socket: string
  program!: Program
  readonly release: Release
  readonly udp: string // ip:port
  readonly #stage: Stage
  readonly #args: readonly string[]
  readonly #registry: string
  readonly #more: Readonly<Record<string, string>>
  #nodeId = 0
  #drivers = 0

  private constructor(
    stage: Stage,
    { name, rendezvous, public: isPublic = false, args = [], env = {}, today: proxy }: GoNodeSetup,
    port: number,
  ) {
    this.#stage = stage
    this.name = name
    this.release = proxy === undefined ? 'april' : 'today'
    this.#registry = rendezvous.registry
    this.#more = env
    this.udp = `127.0.0.1:${port}`
    this.home = stage.path(name)
    this.socket = join(this.home, 'pilot.sock')
    this.#args = [
      '-registry',
      rendezvous.registry,
      '-beacon',
      rendezvous.beacon,
      '-listen',
      this.udp,
      '-endpoint',
      this.udp,
      '-socket',
      this.socket,
      '-log-level',
      'debug',
      '-identity',
      join(this.home, 'identity.json'),
      '-email',
      `${name}@example.com`,
      '-hostname',
      name,
      ...(isPublic ? ['-public'] : []),
      ...(proxy === undefined ? [] : [...QUIET, '-proxy', proxy.url]),
      ...args,
    ]
  }

  static async start(stage: Stage, setup: GoNodeSetup): Promise<GoNode> {
    const node = new GoNode(stage, setup, await freePort('udp'))
    await mkdir(node.home, { recursive: true })
    await node.#start()
    return node
  }

  get nodeId(): number {
    return this.#nodeId
  }
  get address(): string {
    return `0:0000.0000.${this.#nodeId.toString(16).toUpperCase().padStart(4, '0')}`
  }

  /** kill -9 and a start with the same identity. */
  async restart(): Promise<void> {
    await this.program.kill()
    await this.#start()
  }

  /** `pilotctl --json …`. @returns its `data`. @throws when it says error. */
  async ctl(...args: readonly string[]): Promise<Record<string, unknown>> {
    const { answer, text } = await this.#run(args)
    if (answer['status'] !== 'ok') throw new Error(`pilotctl ${args.join(' ')}: ${text}`)
    return answer['data'] as Record<string, unknown>
  }

  async #run(args: readonly string[]): Promise<{ answer: Record<string, unknown>; text: string }> {
    const ran = await this.#stage.run(goProgram('pilotctl', this.release), ['--json', ...args], {
      label: `pilotctl ${args[0] ?? ''}`,
      env: { ...this.#env, PILOT_SOCKET: this.socket, PILOT_REGISTRY: this.#registry },
      timeoutMs: 60_000,
    })
    const line = [...ran.stdout.split('\n'), ...ran.stderr.split('\n')].find((text) => text.startsWith('{')) ?? '{}'
    return { answer: JSON.parse(line) as Record<string, unknown>, text: `${ran.stdout}${ran.stderr}` }
  }

  get #env(): Record<string, string> {
    return { HOME: this.home, ...(this.release === 'today' ? { PILOT_NO_SKILLINJECT: '1' } : {}), ...this.#more }
  }

  /**
   * A program that uses this daemon and maps one address: `pilot-gateway`, or, since the wheel of today has none, our own
   * gateway as a client of the daemon's socket. @returns the local address, and what ends it.
   */
  async gateway(
    address: string,
    localIp: string,
    port: number,
  ): Promise<{ host: string; port: number; stop: () => Promise<void> }> {
    if (this.release === 'today') return await this.#driver(address, port)
    const program = this.#stage.spawn(
      goProgram('pilot-gateway'),
      ['-socket', this.socket, '-subnet', '127.88.0.0/16', '-ports', String(port), 'run', address, localIp],
      { label: 'Go gateway', env: { HOME: this.home } },
    )
    const stop = async (): Promise<void> => {
      program.signal('SIGTERM') // it takes its address off the loopback interface
      await program.ended()
    }
    this.#stage.defer(stop)
    await untilListening(`${localIp}:${port}`)
    return { host: localIp, port, stop }
  }

  async #driver(address: string, port: number): Promise<{ host: string; port: number; stop: () => Promise<void> }> {
    const stateDir = join(this.home, `driver-${++this.#drivers}`)
    const args = ['up', '--json', '--daemon', this.socket, '--state-dir', stateDir, '--map', `0:${address}:${port}`]
    const program = this.#stage.start(args, { label: `driver of ${this.name}` })
    const { mappings } = (await program.event('ready')) as unknown as { mappings: Array<{ local: string }> }
    return { ...addressOf(mappings[0]!.local), stop: () => program.kill() }
  }

  async #start(): Promise<void> {
    this.program = this.#stage.spawn(goProgram('pilot-daemon', this.release), this.#args, {
      label: `Go daemon ${this.name}`,
      env: this.#env,
    })
    const line = await this.program.until(
      () =>
        this.program.stderr.split('\n').find((text) => text.includes('daemon running')) ??
        this.program.stdout.split('\n').find((text) => text.includes('daemon running')),
      'the Go daemon',
    )
    this.#nodeId = Number(/node_id=(\d+)/.exec(line)![1])
  }
}

/** Nothing that looks for a network: no events, no news, no files for other programs. */
const QUIET = ['-telemetry-url', '', '-motd-feed-url', '', '-no-skillinject', '-transport', 'udp']

export async function freePort(kind: 'tcp' | 'udp'): Promise<number> {
  return await new Promise((resolve, reject) => {
    if (kind === 'tcp') {
      const server = createServer()
        .once('error', reject)
        .listen(0, '127.0.0.1', () => {
          const { port } = server.address() as AddressInfo
          server.close(() => resolve(port))
        })
      return
    }
    const socket = createSocket('udp4')
      .once('error', reject)
      .bind(0, '127.0.0.1', () => {
        const { port } = socket.address()
        socket.close(() => resolve(port))
      })
  })
}

async function untilListening(address: string): Promise<void> {
  const [host, port] = address.split(':') as [string, string]
  const { connect } = await import('node:net')
  for (let tries = 0; tries < 100; tries++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ host, port: Number(port) }, () => {
        socket.destroy()
        resolve(true)
      }).once('error', () => resolve(false))
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`nothing listens on ${address}`)
}

/** A daemon of today and a gateway of ours that serves `service`, each trusting the other. */
export async function trustedPair(stage: Stage, service: string): Promise<{ go: GoNode; ours: Gateway }> {
  const proxy = await refusingProxy(stage)
  const rendezvous = await Rendezvous.start(stage)
  const go = await GoNode.start(stage, { name: 'go-a', rendezvous, public: true, today: proxy })
  const ours = await Gateway.start(stage, { name: 'ours', ...rendezvous, trust: ['go-a'], args: ['--serve', service] })
  await go.ctl('handshake', String(ours.ready.node.nodeId), 'hello')
  await ours.trusts('go-a')
  return { go, ours }
}
