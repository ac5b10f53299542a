/** A local port of the gateway's own, as a service: there or not, and made again each time it starts. */
import { parseListen } from '../model/listen.ts'
import type { Service } from '../service/table.ts'

/** A front as it is wanted; the name is its section of the configuration. */
export interface FrontSpec {
  readonly origins?: readonly string[] // of the HTTP front: pages that may do more than read
  readonly name: 'http' | 'proxy' | 'dns' | 'observe'
  readonly listen: string // ip:port
  readonly domain?: string // of dns, as the next
  readonly ports?: readonly number[]
}

export interface FrontRecord {
  readonly name: FrontSpec['name']
  readonly local: string // ip:port
}

export interface Listen {
  readonly address: string
  readonly port: number
}

/** What `open` of a front gives; the port is free when `stop` returns. */
export interface Running {
  readonly local: string
  stop(): void
}

/** One of them: made again each time it starts, at the place where it was. */
export class Front implements Service<FrontRecord> {
  readonly spec: FrontSpec
  readonly #open: (at: Listen) => Promise<Running>
  running: Running | undefined
  #local: string | undefined

  constructor(spec: FrontSpec, open: (at: Listen) => Promise<Running>) {
    this.spec = spec
    this.#open = open
  }

  get record(): FrontRecord {
    return { name: this.spec.name, local: this.#local ?? '' }
  }

  async start(): Promise<void> {
    this.running = await this.#open(parseListen(this.#local ?? this.spec.listen)!)
    this.#local = this.running.local
  }

  stop(): void {
    this.running?.stop()
    this.running = undefined
  }

  /** What else the specification says, as domain and ports of the responder, is looked up when it is needed. */
  takeOver(other: Service<FrontRecord>): boolean {
    if (!(other instanceof Front) || other.running === undefined || other.spec.listen !== this.spec.listen) return false
    this.running = other.running
    this.#local = other.#local
    other.running = undefined
    return true
  }
}
