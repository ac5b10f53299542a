/**
 * The only place where the core meets the world. Inputs of one turn of the event loop are handled as they come; then,
 * once, everything that follows is drained: news to the application first (what it reads opens windows, what it
 * writes carries acknowledgements), datagrams after that, one timer at the end.
 */
import type { Instant } from '../../base/types.ts'
import { createSlot } from '../../proto/node/datagram-slot.ts'
import type { DatagramSlot } from '../../proto/node/datagram-slot.ts'
import type { NodeEvent } from '../../proto/node/events.ts'
import type { OverlayCore } from '../../proto/node/core.ts'
import type { Stream } from '../../proto/stream/stream.ts'
import type { DatagramPort } from '../net/datagram-port.ts'

export interface DriverWorld {
  now(): Instant
  sendRegistry(message: object): void
  dropRegistry(): void
  onEvent(event: NodeEvent): void
  onStream(stream: Stream, news: number): void
}

export class Driver {
  readonly #core: OverlayCore
  readonly #world: DriverWorld
  readonly #port: DatagramPort
  readonly #batch: DatagramSlot[]
  #scheduled = false
  #timer: NodeJS.Timeout | undefined
  #timerAt: Instant = Infinity
  #due = false
  #stopped = false
  readonly #drain = (): void => {
    this.#scheduled = false
    this.#flush()
  }

  /**
   * Not handled here: after a stall of this process timers come before what waits in the socket, and would take
   * acknowledgements that have arrived for missing. `wake` lets the loop read first.
   */
  readonly #onTimer = (): void => {
    this.#timer = undefined
    this.#timerAt = Infinity
    this.#due = true
    this.wake()
  }

  constructor(core: OverlayCore, port: DatagramPort, world: DriverWorld) {
    this.#core = core
    this.#port = port
    this.#batch = Array.from({ length: port.batchSize }, createSlot)
    this.#world = world
  }

  /** Call the core with this, then `wake`: the consequences follow before the loop sleeps. */
  now(): Instant {
    return this.#world.now()
  }

  wake(): void {
    if (this.#scheduled || this.#stopped) return
    this.#scheduled = true
    setImmediate(this.#drain)
  }

  stop(): void {
    this.#flush()
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #flush(): void {
    if (this.#stopped) return
    const core = this.#core
    const world = this.#world
    const now = world.now()
    if (this.#due) {
      this.#due = false
      core.handleTimeout(now)
    }
    this.#tellNews(now)
    const isHeld = core.context.releaseHeld(now)
    const room = this.#send(now)
    for (let request = core.pollRegistryRequest(); request !== undefined; request = core.pollRegistryRequest())
      world.sendRegistry(request)
    if (core.registryStale) world.dropRegistry()
    if (this.#port.backlog >= MAX_BACKLOG) setTimeout(() => this.wake(), 1) // the kernel takes no more: what it would hold here is pinned memory
    else if (room === 0 || isHeld || core.context.news.size > 0 || core.context.events.size > 0) this.wake()
    this.#arm(now)
  }

  /** @returns how many more datagrams this turn might have sent: 0 when there may be more to send. */
  #send(now: Instant): number {
    const batch = this.#batch
    let room = MAX_DATAGRAMS_PER_TURN
    while (room > 0 && this.#port.backlog < MAX_BACKLOG) {
      let count = 0
      while (count < batch.length && this.#core.pollDatagram(now, batch[count]!)) count += 1
      if (count === 0) break
      this.#port.send(batch, count)
      room = Math.max(0, room - count)
    }
    return room
  }

  #tellNews(now: Instant): void {
    for (;;) {
      const stream = this.#core.pollStream(now)
      if (stream !== undefined) {
        this.#world.onStream(stream, stream.takeNews())
        continue
      }
      const event = this.#core.pollEvent(now)
      if (event === undefined) return
      this.#world.onEvent(event)
    }
  }

  /** A timer that is already due sooner stays: waking early is harmless, re-arming per packet is not. */
  #arm(now: Instant): void {
    const at = this.#core.nextTimeout()
    if (at >= this.#timerAt) return
    clearTimeout(this.#timer)
    this.#timerAt = at
    this.#timer = setTimeout(this.#onTimer, Math.max(1, Math.min(Math.ceil(at - now), MAX_SLEEP_MS)))
  }
}

/** After so many the event loop gets a turn: acknowledgements must be read while a burst goes out. */
const MAX_DATAGRAMS_PER_TURN = 128
/** Datagrams that may wait for the kernel, each in a buffer of its own. */
const MAX_BACKLOG = 64
const MAX_SLEEP_MS = 60_000
