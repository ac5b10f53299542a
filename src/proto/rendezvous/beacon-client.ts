/** Where the beacon sees us: discover messages, their answers, and the NAT mapping they keep open. */
import { equalBytes } from '../../base/bytes.ts'
import type { Endpoint, Instant, NodeId, RandomBytes } from '../../base/types.ts'
import { sameEndpoint } from '../../base/types.ts'
import type { DiscoverAnswer } from '../../wire/beacon-messages.ts'
import { encodeQuestion, TRANSACTION_BYTES } from '../../wire/beacon-messages.ts'
import type { Machine } from '../machine.ts'
import {
  DISCOVER_INTERVAL_MS,
  DISCOVER_RETRY_MS,
  DISCOVER_SETTLE_MS,
  REFRESH_PAUSE_MS,
  SILENT_AFTER,
  STANDBY_ASK_MS,
} from './constants.ts'

/** Who asks a beacon. */
export interface Asker {
  readonly publicKey: Uint8Array // Ed25519
  readonly random: RandomBytes
}

export class BeaconClient implements Machine {
  /** Our public endpoint, as the beacon saw it last. */
  observed: Endpoint | undefined
  answeredAt: Instant = -Infinity
  readonly #asker: Asker
  #transaction: Uint8Array = new Uint8Array(0) // of the questions since the last answer
  #isOurs = false // the beacon repeats transactions: a reply without one is not from it
  #nodeId: NodeId = 0
  #nextAt: Instant = 0
  #unanswered = 0
  #sentAt: Instant = -Infinity
  #isNewId = false
  #isStandby = false // another way is in use: only whether UDP passes is of interest
  #isOwed = false // an urgent query has not been sent yet: an answer to an earlier one does not replace it

  constructor(asker: Asker) {
    this.#asker = asker
  }

  /** Questions since the last answer. */
  get unanswered(): number {
    return this.#unanswered
  }

  /** It answers, and is not one of ours: its limits are those of the reference (quirk R19). */
  get isForeign(): boolean {
    return !this.#isOurs && this.answeredAt > -Infinity
  }

  /** UDP works between us and the beacon, judging by the last minute. */
  isAnswering(now: Instant): boolean {
    return now - this.answeredAt < 3 * DISCOVER_INTERVAL_MS && this.#unanswered < DISCOVER_RETRY_MS.length
  }

  /** An answer is outstanding: perhaps our own endpoint changed, and the beacon relays to the old one. */
  refresh(now: Instant): void {
    if (now >= this.#sentAt + REFRESH_PAUSE_MS) this.#owe(now)
  }

  /** Our network has changed: there is no time to lose. */
  askNow(now: Instant): void {
    this.#owe(now)
    this.#unanswered = 0
  }

  /**
   * On standby it asks without our id, so that the beacon does not move us, and often. Afterwards the beacon must learn
   * where we are immediately.
   */
  setStandby(now: Instant, isStandby: boolean): void {
    this.#isStandby = isStandby
    if (isStandby) this.#nextAt = Math.min(this.#nextAt, now + STANDBY_ASK_MS)
    else this.#owe(now)
  }

  /** Several questions in a row without an answer. */
  get silent(): boolean {
    return this.#unanswered >= SILENT_AFTER
  }

  /** Our id is now known, or has changed: the beacon must learn it immediately, otherwise it cannot relay to us. */
  setNodeId(nodeId: NodeId): void {
    this.#isNewId ||= nodeId !== this.#nodeId
    this.#nodeId = nodeId
    this.#owe(0)
    this.#unanswered = 0
  }

  /**
   * Whether a reply answers our question. Other beacon implementations repeat no transaction. A beacon that did may stop
   * doing so only after a silence: it may have been replaced.
   */
  expects(answer: DiscoverAnswer | undefined): boolean {
    if (answer !== undefined) return equalBytes(answer.transaction, this.#transaction)
    return this.#unanswered > 0 && (!this.#isOurs || this.silent)
  }

  /** Takes an expected reply. @returns true if our endpoint is new or has changed. */
  handleReply(now: Instant, endpoint: Endpoint, answer: DiscoverAnswer | undefined): boolean {
    this.#isOurs = answer !== undefined
    this.#unanswered = 0
    this.answeredAt = now
    const isNews = !sameEndpoint(this.observed, endpoint)
    if (!this.#isOwed) {
      // A beacon moves our id from its previous address only after that has been silent for 3 s, and does not report
      // it.
      this.#nextAt = now + (isNews || this.#isNewId ? DISCOVER_SETTLE_MS : DISCOVER_INTERVAL_MS)
      if (this.#isStandby) this.#nextAt = now + STANDBY_ASK_MS
      this.#isNewId = this.#isNewId && isNews // the first answer may be to the question without an id
    }
    this.observed = endpoint
    return isNews
  }

  /** A datagram for the beacon, if one is due. */
  pollDiscover(now: Instant): Uint8Array | undefined {
    if (now < this.#nextAt) return undefined
    if (this.#unanswered === 0 || this.#isOwed) this.#transaction = this.#asker.random(TRANSACTION_BYTES)
    const pause = DISCOVER_RETRY_MS[Math.min(this.#unanswered, DISCOVER_RETRY_MS.length - 1)]!
    this.#nextAt = now + (this.#isStandby ? STANDBY_ASK_MS : pause)
    this.#unanswered += 1
    this.#sentAt = now
    this.#isOwed = false
    const question = { transaction: this.#transaction, answerFromSecond: false }
    return encodeQuestion(this.#isStandby ? 0 : this.#nodeId, this.#asker.publicKey, question)
  }

  #owe(at: Instant): void {
    this.#nextAt = at
    this.#isOwed = true
  }

  handleTimeout(_now: Instant): void {} // pollDiscover checks the time itself

  nextTimeout(): Instant {
    return this.#nextAt
  }
}
