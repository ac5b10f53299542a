/**
 * A virtual internet: UDP endpoints, and a link per ordered pair of them with its own delay, loss and faults.
 * Every datagram sent passes `audits`, so that a test can inspect all of them, and `drops`, which may lose it.
 */
import type { Endpoint } from '../../../src/base/types.ts'
import { formatEndpoint } from '../../../src/base/types.ts'
import type { LinkOptions } from './link.ts'
import { Link } from './link.ts'
import type { Handler, Uplink } from './nat.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

export interface Datagram {
  readonly atMs: number
  readonly from: Endpoint
  readonly to: Endpoint
  readonly bytes: Uint8Array
}

export interface PathOptions extends LinkOptions {
  readonly maxDatagram?: number // larger ones vanish, bytes
  readonly corruptRate?: number // share of datagrams with one bit flipped
}

export class Network implements Uplink {
  readonly #world: World
  readonly #random: Random
  readonly #handlers = new Map<string, Handler>()
  readonly #hosts = new Map<string, (bytes: Uint8Array, source: Endpoint, to: Endpoint) => void>() // by address: NATs
  readonly #links = new Map<string, Link>()
  readonly #options = new Map<string, PathOptions>() // by pair of hosts
  readonly #cuts = new Map<string, { readonly from: number; readonly to: number }>() // by pair of hosts: sizes that are lost, bytes
  #defaults: PathOptions
  /** Each sees every datagram sent, before anything happens to it. */
  readonly audits: Array<(datagram: Datagram) => void> = []
  /** Decides which datagrams are lost, on top of link losses. */
  drops: ((datagram: Datagram) => boolean) | undefined
  sent = 0

  constructor(world: World, random: Random, defaults: PathOptions) {
    this.#world = world
    this.#random = random
    this.#defaults = defaults
  }

  attach(endpoint: Endpoint, handler: Handler): void {
    this.#handlers.set(formatEndpoint(endpoint), handler)
  }
  detach(endpoint: Endpoint): void {
    this.#handlers.delete(formatEndpoint(endpoint))
  }
  attachHost(address: string, handler: (bytes: Uint8Array, source: Endpoint, to: Endpoint) => void): void {
    this.#hosts.set(address, handler)
  }

  /** Both directions between two hosts. */
  setPath(a: string, b: string, options: PathOptions): void {
    this.#options.set(`${a} ${b}`, options)
    this.#options.set(`${b} ${a}`, options)
    this.#links.clear()
  }

  setDefaults(options: PathOptions): void {
    this.#defaults = options
    this.#links.clear()
  }

  /**
   * Both directions between two hosts, or only from a to b. @param fromBytes only datagrams of this size and larger are
   * lost. @param toBytes only those up to this size.
   */
  cut(a: string, b: string, oneWay = false, fromBytes = 0, toBytes = Infinity): void {
    const sizes = { from: fromBytes, to: toBytes }
    this.#cuts.set(`${a} ${b}`, sizes)
    if (!oneWay) this.#cuts.set(`${b} ${a}`, sizes)
  }

  heal(a: string, b: string): void {
    this.#cuts.delete(`${a} ${b}`)
    this.#cuts.delete(`${b} ${a}`)
  }

  /** The bytes are copied: the sender may reuse its array. */
  send(from: Endpoint, to: Endpoint, bytes: Uint8Array): void {
    this.sent += 1
    const datagram = { atMs: this.#world.nowMs, from, to, bytes: bytes.slice() }
    for (const audit of this.audits) audit(datagram)
    const hosts = `${from.address} ${to.address}`
    const cut = this.#cuts.get(hosts)
    if (this.drops?.(datagram) === true || (cut !== undefined && isWithin(bytes.length, cut))) return
    const options = this.#options.get(hosts) ?? this.#defaults
    if (bytes.length > (options.maxDatagram ?? Infinity)) return
    this.#link(from, to, options).send(this.#mangled(bytes, options))
  }

  /** Sends an attacker's datagram: seen by no audit, lost by no link. */
  inject(from: Endpoint, to: Endpoint, bytes: Uint8Array, delayMs = 1): void {
    const copy = bytes.slice()
    this.#world.after(delayMs, () => this.#arrive(from, to, copy))
  }

  #link(from: Endpoint, to: Endpoint, options: PathOptions): Link {
    const key = `${formatEndpoint(from)} ${formatEndpoint(to)}`
    let link = this.#links.get(key)
    if (link === undefined) {
      link = new Link(this.#world, this.#random, options, (bytes) => this.#arrive(from, to, bytes))
      this.#links.set(key, link)
    }
    return link
  }

  #mangled(bytes: Uint8Array, options: PathOptions): Uint8Array {
    if (options.corruptRate === undefined || !this.#random.chance(options.corruptRate)) return bytes
    const copy = bytes.slice()
    copy[this.#random.below(copy.length)]! ^= 1 << this.#random.below(8)
    return copy
  }

  #arrive(from: Endpoint, to: Endpoint, bytes: Uint8Array): void {
    const handler = this.#handlers.get(formatEndpoint(to))
    if (handler === undefined) this.#hosts.get(to.address)?.(bytes, from, to)
    else handler(bytes, from)
  }
}

function isWithin(bytes: number, { from, to }: { readonly from: number; readonly to: number }): boolean {
  return bytes >= from && bytes <= to
}
