/**
 * Detects that this machine has changed networks or was asleep: the addresses of its interfaces have changed, or the
 * wall clock advanced while we did not run. Polling is the only method that every system offers; it costs 50 µs.
 */
import type { Endpoint } from '../../base/types.ts'
import type { OwnNetwork } from '../../proto/node/options.ts'
import { networkFingerprint, ownNetwork, sourceAddressFor } from './interfaces.ts'

/**
 * `moved`: our packets now come from a different address. `addresses`: some interface changed, perhaps not the one we
 * use.
 */
export type NetworkChange = 'moved' | 'addresses' | 'sleep'

export class NetworkWatch {
  readonly #timer: NodeJS.Timeout
  #fingerprint = networkFingerprint()
  #wallMs = Date.now()
  #monotonicMs = performance.now()

  /** @param towards an endpoint that we use anyway: our source address towards it shows which network we are on. */
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

  /**
   * Some systems stop the monotonic clock during sleep, some let it run: either way, much more than a poll interval has
   * passed.
   */
  #hasSlept(): boolean {
    const [wallMs, monotonicMs] = [Date.now(), performance.now()]
    const passedMs = Math.max(wallMs - this.#wallMs, monotonicMs - this.#monotonicMs)
    this.#wallMs = wallMs
    this.#monotonicMs = monotonicMs
    return passedMs > POLL_MS + SLEPT_MS
  }
}

const POLL_MS = 1_000
/** A delay beyond this is more than a busy event loop. A clock set forward looks the same, and does no harm. */
const SLEPT_MS = 4_000
