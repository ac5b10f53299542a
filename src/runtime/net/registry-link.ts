/**
 * The connection to the registry, TCP or TLS: connects, reconnects indefinitely, frames in and out. Several addresses
 * are tried in turn. Neighbours: node/driver.ts above, which sends messages and passes answers to the core.
 */
import { fromHex } from '../../base/bytes.ts'
import { MAX_REGISTRY_REPLY_BYTES, RegistryFrameReader, encodeRegistryFrame } from '../../wire/registry-messages.ts'
import type { RegistryRoute } from './endpoints.ts'
import type { RegistryFault } from './registry-fault.ts'
import { openRegistry, type RegistrySocket } from './registry-socket.ts'
import { Rotation, describePlace, type AddressesOf, type Place } from './rotation.ts'

export interface RegistryLinkEvents {
  /** @param certificate its SHA-256; undefined: plain TCP. */
  onConnected(certificate: Uint8Array | undefined): void
  /** After a connection was lost, and after each failed attempt. */
  onDisconnected(fault: RegistryFault): void
  onReply(reply: object): void
}

export interface RegistryWays {
  readonly routes: readonly RegistryRoute[]
  /** Where the same registry is served for networks that let little pass. */
  readonly fallbacks: readonly RegistryRoute[]
  readonly addressesOf: AddressesOf<RegistryRoute>
  /** UDP does not pass, so perhaps little else does: the fallbacks are as likely as the others. */
  readonly isConfined: () => boolean
}

export class RegistryLink {
  readonly #ways: RegistryWays
  readonly #events: RegistryLinkEvents
  readonly #main: Rotation<RegistryRoute>
  readonly #fallback: Rotation<RegistryRoute>
  #rotation: Rotation<RegistryRoute>
  #socket: RegistrySocket | undefined
  #place: Place<RegistryRoute> | undefined
  #isConnected = false
  #retry: NodeJS.Timeout | undefined
  #failures = 0
  /** By this registry, at any time: so what follows has nothing to do with TLS. */
  #answered = false
  #started = false
  #stopped = false

  constructor(ways: RegistryWays, events: RegistryLinkEvents) {
    this.#ways = ways
    this.#events = events
    this.#main = new Rotation(ways.routes, ways.addressesOf)
    this.#fallback = new Rotation(ways.fallbacks, ways.addressesOf)
    this.#rotation = this.#main
  }

  /** The address in use; undefined: none. */
  get address(): string | undefined {
    return this.#isConnected && this.#place !== undefined ? describePlace(this.#place) : undefined
  }

  start(): void {
    if (this.#stopped || this.#started) return
    this.#started = true
    if (this.#ways.isConfined() && this.#ways.fallbacks.length > 0) this.#rotation = this.#fallback
    void this.#connect()
  }

  send(message: object): void {
    this.#socket?.write(encodeRegistryFrame(message))
  }

  /** The connection has stopped answering: make a new one. */
  drop(): void {
    this.#socket?.destroy(new Error('no answer in time'))
  }

  /** UDP does not pass: an attempt that is still under way may wait in vain, while a fallback answers. */
  hurry(): void {
    if (!this.#isConnected && this.#ways.fallbacks.length > 0 && this.#rotation === this.#main)
      this.#socket?.destroy(new Error('no connection in time'))
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#retry)
    this.#socket?.destroy()
  }

  async #connect(): Promise<void> {
    const place = await this.#rotation.current()
    if (this.#stopped) return
    this.#place = place
    const reader = new RegistryFrameReader(MAX_REGISTRY_REPLY_BYTES)
    const socket = openRegistry(place, {
      onReady: (certificate) => {
        this.#failures = 0
        this.#isConnected = true
        this.#events.onConnected(certificate === undefined ? undefined : fromHex(certificate))
      },
      onData: (chunk) => {
        reader.push(chunk)
        for (let reply = reader.next(); reply !== undefined; reply = reader.next()) {
          if (typeof reply === 'string') return socket.destroy(new Error(`the registry sent a frame that is ${reply}`))
          this.#answered = true
          this.#events.onReply(reply)
        }
      },
      onClose: (fault) => this.#onClose(fault),
      hasAnswered: () => this.#answered,
    })
    this.#socket = socket
  }

  #onClose(fault: RegistryFault): void {
    this.#socket = undefined
    if (this.#stopped) return
    const wasConnected = this.#isConnected
    const wasFallback = this.#rotation === this.#fallback
    this.#isConnected = false
    // An address that worked is asked again first: a registry that restarts is back in a moment.
    const isMore = !wasConnected && this.#rotation.fail() && !this.#rotation.isRoundOver
    if (!isMore && !wasConnected) this.#rotation = this.#nextRotation()
    const pause = isMore ? 0 : RECONNECT_MS[Math.min(this.#failures, RECONNECT_MS.length - 1)]!
    if (!isMore) this.#failures += 1
    this.#retry = setTimeout(() => void this.#connect(), pause)
    if (wasConnected || !wasFallback) this.#events.onDisconnected(fault)
  }

  /** After each round, or, while UDP passes, after every third: then the fallbacks are unlikely to be better. */
  #nextRotation(): Rotation<RegistryRoute> {
    const { fallbacks, isConfined } = this.#ways
    if (this.#rotation === this.#fallback || fallbacks.length === 0) return this.#main
    return isConfined() || this.#failures % 3 === 2 ? this.#fallback : this.#main
  }
}

const RECONNECT_MS: readonly number[] = [100, 250, 500, 1_000, 2_000]
