/**
 * The only connection between the core and the outside. Inputs of one turn of the event loop are handled as they come;
 * then everything that results is drained once, in the order of proto/node/drain.ts, and one timer is armed.
 */
import type { Instant } from '../../base/types.ts'
import type { DatagramSlot } from '../../proto/node/datagram-slot.ts'
import type { OverlayCore } from '../../proto/node/core.ts'
import { drain, type Outside } from '../../proto/node/drain.ts'
import type { DatagramPort } from '../net/datagram-port.ts'

/** What a node connects its core to, besides the datagram port. */
export interface DriverWorld extends Pick<Outside, 'onEvent' | 'sendRegistry' | 'dropRegistry'> {
  now(): Instant
}

export class Driver {
  readonly #core: OverlayCore
  readonly #now: () => Instant
  readonly #outside: Outside
  readonly #batch: readonly DatagramSlot[]
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
   * Not handled here: after a stall of this process, timers fire before waiting datagrams are read, and would treat
   * acknowledgements that have arrived as missing. `wake` lets the loop read first.
   */
  readonly #onTimer = (): void => {
    this.#timer = undefined
    this.#timerAt = Infinity
    this.#due = true
    this.wake()
  }

  constructor(core: OverlayCore, port: DatagramPort, world: DriverWorld) {
    this.#core = core
    this.#now = world.now
    this.#batch = port.slots
    this.#outside = {
      get backlog() {
        return port.backlog
      },
      send: (batch, count) => port.send(batch, count),
      onEvent: (event) => world.onEvent(event),
      sendRegistry: (message) => world.sendRegistry(message),
      dropRegistry: () => world.dropRegistry(),
    }
  }

  /** Call the core with this, then `wake`: the results are drained before the loop sleeps. */
  now(): Instant {
    return this.#now()
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
    const now = this.#now()
    if (this.#due) {
      this.#due = false
      this.#core.handleTimeout(now)
    }
    const drained = drain(this.#core, this.#outside, this.#batch, now)
    if (drained === 'blocked') setTimeout(() => this.wake(), 1)
    else if (drained === 'more') this.wake()
    this.#arm(now)
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

const MAX_SLEEP_MS = 60_000
