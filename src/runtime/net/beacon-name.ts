/**
 * Where the beacon is: UDP needs an address, people write a name. A name that does not resolve keeps nobody from
 * starting; it is asked for again until it does, and once more whenever the beacon falls silent, for it may have moved.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Endpoint } from '../../base/types.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { Logger } from '../../base/logger.ts'

export type Resolve = (name: string) => Promise<string>

/** By the system, as far as a socket of that family can send there. */
export function resolveFor(listen: Endpoint): Resolve {
  return async (name) => (await lookup(name, { family: listen.address.includes(':') ? 0 : 4 })).address
}

export interface BeaconNameEvents {
  /** No answer of the beacon for some time. */
  isSilent(): boolean
  /** The endpoint is another than before. */
  onMoved(): void
}

export class BeaconName {
  /** Changes in place: everybody who holds it sees where the beacon is now. An empty address: nowhere yet. */
  readonly endpoint: { address: string; port: number }
  readonly #name: Endpoint
  readonly #log: Logger
  readonly #resolve: Resolve
  #events: BeaconNameEvents | undefined
  #timer: NodeJS.Timeout | undefined
  #failures = 0
  #stopped = false

  constructor(name: Endpoint, log: Logger, resolve: Resolve) {
    this.#name = name
    this.#resolve = resolve
    this.#log = log
    this.endpoint = { address: isIP(name.address) === 0 ? '' : name.address, port: name.port }
  }

  /** Returns when the name is known, or after a moment without. */
  async start(): Promise<void> {
    if (this.endpoint.address !== '') return
    await Promise.race([
      this.#look(),
      new Promise((resolve) => {
        setTimeout(resolve, START_PATIENCE_MS).unref()
      }),
    ])
  }

  follow(events: BeaconNameEvents): void {
    this.#events = events
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  async #look(): Promise<void> {
    try {
      const address = await this.#resolve(this.#name.address)
      this.#failures = 0
      if (address !== this.endpoint.address) {
        this.endpoint.address = address
        this.#log.debug({ beacon: formatEndpoint(this.#name), address }, 'the beacon is there')
        this.#events?.onMoved()
      }
    } catch (error) {
      if (this.#failures++ === 0)
        this.#log.warn(
          { beacon: formatEndpoint(this.#name), reason: (error as Error).message },
          'the name of the beacon does not resolve; retrying',
        )
    }
    this.#again()
  }

  #again(): void {
    if (this.#stopped) return
    const pause = this.#failures > 0 ? RETRY_MS[Math.min(this.#failures, RETRY_MS.length) - 1]! : SILENCE_LOOK_MS
    this.#timer = setTimeout(() => {
      if (this.#failures > 0 || this.#events?.isSilent() === true) void this.#look()
      else this.#again()
    }, pause).unref()
  }
}

/** A name server that does not answer takes many seconds to be given up. */
const START_PATIENCE_MS = 1_000
const RETRY_MS: readonly number[] = [1_000, 2_000, 5_000, 10_000, 30_000]
const SILENCE_LOOK_MS = 30_000
