/**
 * Notices that this machine is on another network, or was asleep: the addresses of its interfaces are others, or the
 * wall clock ran on while we did not. Asking now and then is all that every system offers alike; it costs 50 µs.
 */
import type { Endpoint } from '../../base/types.ts'
import type { OwnNetwork } from '../../proto/node/options.ts'
import { networkFingerprint, ownNetwork, sourceAddressFor } from './interfaces.ts'

/** `moved`: what we send comes from another address now. `addresses`: some interface changed, and perhaps not one of ours. */
export type NetworkChange = 'moved' | 'addresses' | 'sleep'

export class NetworkWatch {
  readonly #timer: NodeJS.Timeout
  #fingerprint = networkFingerprint()
  #wallMs = Date.now()
  #monotonicMs = performance.now()

  /** @param towards whom we talk to in any case: the address that is used for it tells which network we are on. */
  constructor(local: Endpoint, towards: Endpoint, onChange: (network: OwnNetwork, why: NetworkChange) => void) {
    let source = sourceAddressFor(towards)
    this.#timer = setInterval(() => {
      const fingerprint = networkFingerprint() ?? this.#fingerprint
      const slept = this.#hasSlept()
      if (fingerprint === this.#fingerprint && !slept) return
      const before = source
      source = sourceAddressFor(towards)
      this.#fingerprint = fingerprint
      onChange(ownNetwork(local), source !== before ? 'moved' : slept ? 'sleep' : 'addresses')
    }, POLL_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Some systems stop the monotonic clock during sleep, some let it run: either way much more than a poll went by. */
  #hasSlept(): boolean {
    const [wallMs, monotonicMs] = [Date.now(), performance.now()]
    const passedMs = Math.max(wallMs - this.#wallMs, monotonicMs - this.#monotonicMs)
    this.#wallMs = wallMs
    this.#monotonicMs = monotonicMs
    return passedMs > POLL_MS + SLEPT_MS
  }
}

const POLL_MS = 1_000
/** Later than that by so much is no busy event loop. A clock that is set forward looks the same, and does no harm. */
const SLEPT_MS = 4_000
