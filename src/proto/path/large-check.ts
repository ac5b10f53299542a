/**
 * Whether a path carries packets of the base size, or only small ones: some middleboxes lose every large datagram, and
 * pings, which are small, do not show it. When large segments are stuck, pings of both sizes go out in pairs: small ones
 * that are answered while no large one is are the evidence. A pair travels together, so that delay, queues and an outage
 * concern both; with plain loss of 20 %, all large ones of a check vanish about once in a thousand checks.
 */
import type { Instant } from '../../base/types.ts'
import { LARGE_CHECK_ANSWERS, LARGE_CHECK_PAIRS, LARGE_CHECK_PAUSE_MS, LARGE_PROOFS } from './constants.ts'

export class LargeCheck {
  /** Small packets pass and large ones do not. Until some large ones in a row are answered. */
  failed = false
  /** When the next pair is due. */
  nextAt: Instant = Infinity
  #since: Instant = Infinity
  #pairs = 0
  #smallAnswers = 0
  #proofs = 0
  #isProofOut = false

  /** Large segments are stuck. */
  start(now: Instant): void {
    if (this.failed || this.#since !== Infinity) return
    this.#since = this.nextAt = now
    this.#pairs = this.#smallAnswers = 0
  }

  /** @returns true when a pair of pings is to be sent now. */
  takePair(now: Instant): boolean {
    if (now < this.nextAt) return false
    if (this.#pairs === LARGE_CHECK_PAIRS) {
      this.stop() // neither size is answered: that is for others to judge
      return false
    }
    this.#pairs += 1
    this.nextAt = now + LARGE_CHECK_PAUSE_MS
    return true
  }

  /** The small one of a pair was answered. @returns true when that decides it: the large ones are lost. */
  onSmallAnswer(sentAt: Instant): boolean {
    if (sentAt < this.#since) return false
    this.#smallAnswers += 1
    if (this.#smallAnswers < LARGE_CHECK_ANSWERS) return false
    this.stop()
    this.failed = true
    this.#proofs = 0
    this.#isProofOut = false
    return true
  }

  /** A large ping is being sent; its answer would show that the path has recovered. */
  onProof(): void {
    if (this.#isProofOut) this.#proofs = 0
    this.#isProofOut = true
  }

  /** @returns true when large packets pass again. */
  onLargeAnswer(): boolean {
    this.stop()
    this.#isProofOut = false
    if (!this.failed) return false
    this.#proofs += 1
    this.failed = this.#proofs < LARGE_PROOFS
    return !this.failed
  }

  stop(): void {
    this.#since = this.nextAt = Infinity
  }

  /** Another network: nothing is known. */
  reset(): void {
    this.stop()
    this.failed = false
  }
}
