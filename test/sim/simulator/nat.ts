/**
 * A middlebox by the behaviours of RFC 4787: how it maps, what it admits, whether it hairpins, keeps ports, forgets. It
 * sits between inside hosts and its uplink, which is the network or another middlebox. Without mapping it is a stateful
 * firewall: addresses stay, and only replies come in.
 */
import type { Endpoint } from '../../../src/base/types.ts'
import { formatEndpoint, sameEndpoint } from '../../../src/base/types.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

export type Dependence = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'

export interface NatBehaviour {
  readonly mapping: Dependence | 'none' // none: a firewall, addresses stay
  readonly filtering: Dependence
  readonly hairpinning?: boolean // default false
  readonly portPreservation?: boolean // default false: ports are drawn at random
  readonly expiryMs?: number // default 120 s (RFC 4787 REQ-5)
  readonly inboundRefresh?: boolean // default false (REQ-6 demands outbound only)
}

export type Handler = (bytes: Uint8Array, source: Endpoint) => void

/** What a host or a middlebox is attached to. */
export interface Uplink {
  send(from: Endpoint, to: Endpoint, bytes: Uint8Array): void
  attach(endpoint: Endpoint, handler: Handler): void
  detach(endpoint: Endpoint): void
  attachHost(address: string, handler: (bytes: Uint8Array, source: Endpoint, to: Endpoint) => void): void
}

interface Mapping {
  readonly inside: Endpoint
  readonly outside: Endpoint
  readonly key: string
  readonly sentTo: Map<string, number> // endpoint and address → until when datagrams from there are admitted
  until: number
}

export class Nat implements Uplink {
  readonly address: string // outside
  behaviour: NatBehaviour
  readonly #world: World
  readonly #random: Random
  readonly #uplink: Uplink
  readonly #hosts = new Map<string, Handler>() // by inside endpoint
  readonly #boxes = new Map<string, (bytes: Uint8Array, source: Endpoint, to: Endpoint) => void>()
  readonly #byKey = new Map<string, Mapping>()
  readonly #byPort = new Map<number, Mapping[]>() // several per host if the port is kept for every destination
  /** UDP passes in neither direction. */
  blocked = false

  constructor(world: World, random: Random, uplink: Uplink, address: string, behaviour: NatBehaviour) {
    this.#world = world
    this.#random = random
    this.#uplink = uplink
    this.address = address
    this.behaviour = behaviour
    uplink.attachHost(address, (bytes, source, to) => this.#fromOutside(bytes, source, to))
  }

  attach(endpoint: Endpoint, handler: Handler): void {
    this.#hosts.set(formatEndpoint(endpoint), handler)
  }
  detach(endpoint: Endpoint): void {
    this.#hosts.delete(formatEndpoint(endpoint))
  }
  attachHost(address: string, handler: (bytes: Uint8Array, source: Endpoint, to: Endpoint) => void): void {
    this.#boxes.set(address, handler)
  }

  /** Like a restart of the box: every mapping is gone. */
  forget(): void {
    this.#byKey.clear()
    this.#byPort.clear()
  }

  send(from: Endpoint, to: Endpoint, bytes: Uint8Array): void {
    if (this.#isInside(to)) return this.#deliverInside(bytes, from, to)
    if (this.blocked) return
    const mapping = this.#mappingFor(from, to)
    const until = this.#world.nowMs + this.#expiryMs
    mapping.until = until
    mapping.sentTo.set(formatEndpoint(to), until)
    mapping.sentTo.set(to.address, until)
    if (to.address !== this.address || this.behaviour.mapping === 'none')
      return this.#uplink.send(mapping.outside, to, bytes)
    if (this.behaviour.hairpinning === true) this.#fromOutside(bytes, mapping.outside, to)
  }

  #fromOutside(bytes: Uint8Array, source: Endpoint, to: Endpoint): void {
    if (this.blocked) return
    const mapping = this.#byPort.get(to.port)?.find((one) => this.#letsIn(one, source))
    if (mapping === undefined) return
    if (this.behaviour.inboundRefresh === true) mapping.until = this.#world.nowMs + this.#expiryMs
    this.#deliverInside(bytes, source, mapping.inside)
  }

  #letsIn(mapping: Mapping, source: Endpoint): boolean {
    if (this.#world.nowMs >= mapping.until) return false
    const { filtering } = this.behaviour
    if (filtering === 'endpoint-independent') return true
    const until = mapping.sentTo.get(filtering === 'address-dependent' ? source.address : formatEndpoint(source))
    return until !== undefined && this.#world.nowMs < until
  }

  #isInside(to: Endpoint): boolean {
    return this.behaviour.mapping !== 'none' && (this.#hosts.has(formatEndpoint(to)) || this.#boxes.has(to.address))
  }

  #deliverInside(bytes: Uint8Array, source: Endpoint, to: Endpoint): void {
    const copy = bytes.slice()
    this.#world.after(INSIDE_MS, () => {
      const host = this.#hosts.get(formatEndpoint(to))
      if (host === undefined) this.#boxes.get(to.address)?.(copy, source, to)
      else host(copy, source)
    })
  }

  #mappingFor(from: Endpoint, to: Endpoint): Mapping {
    const { mapping } = this.behaviour
    const scope =
      mapping === 'address-and-port-dependent' ? formatEndpoint(to) : mapping === 'address-dependent' ? to.address : ''
    const key = `${formatEndpoint(from)} ${scope}`
    const known = this.#byKey.get(key)
    if (known !== undefined && this.#world.nowMs < known.until) return known
    if (known !== undefined)
      this.#byPort.set(
        known.outside.port,
        this.#byPort.get(known.outside.port)!.filter((one) => one !== known),
      )
    const outside = mapping === 'none' ? from : { address: this.address, port: this.#freePort(from) }
    const made = { inside: from, outside, key, sentTo: new Map<string, number>(), until: 0 }
    this.#byKey.set(key, made)
    this.#byPort.set(outside.port, [...(this.#byPort.get(outside.port) ?? []), made])
    return made
  }

  #freePort(from: Endpoint): number {
    const usersOf = (port: number): Mapping[] =>
      (this.#byPort.get(port) ?? []).filter((one) => one.until > this.#world.nowMs)
    const isFree = (port: number): boolean => usersOf(port).length === 0
    if (this.behaviour.portPreservation === true && usersOf(from.port).every((one) => sameEndpoint(one.inside, from)))
      return from.port
    for (;;) {
      const port = 1_024 + this.#random.below(64_000)
      if (isFree(port)) return port
    }
  }

  get #expiryMs(): number {
    return this.behaviour.expiryMs ?? 120_000
  }
}

const INSIDE_MS = 0.2
