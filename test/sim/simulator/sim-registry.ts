/** The registry of the virtual world, with the real rules, and the in-order TCP connections to it. */
import { ClientSession } from '../../../src/server/registry/session.ts'
import { Registry } from '../../../src/server/registry/registry.ts'
import type { NodeId } from '../../../src/base/types.ts'
import type { RegistryOptions } from '../../../src/server/registry/options.ts'
import { SimDisk, SimStore } from './sim-disk.ts'
import type { World } from './world.ts'

/** Unix ms of virtual time zero. */
export const EPOCH_MS = 1_790_000_000_000

export class SimRegistry {
  readonly #world: World
  readonly #options: Partial<RegistryOptions>
  readonly latencyMs: number
  readonly disk = new SimDisk()
  /** How far its clock runs ahead, ms. */
  clockOffsetMs = 0
  #records = new Map<string, string>() // on the disk
  #store: SimStore
  #rules: Registry
  readonly #connections = new Set<SimRegistryLink>()
  /** Accepts connections; false: new ones are refused and existing ones closed. */
  up = true
  #silent = false
  readonly #held: (() => void)[] = [] // what arrived while it was silent
  readonly requests: string[] = [] // their types, for tests
  readonly seen: object[] = [] // and all of them
  /** False: like an older registry, or a different implementation. */
  knowsSessions = true
  /** A registry that lies: what nodes get instead of the honest answer. */
  lie: ((request: Record<string, unknown>, honest: Record<string, unknown>) => object) | undefined

  constructor(world: World, latencyMs: number, options: Partial<RegistryOptions> = {}) {
    this.#world = world
    this.#options = options
    this.latencyMs = latencyMs
    this.#store = new SimStore(world, this.disk, this.#records)
    this.#rules = new Registry(this.#store, this.#nowMs, options)
  }

  get counters(): Registry['counters'] {
    return this.#rules.counters
  }

  /** One request outside any connection, as if from a host with this address. */
  handle(sourceIp: string, request: object): object {
    return this.#rules.handle(this.#nowMs, sourceIp, 40_000, request)
  }

  /** Like a stopped process: connections stay up, nothing is answered; afterwards everything is, in order. */
  get silent(): boolean {
    return this.#silent
  }
  set silent(silent: boolean) {
    this.#silent = silent
    if (!silent) for (const act of this.#held.splice(0)) act()
  }

  get #nowMs(): number {
    return EPOCH_MS + this.clockOffsetMs + this.#world.nowMs
  }

  /**
   * @param reply gets the answer; undefined: the connection is closed instead, since the answer's promise could not be
   * stored.
   */
  answer(sourceIp: string, request: object, session: ClientSession, reply: (reply: object | undefined) => void): void {
    if (this.#silent) return void this.#held.push(() => this.answer(sourceIp, request, session, reply))
    const copy = JSON.parse(JSON.stringify(request)) as object
    this.requests.push(String((copy as Record<string, unknown>)['type']))
    this.seen.push(copy)
    const known = this.knowsSessions ? session : undefined
    const honest = this.#rules.handle(this.#nowMs, sourceIp, 40_000, copy, known)
    for (const node of this.#rules.takeNoticed()) for (const connection of this.#connections) connection.notify(node)
    const answer = this.lie === undefined ? honest : this.lie(copy as Record<string, unknown>, { ...honest })
    if (!this.#rules.replyWaits) reply(answer)
    else this.#store.whenFlushed((isDurable) => reply(isDurable ? answer : undefined))
  }

  /** What the server does once a minute. */
  sweep(): void {
    if (this.up && !this.#silent) this.#rules.sweep(this.#nowMs)
  }

  stop(): void {
    this.up = false
    this.#held.length = 0
    for (const connection of this.#connections) connection.handleReset()
    this.#connections.clear()
  }

  /** A new process; `forgetful`: on an empty disk. */
  restart(forgetful: boolean): void {
    this.stop()
    void this.#store.close()
    if (forgetful) this.#records = new Map()
    this.#store = new SimStore(this.#world, this.disk, this.#records)
    this.#rules = new Registry(this.#store, this.#nowMs, this.#options)
    this.up = true
  }

  connect(connection: SimRegistryLink): boolean {
    if (this.up) this.#connections.add(connection)
    return this.up
  }

  disconnect(connection: SimRegistryLink): void {
    this.#connections.delete(connection)
  }
}

export interface SimRegistryLinkEvents {
  onConnected(): void
  onDisconnected(): void
  onReply(reply: object): void
}

/** Like runtime/net/registry-link.ts: connects, reconnects indefinitely. */
export class SimRegistryLink {
  readonly #world: World
  readonly #registry: SimRegistry
  readonly #sourceIp: string
  readonly #events: SimRegistryLinkEvents
  #generation = 0 // nothing from an older connection is delivered
  #connected = false
  #replies: { answer: (() => object | undefined) | undefined }[] = [] // oldest first
  #session = new ClientSession(PLAIN_TCP)
  #failures = 0
  #stopped = false
  /** The path to the registry is interrupted: everything sent vanishes, and no connection is established. */
  cut = false

  constructor(world: World, registry: SimRegistry, sourceIp: string, events: SimRegistryLinkEvents) {
    this.#world = world
    this.#registry = registry
    this.#sourceIp = sourceIp
    this.#events = events
  }

  start(): void {
    const generation = ++this.#generation
    this.#later(generation, 2 * this.#registry.latencyMs, () => {
      if (this.cut || !this.#registry.connect(this)) return this.#onClose()
      this.#connected = true
      this.#session = new ClientSession(PLAIN_TCP)
      this.#replies = []
      this.#failures = 0
      this.#events.onConnected()
    })
  }

  send(message: object): void {
    if (!this.#connected || this.cut) return
    const generation = this.#generation
    this.#later(generation, this.#registry.latencyMs, () => {
      const queued: { answer: (() => object | undefined) | undefined } = { answer: undefined }
      this.#replies.push(queued)
      this.#registry.answer(this.#sourceIp, message, this.#session, (reply) => {
        queued.answer = () => reply
        this.#sendReady(generation)
      })
    })
  }

  /** In the order of the requests: one that waits for the disk holds back those behind it. */
  #sendReady(generation: number): void {
    if (generation !== this.#generation) return
    for (let next = this.#replies[0]; next?.answer !== undefined; next = this.#replies[0]) {
      this.#replies.shift()
      const reply = next.answer()
      this.#later(generation, this.#registry.latencyMs, () => {
        if (this.cut) return
        if (reply === undefined) this.drop()
        else this.#events.onReply(reply)
      })
    }
  }

  /** What the registry sends once to a node that asked for it. */
  notify(node: NodeId): void {
    if (this.#session.notified !== node) return
    this.#session.notified = undefined
    this.#later(this.#generation, this.#registry.latencyMs, () => {
      if (!this.cut) this.#events.onReply({ type: 'notify' })
    })
  }

  /** The other end is gone. */
  handleReset(): void {
    const generation = this.#generation
    this.#later(generation, this.#registry.latencyMs, () => this.#onClose())
  }

  drop(): void {
    if (!this.#connected) return
    const generation = this.#generation
    this.#connected = false
    this.#registry.disconnect(this)
    this.#later(generation, 0, () => this.#onClose())
  }

  stop(): void {
    this.#stopped = true
    this.#generation += 1
    this.#registry.disconnect(this)
  }

  #onClose(): void {
    this.#connected = false
    this.#generation += 1
    const pause = RECONNECT_MS[Math.min(this.#failures, RECONNECT_MS.length - 1)]!
    this.#failures += 1
    this.#later(this.#generation, pause, () => this.start())
    this.#events.onDisconnected()
  }

  #later(generation: number, ms: number, act: () => void): void {
    this.#world.after(ms, () => {
      if (generation === this.#generation && !this.#stopped) act()
    })
  }
}

const PLAIN_TCP = { certificate: undefined, isBehindProxy: false }
const RECONNECT_MS: readonly number[] = [100, 250, 500, 1_000, 2_000]
