/**
 * The beacon's address: UDP needs an address, people write a name, or several. A name that does not resolve does not
 * prevent a start; it is retried until it does, and again whenever the beacon falls silent, because it may have moved.
 * Of several addresses the next one is tried when one is silent, and one that answers is kept.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Endpoint, Instant } from '../../base/types.ts'
import { formatEndpoint, sameEndpoint } from '../../base/types.ts'
import type { Logger } from '../../base/logger.ts'

export type Resolve = (name: string) => Promise<readonly string[]>

/** Resolved by the system, restricted to addresses that a socket of that family can send to. */
export function resolveFor(listen: Endpoint): Resolve {
  const family = listen.address.includes(':') ? 0 : 4
  return async (name) => (await lookup(name, { family, all: true })).map(({ address }) => address)
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
  readonly #names: readonly Endpoint[]
  readonly #log: Logger
  readonly #resolve: Resolve
  #places: readonly Endpoint[]
  #index = 0
  #events: BeaconNameEvents | undefined
  #timer: NodeJS.Timeout | undefined
  #failures = 0
  #stopped = false
  #answeredAt: Instant = -Infinity
  #tried = 0 // since the last answer

  constructor(names: readonly Endpoint[], log: Logger, resolve: Resolve) {
    this.#names = names
    this.#resolve = resolve
    this.#log = log
    this.#places = names.filter(({ address }) => isIP(address) !== 0)
    const { address, port } = this.#places[0] ?? { address: '', port: names[0]?.port ?? 0 }
    this.endpoint = { address, port }
  }

  /** Returns when the names are known, or after a short wait. */
  async start(): Promise<void> {
    if (this.#places.length === this.#names.length) return
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

  /**
   * This one is silent: on to the next, if there are others. @param answeredAt when any of them answered last.
   * @returns whether it is worth asking at once: it has not been tried since then.
   */
  next(answeredAt: Instant): boolean {
    if (this.#places.length < 2) return false
    if (answeredAt !== this.#answeredAt) this.#tried = 0
    this.#answeredAt = answeredAt
    this.#tried += 1
    this.#index = (this.#index + 1) % this.#places.length
    this.#use(this.#places[this.#index]!)
    return this.#tried < this.#places.length
  }

  async #look(): Promise<void> {
    const found = await Promise.all(this.#names.map((name) => this.#expand(name)))
    const places = found.flat()
    if (found.some((list) => list.length === 0)) this.#failures += 1
    else this.#failures = 0
    if (places.length > 0) {
      this.#places = places
      const at = places.findIndex((place) => sameEndpoint(place, this.endpoint))
      this.#index = Math.max(0, at)
      if (at < 0) {
        this.#use(places[0]!)
        this.#log.debug({ beacon: formatEndpoint(this.endpoint) }, 'the beacon is there')
        this.#events?.onMoved()
      }
    }
    this.#again()
  }

  async #expand(name: Endpoint): Promise<readonly Endpoint[]> {
    if (isIP(name.address) !== 0) return [name]
    try {
      const addresses = await this.#resolve(name.address)
      return addresses.slice(0, MAX_ADDRESSES).map((address) => ({ address, port: name.port }))
    } catch (error) {
      if (this.#failures === 0)
        this.#log.warn(
          { beacon: formatEndpoint(name), reason: (error as Error).message },
          'the name of the beacon does not resolve; retrying',
        )
      return []
    }
  }

  #use({ address, port }: Endpoint): void {
    this.endpoint.address = address
    this.endpoint.port = port
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
/** Of one name. */
const MAX_ADDRESSES = 8
