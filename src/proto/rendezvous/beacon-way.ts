/**
 * How datagrams get to the beacon and back: by UDP, or, where the network drops that, on one TCP connection to the
 * rendezvous (a WebSocket, which is not our business here). Streams and tunnels do not notice: to them it is the relay
 * either way. The new way is open before the old one is left.
 *
 *   udp ── several questions unanswered ──► connect ── connected, still no answer ──► tcp
 *   tcp ── answers for a while ──► ask with our id ── answered ──► udp, disconnect
 *
 * UDP that comes and goes must earn its return: each relapse doubles the time for which it has to answer.
 */
import type { Instant } from '../../base/types.ts'
import type { Machine } from '../machine.ts'
import type { BeaconClient } from './beacon-client.ts'
import { GIVE_UP_UDP_AFTER, MAX_UDP_PROOF_MS, UDP_DOUBTED_AFTER, UDP_LASTING_MS, UDP_PROOF_MS } from './constants.ts'

/** `auto`: UDP, and TCP where that fails. */
export type Transport = 'auto' | 'udp' | 'tcp'

export class BeaconWay implements Machine {
  readonly transport: Transport
  readonly #beacon: BeaconClient
  #current: 'udp' | 'tcp'
  #wantsLink: boolean
  #isUp = false
  #isOurs = false
  #hasRoom = true
  #fault: string | undefined
  #phase: 'unproven' | 'proving' | 'returning' = 'unproven' // while TCP is in use and UDP is watched
  #returnAt: Instant = Infinity
  #proofMs = UDP_PROOF_MS
  #returnedAt: Instant = -Infinity

  constructor(transport: Transport, beacon: BeaconClient) {
    this.transport = transport
    this.#beacon = beacon
    this.#current = transport === 'tcp' ? 'tcp' : 'udp'
    this.#wantsLink = transport === 'tcp'
  }

  get current(): 'udp' | 'tcp' {
    return this.#current
  }
  /** A connection should be open, or opened. */
  get wantsLink(): boolean {
    return this.#wantsLink
  }
  /** The connection is open, and our id proven on it. */
  get isUp(): boolean {
    return this.#isUp
  }
  /** By TCP, and as far as we know nothing prevents it. */
  get carriesTcp(): boolean {
    return this.#current === 'tcp' && this.#isUp
  }
  /** At the other end is a rendezvous of ours, with its limits. */
  get isOurs(): boolean {
    return this.#isOurs
  }
  /**
   * Packets of programs may be made for the relay. Not for a connection that is behind: what waits in its queue is late.
   * (One that is gone loses them, so that whatever waits for an answer fails in time.) And not by UDP before a connection
   * that is no longer wanted has delivered what it holds.
   */
  get takesMore(): boolean {
    return this.#current === 'udp' ? !this.#isUp : !this.#isUp || this.#hasRoom
  }
  /** Why there is no connection; undefined: there is, or none has failed. */
  get fault(): string | undefined {
    return this.#fault
  }

  /** @returns whether another way is in use now. */
  handleLinkUp(now: Instant, isOurs: boolean): boolean {
    if (!this.#wantsLink) return false // it will end at once
    this.#isUp = this.#hasRoom = true
    this.#isOurs = isOurs
    this.#fault = undefined
    if (this.#current === 'tcp') return false
    this.#current = 'tcp'
    const isRelapse = now - this.#returnedAt < UDP_LASTING_MS
    this.#proofMs = isRelapse ? Math.min(2 * this.#proofMs, MAX_UDP_PROOF_MS) : UDP_PROOF_MS
    this.#doubt(now)
    return true
  }

  handleLinkDown(fault: string | undefined): void {
    this.#isUp = false
    if (fault !== undefined) this.#fault = fault
  }

  handleRoom(hasRoom: boolean): void {
    this.#hasRoom = hasRoom
  }

  /** The beacon answered by UDP. @returns whether another way is in use now. */
  onUdpAnswer(now: Instant): boolean {
    if (this.transport !== 'auto') return false
    if (this.#current === 'udp') {
      this.#wantsLink = false // it was only slow
      return false
    }
    if (this.#phase === 'returning') {
      this.#current = 'udp'
      this.#wantsLink = false
      this.#returnedAt = now
      this.#returnAt = Infinity
      return true
    }
    if (this.#phase === 'unproven') {
      this.#phase = 'proving'
      this.#returnAt = now + this.#proofMs
    }
    if (!this.#isUp) this.#returnAt = now // nothing else works: there is nothing to weigh
    return false
  }

  /** After the beacon client's own: it depends on what was asked. */
  handleTimeout(now: Instant): void {
    if (this.transport !== 'auto') return
    const { unanswered } = this.#beacon
    if (this.#current === 'udp') {
      if (unanswered >= GIVE_UP_UDP_AFTER) this.#wantsLink = true
    } else if (this.#phase !== 'unproven' && unanswered >= UDP_DOUBTED_AFTER) this.#doubt(now)
    else if (this.#phase === 'proving' && now >= this.#returnAt) {
      this.#phase = 'returning'
      this.#returnAt = Infinity
      this.#beacon.setStandby(now, false) // with our id: from then on the beacon knows where to send by UDP
    }
  }

  nextTimeout(): Instant {
    return this.#returnAt
  }

  #doubt(now: Instant): void {
    this.#phase = 'unproven'
    this.#returnAt = Infinity
    this.#beacon.setStandby(now, true)
  }
}
