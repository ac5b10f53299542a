/** A local port of the gateway itself, as a service: present or not, and recreated at each start. */
import { parseListen } from '../model/listen.ts'
import type { Service } from '../service/table.ts'

/** A front as configured; the name is its section of the configuration. */
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

/** The result of a front's `open`; the port is free when `stop` returns. */
export interface Running {
  readonly local: string
  stop(): void
}

/** One front: recreated at each start, at the same address. */
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

  /** The rest of the specification, such as the responder's domain and ports, is read when needed. */
  takeOver(other: Service<FrontRecord>): boolean {
    if (!(other instanceof Front) || other.running === undefined || other.spec.listen !== this.spec.listen) return false
    this.running = other.running
    this.#local = other.#local
    other.running = undefined
    return true
  }
}
