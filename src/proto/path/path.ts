/** One path to a peer: directly to an endpoint, or through the beacon. Proven only by authenticated frames. */
import type { Endpoint, Instant } from '../../base/types.ts'
import { isLoopback } from '../../base/types.ts'
import {
  BASE_PAYLOAD_BYTES,
  DATAGRAM_OVERHEAD_BYTES,
  LOOPBACK_RAISE_MS,
  MAX_PROBE_TIMEOUT_MS,
  PAYLOAD_LADDER,
  PROBE_FAILURES,
  PROBE_TIMEOUT_MS,
  RAISE_AGAIN_MS,
  UNPROVEN_FACTOR,
  UNPROVEN_FIRST_BYTES,
} from './constants.ts'
import { SizeCheck, type PingSize } from './size-check.ts'
import type { SizeMemory } from './size-memory.ts'

export type PathKind = 'lan' | 'direct' | 'punched' | 'relay'

export class Path {
  /** May change between direct and punched as more becomes known about the NATs. */
  kind: PathKind
  /** Where datagrams go: the peer's endpoint, or the beacon's for a relay. */
  readonly endpoint: Endpoint
  /** Last authenticated frame on this path; -Infinity before the first. */
  heardAt: Instant = -Infinity
  /** And the last one that was neither ping nor pong: the peer uses this path rather than just trying it. */
  usedAt: Instant = -Infinity
  /** A ping that we sent along this path was answered along it: it works in both directions. */
  answered = false
  /** A signed key exchange came along this path: not proof, since it can be replayed, but a good sign. */
  hintedAt: Instant = -Infinity
  rttMs: number | undefined
  /** Largest proven stream payload, bytes. */
  payloadBytes = BASE_PAYLOAD_BYTES
  bytesIn = 0
  bytesOut = 0
  probes = 0 // upgrade probes sent since it was named
  nextProbeAt: Instant = 0
  #unansweredAt: Instant = -1 // the oldest unanswered probe
  #failures = 0
  /** Stream packets sent on this path, and the retransmissions among them: approximately the loss. */
  packetsOut = 0
  packetsResent = 0
  probesOut = 0
  probesLost = 0
  probedAt: Instant = -Infinity
  readonly sizeCheck = new SizeCheck()
  /** The peer uses a different path, so this one may be dead in our direction. Until an answer comes. */
  #suspect = false
  /** Sizes of pings that have to be answered before it is used again. */
  readonly #owed = { small: false, large: false }
  readonly #sizes: SizeMemory
  readonly #downwards: boolean
  #cap: number
  #sizeStep = 0
  #sizeProbeAt: Instant = -1
  #sizesDoneAt: Instant = -1

  /** @param maxDatagram UDP payload that the local interface carries to this endpoint without fragmentation, bytes. */
  constructor(kind: PathKind, endpoint: Endpoint, maxDatagram: number, sizes: SizeMemory) {
    this.kind = kind
    this.endpoint = endpoint
    this.#sizes = sizes
    // On loopback the cap is exact: the largest size works immediately. Elsewhere a size that is too large invalidates
    // all between it and the right one (the kernel fragments them), so sizes are tried upwards.
    this.#downwards = isLoopback(endpoint.address) && kind !== 'relay'
    this.#cap = this.#capOf(maxDatagram)
    this.#restartSizes()
  }

  get hinted(): boolean {
    return this.hintedAt !== -Infinity
  }
  get heard(): boolean {
    return this.heardAt !== -Infinity
  }
  get dead(): boolean {
    return this.#suspect || this.#failures >= PROBE_FAILURES
  }
  /**
   * Only pings and answers may be sent along it for now. The relay's address is known, and it forwards only to
   * registered nodes.
   */
  get spent(): boolean {
    if (this.answered || this.kind === 'relay') return false
    return this.bytesOut >= UNPROVEN_FACTOR * this.bytesIn + UNPROVEN_FIRST_BYTES
  }
  get mtu(): number {
    return this.payloadBytes + DATAGRAM_OVERHEAD_BYTES
  }

  onHeard(now: Instant): void {
    this.heardAt = now
  }

  /** Worth another try before an answer proves it. */
  revive(): void {
    this.#suspect = this.#owed.small = this.#owed.large = false
    this.#failures = 0
  }

  /** The peer has left it. */
  suspect(): void {
    this.#suspect = true
    this.demandProof()
  }

  /** It may lose packets of one size: an answer to a ping of a pair brings it back only after one of the other size. */
  demandProof(): void {
    this.#owed.small = this.#owed.large = true
  }

  /** One of a pair was answered. @returns whether both sizes were. */
  onProof(size: PingSize): boolean {
    this.#owed[size] = false
    return !this.#owed.small && !this.#owed.large
  }

  onProbe(now: Instant): void {
    this.probesOut += 1
    this.probedAt = now
    if (this.#unansweredAt < 0) this.#unansweredAt = now
  }

  onAnswer(rttMs: number): void {
    this.answered = true
    this.revive()
    this.#unansweredAt = -1
    // Falls immediately, rises slowly: a first sample taken while keys are computed says little about the path.
    this.rttMs = this.rttMs === undefined || rttMs < this.rttMs ? rttMs : this.rttMs + (rttMs - this.rttMs) / 8
  }

  /**
   * Sent bytes are acknowledged along it: equivalent to an answer to the pending probe, which a busy peer may have
   * dropped.
   */
  onProgress(): void {
    this.#failures = 0
    this.#unansweredAt = -1
  }

  /** Counts a probe as failed when its time is up. @returns true if this killed the path. */
  checkProbe(now: Instant): boolean {
    if (now < this.probeDeadline) return false
    this.#unansweredAt = -1
    this.probesLost += 1
    this.#failures += 1
    if (this.#failures !== PROBE_FAILURES) return false
    this.demandProof()
    return true
  }

  get #probeTimeoutMs(): number {
    return Math.min(MAX_PROBE_TIMEOUT_MS, Math.max(PROBE_TIMEOUT_MS, 4 * (this.rttMs ?? 0)))
  }

  get probeDeadline(): Instant {
    return this.#unansweredAt < 0 ? Infinity : this.#unansweredAt + this.#probeTimeoutMs
  }

  /**
   * Packet size (RFC 8899): the payload of the probe to send now, or 0. Only the first probe of a size counts, since
   * the system may fragment a second one; so none is sent twice.
   */
  takeSizeProbe(now: Instant): number {
    if (this.#sizesDoneAt >= 0 && now - this.#sizesDoneAt >= (this.#downwards ? LOOPBACK_RAISE_MS : RAISE_AGAIN_MS))
      this.#restartSizes()
    if (this.#sizesDoneAt >= 0 || this.#sizeProbeAt >= 0) return 0
    const size = this.#ladderSize
    const passesBelow = !this.#downwards && size > this.#cap
    if (
      size === 0 ||
      passesBelow ||
      size <= this.payloadBytes ||
      !(this.#downwards || this.#sizes.mayTry(now, this.endpoint.address, size))
    ) {
      this.#sizesDoneAt = now
      return 0
    }
    this.#sizes.onTry(now, this.endpoint.address, size)
    this.#sizeProbeAt = now
    return size
  }

  onSizeAnswer(now: Instant, payloadBytes: number): void {
    if (this.#sizeProbeAt < 0 || payloadBytes !== this.#ladderSize) return
    this.#sizes.onProven(this.endpoint.address, payloadBytes)
    this.payloadBytes = payloadBytes
    this.#sizeProbeAt = -1
    if (this.#downwards) this.#sizesDoneAt = now
    else this.#sizeStep += 1
  }

  /** No answer: on loopback the next smaller size may work, elsewhere the last one that passed is final. */
  checkSizeProbe(now: Instant): void {
    if (now < this.sizeDeadline) return
    this.#sizeProbeAt = -1
    if (this.#downwards) this.#sizeStep -= 1
    else this.#sizesDoneAt = now
  }

  get sizeDeadline(): Instant {
    return this.#sizeProbeAt < 0 ? Infinity : this.#sizeProbeAt + this.#probeTimeoutMs
  }

  /** Large packets vanish while small ones pass (RFC 8899 §4.3): back to the size that every path carries. */
  onBlackHole(now: Instant): void {
    if (this.#downwards) return // loopback has none: a starved process looks like a black hole
    this.#sizes.onBlackHole(now, this.endpoint.address, this.payloadBytes)
    this.payloadBytes = BASE_PAYLOAD_BYTES
    this.#sizeProbeAt = -1
    this.#sizesDoneAt = now
  }

  /** Our network has changed: measurements are void, and the path is probed again. */
  onLocalChange(maxDatagram: number): void {
    this.revive()
    this.sizeCheck.reset()
    this.rttMs = undefined
    this.payloadBytes = BASE_PAYLOAD_BYTES
    this.#cap = this.#capOf(maxDatagram)
    this.#sizeProbeAt = -1
    this.#restartSizes()
  }

  /**
   * We do not see the network behind the relay, and its kernel would fragment larger packets: only the base is safe.
   */
  #capOf(maxDatagram: number): number {
    return this.kind === 'relay' ? BASE_PAYLOAD_BYTES : maxDatagram - DATAGRAM_OVERHEAD_BYTES
  }

  get #ladderSize(): number {
    return PAYLOAD_LADDER[this.#sizeStep] ?? 0
  }

  #restartSizes(): void {
    this.#sizesDoneAt = -1
    this.#sizeStep = this.#downwards
      ? PAYLOAD_LADDER.findLastIndex((size) => size <= this.#cap)
      : PAYLOAD_LADDER.findIndex((size) => size > this.payloadBytes)
  }
}
