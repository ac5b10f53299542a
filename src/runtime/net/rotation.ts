/**
 * Several addresses of one service, tried in turn; one that works is kept. A name with several addresses counts as
 * several: its addresses are asked for at the start of each round.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Endpoint } from '../../base/types.ts'
import { formatEndpoint } from '../../base/types.ts'

/** All addresses of a name, best first; undefined: left to the one that connects, such as a proxy. Rejects with the system's error. */
export type AddressesOf<Target> = (target: Target) => Promise<readonly string[]> | undefined

export interface Place<Target extends Endpoint> {
  readonly target: Target
  /** A literal address, or the name itself where someone else resolves it. */
  readonly host: string
}

export class Rotation<Target extends Endpoint> {
  readonly #targets: readonly Target[]
  readonly #addressesOf: AddressesOf<Target>
  #places: readonly Place<Target>[] = []
  #next = 0

  constructor(targets: readonly Target[], addressesOf: AddressesOf<Target>) {
    this.#targets = targets
    this.#addressesOf = addressesOf
  }

  /** Whether the next one begins a new round. */
  get isRoundOver(): boolean {
    return this.#next === 0
  }

  /** The one to try: the same again until `fail`. */
  async current(): Promise<Place<Target>> {
    if (this.#next === 0 || this.#next >= this.#places.length) {
      this.#places = (await Promise.all(this.#targets.map((target) => this.#expand(target)))).flat()
      if (this.#next >= this.#places.length) this.#next = 0
    }
    return this.#places[this.#next]!
  }

  /** It does not work: the next one. @returns false if that is the same. */
  fail(): boolean {
    this.#next = (this.#next + 1) % Math.max(1, this.#places.length)
    return this.#places.length > 1
  }

  async #expand(target: Target): Promise<Place<Target>[]> {
    const { address } = target
    const found = isIP(address) === 0 ? await this.#addressesOf(target)?.catch(() => undefined) : undefined
    if (found === undefined || found.length === 0) return [{ target, host: address }] // the attempt to connect shows why
    return found.slice(0, MAX_ADDRESSES).map((host) => ({ target, host }))
  }
}

/** For people: the address in use, with the name that it came from. */
export function describePlace({ target, host }: Place<Endpoint>): string {
  const text = formatEndpoint(target)
  return host === target.address ? text : `${text} (${host})`
}

export async function lookUpAll(name: string): Promise<readonly string[]> {
  const found = await lookup(name, { all: true })
  return [...new Set(found.map(({ address }) => address))]
}

/** Of one name: a service with more is found at one of the first. */
const MAX_ADDRESSES = 8
