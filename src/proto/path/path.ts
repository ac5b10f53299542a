/** One way to a peer: straight to an endpoint, or through the beacon. Proven by authenticated frames, never by hearsay. */
import type { Endpoint, Instant } from '../../base/types.ts'
import { BASE_PAYLOAD_BYTES, DATAGRAM_OVERHEAD_BYTES, PAYLOAD_LADDER, PROBE_FAILURES, PROBE_TIMEOUT_MS, RAISE_AGAIN_MS } from './constants.ts'

export type PathKind = 'lan' | 'direct' | 'punched' | 'relay'

export class Path {
  readonly kind: PathKind
  /** Where datagrams go: the peer's endpoint, or the beacon's for a relay. */
  readonly endpoint: Endpoint
  /** Last authenticated frame that came this way; -Infinity before the first. */
  heardAt: Instant = -Infinity
  /** A ping of ours along this path was answered along it: it works both ways. */
  answered = false
  /** The peer talks to us along another path and not along this one: ours to it may be dead. Until an answer comes. */
  suspect = false
  /** A signed key exchange came this way: no proof, since it can be replayed, but a good sign. */
  hinted = false
  rttMs: number | undefined
  /** Largest stream payload proven to pass, bytes. */
  payloadBytes = BASE_PAYLOAD_BYTES
  bytesIn = 0
  bytesOut = 0
  probes = 0 // upgrade probes sent since it was named
  nextProbeAt: Instant = 0
  #unansweredAt: Instant = -1 // the oldest probe without an answer
  #failures = 0
  readonly #cap: number
  #sizeStep: number
  #sizeProbeAt: Instant = -1
  #sizesDoneAt: Instant = -1

  /** @param maxDatagram UDP payload that the local interface carries to this endpoint in one piece, bytes. */
  constructor (kind: PathKind, endpoint: Endpoint, maxDatagram: number) {
    this.kind = kind
    this.endpoint = endpoint
    this.#cap = maxDatagram - DATAGRAM_OVERHEAD_BYTES
    this.#sizeStep = PAYLOAD_LADDER.findIndex((size) => size <= this.#cap)
    if (this.#sizeStep < 0) this.#sizesDoneAt = 0
  }

  get heard (): boolean { return this.heardAt !== -Infinity }
  get dead (): boolean { return this.suspect || this.#failures >= PROBE_FAILURES }
  get mtu (): number { return this.payloadBytes + DATAGRAM_OVERHEAD_BYTES }

  onHeard (now: Instant): void {
    this.heardAt = now
  }

  /** Worth another try before an answer proves it. */
  revive (): void {
    this.suspect = false
    this.#failures = 0
  }

  onProbe (now: Instant): void {
    if (this.#unansweredAt < 0) this.#unansweredAt = now
  }

  onAnswer (rttMs: number): void {
    this.answered = true
    this.suspect = false
    this.#failures = 0
    this.#unansweredAt = -1
    // Falls at once, rises slowly: a first sample taken while keys are computed says little about the path.
    this.rttMs = this.rttMs === undefined || rttMs < this.rttMs ? rttMs : this.rttMs + (rttMs - this.rttMs) / 8
  }

  /** Counts a probe as failed when its time is over. @returns true when the path died by it. */
  checkProbe (now: Instant): boolean {
    if (now < this.probeDeadline) return false
    this.#unansweredAt = -1
    this.#failures += 1
    return this.#failures === PROBE_FAILURES
  }

  get probeDeadline (): Instant {
    return this.#unansweredAt < 0 ? Infinity : this.#unansweredAt + Math.max(PROBE_TIMEOUT_MS, 4 * (this.rttMs ?? 0))
  }

  /**
   * Packet size (RFC 8899): the payload of the probe to send now, or 0. From the largest the interface carries
   * downwards; only the first probe of a size counts, since the system may fragment a second one.
   */
  takeSizeProbe (now: Instant): number {
    if (this.#sizesDoneAt >= 0 && now - this.#sizesDoneAt >= RAISE_AGAIN_MS && this.#sizeStep >= 0) this.#restartSizes()
    if (this.#sizesDoneAt >= 0 || this.#sizeProbeAt >= 0) return 0
    const size = PAYLOAD_LADDER[this.#sizeStep]
    if (size === undefined || size <= this.payloadBytes) {
      this.#sizesDoneAt = now
      return 0
    }
    this.#sizeProbeAt = now
    return size
  }

  onSizeAnswer (now: Instant, payloadBytes: number): void {
    if (this.#sizeProbeAt < 0 || payloadBytes !== PAYLOAD_LADDER[this.#sizeStep]) return
    this.payloadBytes = payloadBytes
    this.#sizeProbeAt = -1
    this.#sizesDoneAt = now
  }

  checkSizeProbe (now: Instant): void {
    if (now < this.sizeDeadline) return
    this.#sizeProbeAt = -1
    this.#sizeStep += 1
  }

  get sizeDeadline (): Instant {
    return this.#sizeProbeAt < 0 ? Infinity : this.#sizeProbeAt + Math.max(PROBE_TIMEOUT_MS, 4 * (this.rttMs ?? 0))
  }

  /** Large packets vanish while small ones pass (RFC 8899 §4.3): back to what every path carries. */
  onBlackHole (now: Instant): void {
    this.payloadBytes = BASE_PAYLOAD_BYTES
    this.#sizeProbeAt = -1
    this.#sizesDoneAt = now
  }

  #restartSizes (): void {
    this.#sizesDoneAt = -1
    this.#sizeStep = Math.max(PAYLOAD_LADDER.findIndex((size) => size <= this.#cap), 0)
  }
}
