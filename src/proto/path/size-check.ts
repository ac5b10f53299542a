/**
 * Whether a path carries both small packets and those of the base size. Some middleboxes lose every large datagram, and
 * pings, which are small, do not show it; others lose small ones, and acknowledgements in large segments hide it. When
 * segments are stuck, pings of both sizes go out in pairs: answers of one size without any of the other are the evidence.
 * A pair travels together, so that delay, queues and an outage concern both, and plain loss of 20 % lets one size of a
 * check vanish once in some thousand checks.
 */
import type { Instant } from '../../base/types.ts'
import { SIZE_CHECK_ANSWERS, SIZE_CHECK_PAIRS, SIZE_CHECK_PAUSE_MS, SIZE_PROOFS } from './constants.ts'

export type PingSize = 'small' | 'large'

export class SizeCheck {
  /** Packets of this size are lost, others pass. Until some of this size in a row are answered. */
  lost: PingSize | undefined
  /** When the next pair is due. */
  nextAt: Instant = Infinity
  #since: Instant = Infinity
  #pairs = 0
  readonly #answers = { small: 0, large: 0 }
  #proofs = 0
  #isProofOut = false

  get failed(): boolean {
    return this.lost !== undefined
  }

  /** Segments are stuck. */
  start(now: Instant): void {
    if (this.failed || this.#since !== Infinity) return
    this.#since = this.nextAt = now
    this.#pairs = this.#answers.small = this.#answers.large = 0
  }

  /** @returns true when a pair of pings is to be sent now. */
  takePair(now: Instant): boolean {
    if (now < this.nextAt) return false
    if (this.#pairs === SIZE_CHECK_PAIRS) {
      this.stop() // neither size is answered: that is for others to judge
      return false
    }
    this.#pairs += 1
    this.nextAt = now + SIZE_CHECK_PAUSE_MS
    return true
  }

  /** One of a pair was answered. @returns true when that decides it: those of the other size are lost. */
  onAnswer(size: PingSize, sentAt: Instant): boolean {
    if (sentAt < this.#since) return false
    this.#answers[size] += 1
    const other = size === 'small' ? 'large' : 'small'
    if (this.#answers[other] > 0) this.stop()
    else if (this.#answers[size] >= SIZE_CHECK_ANSWERS) {
      this.stop()
      this.lost = other
      this.#proofs = 0
      this.#isProofOut = false
      return true
    }
    return false
  }

  /** A ping leaves that may show that the path is whole again. */
  onProof(size: PingSize): void {
    if (size !== this.lost) return
    if (this.#isProofOut) this.#proofs = 0
    this.#isProofOut = true
  }

  /** It was answered. @returns true when packets of the lost size pass again. */
  onProven(size: PingSize): boolean {
    if (size !== this.lost) return false
    this.#isProofOut = false
    this.#proofs += 1
    if (this.#proofs < SIZE_PROOFS) return false
    this.lost = undefined
    return true
  }

  stop(): void {
    this.#since = this.nextAt = Infinity
  }

  /** Another network: nothing is known. */
  reset(): void {
    this.stop()
    this.lost = undefined
  }
}
