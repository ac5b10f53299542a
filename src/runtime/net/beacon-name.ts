/**
 * The beacon's address: UDP needs an address, people write a name. A name that does not resolve does not prevent a
 * start; it is retried until it does, and again whenever the beacon falls silent, because it may have moved.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Endpoint } from '../../base/types.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { Logger } from '../../base/logger.ts'

export type Resolve = (name: string) => Promise<string>

/** Resolved by the system, restricted to addresses that a socket of that family can send to. */
export function resolveFor(listen: Endpoint): Resolve {
  return async (name) => (await lookup(name, { family: listen.address.includes(':') ? 0 : 4 })).address
}

export interface BeaconNameEvents {
  /** No answer of the beacon for some time. */
  isSilent(): boolean
  /** The endpoint has changed. */
  onMoved(): void
}

export class BeaconName {
  /** Modified in place, so that every holder sees the current address. An empty address: not known yet. */
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

  /** Returns when the name is known, or after a short wait. */
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

/** Giving up on an unresponsive name server takes many seconds. */
const START_PATIENCE_MS = 1_000
const RETRY_MS: readonly number[] = [1_000, 2_000, 5_000, 10_000, 30_000]
const SILENCE_LOOK_MS = 30_000
