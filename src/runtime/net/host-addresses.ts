/**
 * The addresses behind the host of a local service: a name, `localhost`, or an address. Above: gateway/expose.
 *
 * The system resolves names in threads, two at a time by default, and a dead name server blocks one for many seconds.
 * So one look-up serves all callers with the same name, and names that were slow or failed last time share a single
 * thread: they can delay only each other.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

export type LookUp = (name: string) => Promise<readonly string[]>

export class HostAddresses {
  readonly #lookUp: LookUp
  readonly #now: () => number
  readonly #known = new Map<string, { readonly addresses: readonly string[]; readonly at: number }>()
  readonly #asking = new Map<string, Promise<readonly string[]>>()
  readonly #slow = new Set<string>()
  #slowLane: Promise<unknown> = Promise.resolve()

  constructor(lookUp: LookUp = lookUpBySystem, now: () => number = () => performance.now()) {
    this.#lookUp = lookUp
    this.#now = now
  }

  /** In the order in which to try them; never empty. Rejects with the system's error. */
  of(host: string): readonly string[] | Promise<readonly string[]> {
    if (isIP(host) !== 0) return [host]
    if (host === 'localhost') return LOCALHOST
    const known = this.#known.get(host)
    if (known !== undefined && this.#now() - known.at < FRESH_MS) return known.addresses
    const asking = this.#asking.get(host)
    if (asking !== undefined) return asking
    const asked = this.#ask(host).finally(() => this.#asking.delete(host))
    this.#asking.set(host, asked)
    return asked
  }

  /** Nothing answers at the known addresses: the next query goes to the system. */
  forget(host: string): void {
    this.#known.delete(host)
  }

  async #ask(host: string): Promise<readonly string[]> {
    if (!this.#slow.has(host)) return await this.#askNow(host)
    const asked = this.#slowLane.then(() => this.#askNow(host))
    this.#slowLane = asked.catch(() => {})
    return await asked
  }

  async #askNow(host: string): Promise<readonly string[]> {
    const begun = this.#now()
    if (this.#slow.size >= MAX_NAMES) this.#slow.clear()
    if (this.#known.size >= MAX_NAMES) this.#known.clear()
    this.#slow.add(host) // until it has answered in time
    const addresses = await this.#lookUp(host)
    const at = this.#now()
    if (at - begun < SLOW_MS) this.#slow.delete(host)
    this.#known.set(host, { addresses, at })
    return addresses
  }
}

async function lookUpBySystem(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).slice(0, MAX_ADDRESSES).map(({ address }) => address)
}

/** RFC 6761 §6.3. IPv4 first, where most services listen. */
const LOCALHOST: readonly string[] = ['127.0.0.1', '::1']
/** Avoids a look-up per connection under load; short enough that a service that moves is found within seconds. */
const FRESH_MS = 2_000
/** A nearby name server answers within milliseconds, a distant one within a second. */
const SLOW_MS = 1_000
/** Addresses tried for one connection; a service with more is found at one of the first. */
const MAX_ADDRESSES = 8
/** Names remembered; those of the configuration are far fewer. */
const MAX_NAMES = 1_024
