/**
 * The TCP connection to the rendezvous that replaces UDP to the beacon: what happens to it, and when UDP is asked
 * whether it passes. ../rendezvous/beacon-way.ts has the rules; runtime/net/ has the connection.
 */
import type { Instant } from '../../base/types.ts'
import type { Machine } from '../machine.ts'
import { SILENT_AFTER } from '../rendezvous/constants.ts'
import type { Inbound } from './inbound.ts'
import type { Outbound } from './outbound.ts'
import type { PathFinder } from './path-finder.ts'
import type { NodeState } from './state.ts'
import type { WayView } from './views.ts'

export class BeaconLink implements Machine {
  readonly #state: NodeState
  readonly #outbound: Outbound
  readonly #inbound: Inbound
  readonly #finder: PathFinder

  constructor(
    state: NodeState,
    parts: { readonly outbound: Outbound; readonly inbound: Inbound; readonly finder: PathFinder },
  ) {
    this.#state = state
    this.#outbound = parts.outbound
    this.#inbound = parts.inbound
    this.#finder = parts.finder
  }

  get way(): WayView {
    return this.#state.way
  }

  /** The connection is open, and our id proven on it. @param isOurs to a rendezvous of ours. */
  handleUp(now: Instant, isOurs: boolean): void {
    if (this.#state.way.handleLinkUp(now, isOurs)) this.#finder.onWayChange(now)
    this.#outbound.releaseRelay()
  }

  /** It has ended, or none could be opened. @param fault why; undefined: it was no longer wanted. */
  handleDown(fault: string | undefined): void {
    this.#state.way.handleLinkDown(fault)
    this.#outbound.releaseRelay()
  }

  /** Whether it takes more datagrams, when that changes. */
  handleRoom(hasRoom: boolean): void {
    this.#state.way.handleRoom(hasRoom)
    if (hasRoom) this.#outbound.releaseRelay()
  }

  /** The beacon that was silent is replaced by another: ask it at once. */
  handleOtherBeacon(now: Instant): void {
    this.#state.beacon.askNow(now)
  }

  /** Takes ownership of `bytes`. */
  handleDatagram(now: Instant, bytes: Uint8Array): void {
    this.#inbound.handleLinkDatagram(now, bytes)
  }

  handleTimeout(now: Instant): void {
    const { beacon, way } = this.#state
    const discover = this.#usesUdp ? beacon.pollDiscover(now) : undefined
    if (discover !== undefined) {
      this.#outbound.sendDiscover(discover)
      if (beacon.unanswered > SILENT_AFTER) this.#state.emit({ kind: 'beacon_silent' })
    }
    way.handleTimeout(now)
  }

  nextTimeout(): Instant {
    const { beacon, way } = this.#state
    return this.#usesUdp ? Math.min(beacon.nextTimeout(), way.nextTimeout()) : Infinity
  }

  get #usesUdp(): boolean {
    return this.#state.options.beacon !== undefined && this.#state.way.transport !== 'tcp'
  }
}
