/**
 * The processes of a run: gateways, proxies, services and clients, one each, on this machine or in a namespace. They
 * end with the stage, or with this process.
 */
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ReadyEvent } from '../src/gateway/model/events.ts'
import type { Stage } from '../test/e2e/harness.ts'
import { MAIN } from '../test/e2e/program.ts'
import type { Program } from '../test/e2e/program.ts'
import { insideCommand } from '../test/nat/lab.ts'
import type { Asked, Order } from './roles/client.ts'

/** Where a process runs: its namespace, if any, and the address at which others reach it. */
export interface Spot {
  readonly namespace?: string
  readonly host: string
}

export class Crew {
  readonly stage: Stage
  #clients = 0
  #holder: Client | undefined

  constructor(stage: Stage) {
    this.stage = stage
    process.once('exit', () => rmSync(stage.dir, { recursive: true, force: true })) // Ctrl+C does not close the stage
  }

  spawn(spot: Spot, args: readonly string[], label: string, command = process.execPath): Program {
    const [program, all] =
      spot.namespace === undefined ? [command, [...args]] : insideCommand(spot.namespace, [command, ...args])
    return this.stage.spawn(program, all, { label })
  }

  /** A role of roles/main.ts. @returns its process and what it reports when ready. */
  async role(
    spot: Spot,
    ...args: readonly string[]
  ): Promise<{ readonly program: Program; readonly ready: Readonly<Record<string, unknown>> }> {
    const program = this.spawn(spot, ['--import', TSX, ROLES, ...args], `bench ${args[0]}`)
    return { program, ready: await program.event('ready', () => true, START_MS) }
  }

  async pilotgate(spot: Spot, ...args: readonly string[]): Promise<Program> {
    return await this.gateway(spot, args, true)
  }

  /** @param native false: with the datagram port of Node.js. */
  async gateway(spot: Spot, args: readonly string[], native: boolean): Promise<Program> {
    const whole = [MAIN, ...args, '--json', '-q']
    const program = native
      ? this.spawn(spot, whole, `pilotgate ${args[0]}`)
      : this.spawn(spot, ['PILOTGATE_NATIVE=0', process.execPath, ...whole], `pilotgate ${args[0]}`, 'env')
    await program.event('ready', () => true, START_MS)
    return program
  }

  async client(spot: Spot): Promise<Client> {
    const path = join(this.stage.dir, `client-${++this.#clients}.sock`)
    const server = createServer()
    await new Promise<void>((resolve) => {
      server.listen(path, resolve)
    })
    const connected = new Promise<Socket>((resolve) => {
      server.once('connection', resolve)
    })
    const { program } = await this.role(spot, 'client', path)
    const socket = await connected
    server.close()
    return new Client(socket, program)
  }

  /** A client on loopback that holds connections open. */
  async holder(fresh: boolean): Promise<Client> {
    if (fresh || this.#holder === undefined) {
      await this.#holder?.stop()
      this.#holder = await this.client({ host: '127.0.0.1' })
    }
    return this.#holder
  }
}

/** One gateway that can be killed and started again as the same node. */
export class BenchGateway {
  readonly name: string
  readonly admin: string
  program!: Program
  ready!: ReadyEvent
  readonly #crew: Crew
  readonly #spot: Spot
  readonly #args: readonly string[]

  readonly #native: boolean

  /** @param native false: with the datagram port of Node.js. */
  constructor(crew: Crew, spot: Spot, name: string, args: readonly string[], native = true) {
    this.#native = native
    this.#crew = crew
    this.#spot = spot
    this.name = name
    const stateDir = join(crew.stage.dir, name)
    this.admin = join(stateDir, 'admin.sock')
    this.#args = ['up', '--hostname', name, '--state-dir', stateDir, '--listen', `${spot.host}:0`, ...args]
  }

  get pid(): number {
    return this.program.pid
  }

  /** kill -9 if it is still running. */
  async start(): Promise<this> {
    await this.program?.kill()
    this.program = await this.#crew.gateway(this.#spot, this.#args, this.#native)
    this.ready = this.program.events.find(({ event }) => event === 'ready') as unknown as ReadyEvent
    return this
  }

  async trusts(peer: string): Promise<void> {
    await this.program.event('trust', (event) => event['peer'] === peer && event['state'] === 'approved', START_MS)
  }
}

/** A process of roles/client.ts, which does one thing at a time. */
export class Client {
  readonly pid: number
  readonly #socket: Socket
  readonly #program: Program
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #orders = 0

  constructor(socket: Socket, program: Program) {
    this.pid = program.pid
    this.#socket = socket
    this.#program = program
    socket.on('error', () => {})
    createInterface({ input: socket }).on('line', (line) => {
      const answer = JSON.parse(line) as Answer
      this.#waiting.get(answer.id)?.(answer)
    })
  }

  /** @throws Error with what went wrong at the client, or if it did not answer in time. */
  async ask<T>(order: Order, timeoutMs = ORDER_MS): Promise<T> {
    const id = ++this.#orders
    const { result, error } = await new Promise<Answer>((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(id)
      }
      const timer = setTimeout(() => {
        done()
        reject(new Error(`${order.do}: not done within ${timeoutMs / 1_000} s`))
      }, timeoutMs)
      this.#waiting.set(id, (answer) => {
        done()
        resolve(answer)
      })
      this.#socket.write(`${JSON.stringify({ id, order } satisfies Asked)}\n`)
    })
    if (error !== undefined) throw new Error(error)
    return result as T
  }

  async stop(): Promise<void> {
    await this.#program.kill()
  }
}

interface Answer {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

const ROLES = fileURLToPath(new URL('roles/main.ts', import.meta.url))
const TSX = import.meta.resolve('tsx')
const START_MS = 30_000
const ORDER_MS = 30_000
