/**
 * The sending half of a stream: bytes → segments → acknowledged. Neighbours: stream.ts above, which makes packets of
 * segments; send-buffer.ts (the bytes), scoreboard.ts (the flight), rtt.ts, rack.ts (losses), congestion.ts,
 * recovery.ts and pacer.ts (how much may be sent, and when). Loss detection is RACK-TLP (RFC 8985), timeouts are those
 * of RFC 6298.
 *
 * All positions are offsets: bytes since the first byte of the stream, not wrapped. A sequenced FIN counts one.
 */
import type { Instant } from '../../base/types.ts'
import { looksLikeSack } from '../../wire/sack.ts'
import type { AckSample, CongestionController } from './congestion.ts'
import { Cubic } from './congestion.ts'
import * as k from './constants.ts'
import type { PlainRules, StreamShared } from './lifecycle.ts'
import { Pacer } from './pacer.ts'
import { PeerWindow } from './peer-window.ts'
import { Rack } from './rack.ts'
import { Recovery } from './recovery.ts'
import { RttEstimator } from './rtt.ts'
import type { Segment } from './scoreboard.ts'
import { Scoreboard } from './scoreboard.ts'
import { SendBuffer } from './send-buffer.ts'

export class Sender {
  readonly buffer: SendBuffer
  readonly board = new Scoreboard()
  readonly rtt = new RttEstimator()
  readonly congestion: CongestionController = new Cubic(k.BASE_SEGMENT_BYTES)
  /** First offset not acknowledged, and first never sent. */
  una = 0
  nxt = 0
  /** The result of pick(). */
  outOffset = 0
  outLength = 0
  outFin = false
  /** Consecutive timeouts without progress. */
  timeouts = 0
  retransmissions = 0
  /** The writer is done. */
  ended = false
  /** The writer will add more immediately: data that does not fill a segment waits for it. */
  more = false
  #closed = false
  #sequencedFin = true // HALF_CLOSE in force: FIN travels in sequence
  readonly #window: PeerWindow
  #isDelayMeaningful = true // a longer round trip is meaningful for the path
  #peerAckDelayMs = k.DELAYED_ACK_MS
  #segmentBytes = k.BASE_SEGMENT_BYTES
  #state: 'open' | 'recovery' | 'loss' = 'open'
  #recoveryPoint = 0
  readonly #rack = new Rack()
  readonly #recovery = new Recovery()
  readonly #pacer = new Pacer()
  #pacedUntil: Instant = Infinity // only the pacer prevents sending
  #firstRttMs = -1 // of the segments delivered by the current acknowledgement: the first that was sent once, and the last
  #lastRttMs = 0
  #timerAt: Instant = Infinity
  #timerIsProbe = false // TLP, else RTO
  #rtoBase: Instant = 0 // last progress, or the first send into an empty flight: sending must not push the timeout back
  #isSpurious = false // the last timeout, as shown by the current acknowledgement
  #probeOut = false // a tail-loss probe is unanswered
  #probeEnd = -1 // TLP.end_seq, of a probe that was a retransmission
  #probeSentAt: Instant = 0
  #probeDue = false
  #persistAt: Instant = Infinity
  #persistMs = k.PERSIST_MIN_MS
  #persistDue = false
  #stalledSince: Instant = -1
  #verifyAt: Instant = Infinity
  #verifications = 0

  constructor(shared: StreamShared, rules: PlainRules) {
    this.#window = new PeerWindow(rules)
    this.buffer = new SendBuffer(shared.sendBudget)
  }

  /** Once the peer's SYN options are known. */
  configure(plainWindow: boolean, plainClose: boolean): void {
    this.#window.slotted = plainWindow
    this.#sequencedFin = !plainClose
    if (!plainWindow) return
    this.#peerAckDelayMs = k.PEER_ACK_DELAY_MS
    this.#isDelayMeaningful = false // 40 ms at the end of each flight: HyStart++ would end slow start there, and a transfer would take ten times as long
  }

  /** Everything written is acknowledged (a sequenced FIN included, if one was due). */
  get drained(): boolean {
    return this.una >= this.#finalOffset
  }

  get finished(): boolean {
    return this.ended && this.#sequencedFin && this.una > this.buffer.end
  }

  get writableBytes(): number {
    return this.#limit - this.buffer.bytes
  }

  /** Enough space to wake a waiting writer: it should not be woken for a few bytes. */
  get roomForWriter(): boolean {
    return this.writableBytes >= this.#limit / 4
  }

  /**
   * Twice what is in flight keeps the path busy while the writer sleeps, and no peer accepts more than its window at
   * once: the rest would only wait here.
   */
  get #limit(): number {
    if (this.buffer.budgetSpent) return k.SEND_INITIAL_BYTES
    const most = this.#window.slotted ? k.PLAIN_SEND_LIMIT_BYTES : this.#window.maxBytes + k.SEND_INITIAL_BYTES
    return Math.min(Math.max(k.SEND_INITIAL_BYTES, 2 * this.congestion.cwndBytes), most)
  }

  /** What the peer has room for beyond `una`, as far as it has said. */
  get peerRoomBytes(): number {
    return this.#window.roomBytes(this.una)
  }

  /** The window of a SYN or SYN-ACK counts slots: nothing else is agreed yet. */
  onInitialWindow(slots: number): void {
    this.onWindow(0, this.#window.slotted ? slots : slots * k.PLAIN_SLOT_BYTES)
  }

  /** The window field of a packet that acknowledged `ack`: bytes, or slots if the peer sent no WINDOW_BYTES. */
  onWindow(ack: number, window: number): void {
    if (this.#window.onWindow(ack, window)) this.#persistMs = k.PERSIST_MIN_MS
  }

  /**
   * An acknowledgement. `sack` holds `sackCount` pairs of offsets.
   * @returns false for an ACK of data that was never sent: it is ignored.
   */
  onAck(now: Instant, ack: number, sack: Float64Array, sackCount: number): boolean {
    if (ack > this.nxt) return false
    this.#verifyAt = Infinity
    const flightBefore = this.board.flightBytes
    const una = this.una
    this.#firstRttMs = -1
    const delivered = this.#takeAcked(now, ack) + (sackCount > 0 ? this.#takeSacked(now, sack, sackCount) : 0)
    if (this.#firstRttMs >= 0) this.rtt.onSample(this.#firstRttMs, this.#lastRttMs)
    if (this.#isSpurious) this.#undoTimeout()
    const moved = this.una > una
    if (moved || delivered > 0) {
      this.#probeOut = false
      this.#stalledSince = -1
      this.timeouts = 0
      this.rtt.clearBackoff()
    }
    if (this.#state !== 'open' && this.una >= this.#recoveryPoint) this.#state = 'open'
    const lost = this.#detectLosses(now, flightBefore)
    this.#endProbe(now)
    if (this.#state === 'recovery') {
      if (delivered > 0)
        this.#recovery.onDelivered(delivered, this.board.flightBytes, this.#segmentBytes, moved && !lost)
    } else if (moved) {
      ackSample.now = now
      ackSample.ackedBytes = this.una - una
      ackSample.flightBytes = flightBefore
      ackSample.una = this.una
      ackSample.nxt = this.nxt
      ackSample.delayMs = this.#isDelayMeaningful ? this.rtt.latestMs : undefined
      this.congestion.onAcked(ackSample, this.rtt)
    }
    if (moved || delivered > 0) {
      this.#rtoBase = now // RFC 6298 §5.3
      this.#arm(now)
    }
    return true
  }

  /** Something can be sent now. */
  canSend(now: Instant, maxPayload: number): boolean {
    this.#pacedUntil = Infinity
    if (this.#closed) return false
    if (this.#probeDue || this.#persistDue) return true
    const ready =
      this.#mayResend || (this.nxt < this.#finalOffset && (this.#nextLength(maxPayload) > 0 || this.#onlyFinLeft))
    if (!ready) {
      this.#armPersist(now)
      return false
    }
    if (this.#pacer.at <= now) return true
    this.#pacedUntil = this.#pacer.at
    return false
  }

  /** Something waits for retransmission, and recovery or window allow it. */
  get #mayResend(): boolean {
    const { lostCount, flightBytes } = this.board
    return lostCount > 0 && (flightBytes === 0 || this.#room > 0)
  }

  /** Bytes that recovery or the congestion window allow into flight now. */
  get #room(): number {
    return this.#state === 'recovery' ? this.#recovery.sendBytes : this.congestion.cwndBytes - this.board.flightBytes
  }

  /** The peer's window is closed and nothing in flight could open it: probe now and then (RFC 9293 §3.8.6.1). */
  #armPersist(now: Instant): void {
    if (this.board.size === 0 && this.nxt < this.buffer.end && this.#persistAt === Infinity)
      this.#persistAt = now + this.#persistMs
  }

  /**
   * Chooses the next segment, copies its bytes to out[at..] and records it as sent.
   * @param mayCut the peer accepts resegmented data; a Go peer ignores it (stream.md Q13).
   * `outLength` is 0 for a FIN alone; a `persist` probe carries one byte that the peer already has.
   */
  pick(
    now: Instant,
    maxPayload: number,
    out: Uint8Array,
    at: number,
    mayCut: boolean,
  ): 'segment' | 'persist' | undefined {
    if (this.#closed) return undefined
    if (maxPayload !== this.#segmentBytes) {
      this.#segmentBytes = maxPayload
      this.congestion.onSegmentSize(maxPayload)
    }
    if (this.#persistDue) {
      this.#persistDue = false
      return 'persist'
    }
    if (this.#pacer.at > now && !this.#probeDue) return undefined
    if (this.#mayResend) return this.#resend(now, this.board.firstLost(), mayCut ? maxPayload : Infinity, out, at)
    if (this.#pickNew(now, maxPayload, out, at)) return 'segment'
    this.#armPersist(now)
    if (!this.#probeDue) return undefined
    this.#probeDue = false
    const last = this.board.size - 1
    if (last < 0 || this.board.at(last).sacked) return undefined
    this.#probeEnd = this.nxt
    this.#probeSentAt = now
    return this.#resend(now, last, mayCut ? maxPayload : Infinity, out, at)
  }

  handleTimeout(now: Instant): void {
    if (now >= this.#rack.at) this.#detectLosses(now, this.board.flightBytes)
    if (now >= this.#verifyAt) this.#askAgain(now)
    if (now >= this.#pacedUntil) this.#pacedUntil = Infinity // even if the path must wait: nothing calls us in the meantime
    if (now >= this.#persistAt) {
      this.#persistAt = Infinity
      this.#persistDue = this.board.size === 0 && this.nxt < this.buffer.end
      this.#persistMs = Math.min(this.#persistMs * 2, k.PERSIST_MAX_MS)
    }
    if (now < this.#timerAt || this.board.size === 0) return
    if (this.#timerIsProbe) {
      this.#probeOut = true
      this.#probeDue = true
      this.#arm(now)
    } else this.#onRetransmissionTimeout(now)
  }

  nextTimeout(): Instant {
    return Math.min(this.#timerAt, this.#rack.at, this.#persistAt, this.#verifyAt, this.#pacedUntil)
  }

  /** True when the peer has acknowledged nothing for so long that it must be gone. */
  hasGivenUp(now: Instant): boolean {
    if (this.#verifications > k.VERIFY_TRANSMISSIONS) return true
    return this.timeouts >= k.GIVE_UP_TIMEOUTS && this.#stalledSince >= 0 && now - this.#stalledSince >= k.GIVE_UP_MS
  }

  /**
   * The peer may have forgotten this stream: probe with a byte that it already has, until it acknowledges or resets.
   */
  verify(at: Instant): void {
    this.#verifications = 0
    this.#verifyAt = at
  }

  #askAgain(now: Instant): void {
    this.#persistDue = true
    this.#verifyAt = now + Math.min(k.VERIFY_MIN_MS * 2 ** this.#verifications, k.VERIFY_MAX_MS)
    this.#verifications += 1
  }

  /** Size of the segment that was sent in vain, though the peer was heard meanwhile: the path may lose this size. 0: there is none. */
  stuckBytes(heardAt: Instant): number {
    if (this.timeouts === 0 || heardAt <= this.#stalledSince || this.board.size === 0) return 0
    const first = this.board.at(0)
    return first.end - first.start
  }

  /** The path is new or works again: anything that waits for a backed-off timer goes now. */
  onPathRestored(now: Instant): void {
    if (this.timeouts === 0) return
    this.rtt.clearBackoff()
    if (this.board.size > 0) this.#onRetransmissionTimeout(now)
  }

  clear(): void {
    this.buffer.clear()
    this.board.clear()
    this.#timerAt = this.#rack.at = this.#persistAt = this.#verifyAt = this.#pacedUntil = Infinity
    this.#probeDue = this.#persistDue = false
    this.ended = true
    this.#closed = true // `nxt` stays: a RST says where we were
  }

  get #finalOffset(): number {
    return this.ended && this.#sequencedFin ? this.buffer.end + 1 : this.buffer.end
  }

  get #onlyFinLeft(): boolean {
    return this.ended && this.#sequencedFin && this.nxt === this.buffer.end
  }

  /** @returns the bytes newly known to be delivered. */
  #takeAcked(now: Instant, ack: number): number {
    if (ack <= this.una) return 0
    this.una = ack
    let delivered = 0
    while (this.board.size > 0 && this.board.at(0).end <= ack) {
      const segment = this.board.shift()
      if (segment.sacked) continue
      delivered += segment.end - segment.start
      this.#takeDelivered(now, segment)
    }
    // A partially acknowledged segment stays whole: its boundaries must not change (stream.md Q13).
    this.buffer.release(this.board.size > 0 ? this.board.at(0).start : Math.min(ack, this.buffer.end))
    return delivered
  }

  #takeSacked(now: Instant, sack: Float64Array, count: number): number {
    const { board } = this
    let bytes = 0
    for (let block = 0; block < count; block++) {
      const right = sack[2 * block + 1]!
      // Blocks are repeated, usually grown at their end: only the added part is processed.
      for (let i = board.indexFrom(sack[2 * block]!); i < board.size;) {
        const segment = board.at(i)
        board.looks += 1
        if (segment.end > right) break
        if (segment.sacked) {
          i = board.behindSacked(i)
          continue
        }
        this.#takeDelivered(now, segment)
        board.markSacked(segment)
        bytes += segment.end - segment.start
        i += 1
      }
    }
    return bytes
  }

  #takeDelivered(now: Instant, segment: Segment): void {
    if (segment.transmissions === 1) {
      if (this.#state === 'loss' && !this.#isSpurious) this.#isSpurious = segment.lost
      this.#lastRttMs = now - segment.sentAt
      if (this.#firstRttMs < 0) this.#firstRttMs = this.#lastRttMs
    }
    this.#rack.onDelivered(now, segment, this.rtt)
  }

  /** Like F-RTO (RFC 5682): data given up arrives without retransmission. The peer or the path had stalled. */
  #undoTimeout(): void {
    this.#isSpurious = false
    this.#state = 'open'
    this.congestion.onSpuriousTimeout()
    this.board.reviveLost()
  }

  #detectLosses(now: Instant, flightBefore: number): boolean {
    const found = this.#rack.detect(now, this.board, this.rtt, this.#state !== 'open')
    if (found && this.#state === 'open') this.#enterRecovery(flightBefore)
    return found
  }

  #enterRecovery(flight: number): void {
    this.#state = 'recovery'
    this.#recoveryPoint = this.nxt
    this.#probeEnd = -1
    this.congestion.onLoss()
    this.#window.onLoss(this.nxt)
    this.#recovery.start(flight, this.congestion.cwndBytes, this.#segmentBytes)
  }

  /** RFC 8985 §7.4: a probe that repaired the loss hides it; the window must still be reduced. */
  #endProbe(now: Instant): void {
    if (this.#probeEnd < 0 || this.una < this.#probeEnd) return
    this.#probeEnd = -1
    // Sooner than a round trip after the probe, the original had arrived; much later, the peer had stalled. There is no
    // DSACK to distinguish them.
    const elapsedMs = now - this.#probeSentAt
    if (elapsedMs >= this.rtt.minRttMs && elapsedMs <= this.rtt.srttMs + this.rtt.rttvarMs && this.#state === 'open')
      this.congestion.onLoss()
  }

  #onRetransmissionTimeout(now: Instant): void {
    this.timeouts += 1
    if (this.#stalledSince < 0) this.#stalledSince = this.board.at(0).sentAt
    this.rtt.backOff()
    for (let i = 0; i < this.board.size; i++) this.board.markLost(this.board.at(i))
    this.#probeEnd = -1
    if (this.#state !== 'loss') {
      this.congestion.onTimeout()
      this.#window.onLoss(this.nxt)
      this.#state = 'loss'
      this.#recoveryPoint = this.nxt
    }
    this.#probeOut = false
    this.#rtoBase = now
    this.#timerAt = now + this.rtt.rtoMs
    this.#timerIsProbe = false
  }

  /** RFC 8985 §7.2: a probe well before the timeout, once per flight; otherwise RFC 6298 §5. */
  #arm(now: Instant): void {
    if (this.board.size === 0) {
      this.#timerAt = Infinity
      this.#persistAt = Infinity
      return
    }
    const rtoAt = this.#rtoBase + this.rtt.rtoMs
    const mayProbe = !this.#probeOut && this.#state === 'open' && this.rtt.srttMs > 0 && this.board.sackedCount === 0
    const ptoAt =
      now +
      Math.max(2 * this.rtt.srttMs, TLP_MIN_MS) +
      (this.board.size === 1 || this.nxt > this.buffer.end ? this.#peerAckDelayMs : 0) // a FIN does not count as a second segment (acks.ts)
    this.#timerIsProbe = mayProbe && ptoAt < rtoAt
    this.#timerAt = this.#timerIsProbe ? ptoAt : rtoAt
  }

  #pickNew(now: Instant, maxPayload: number, out: Uint8Array, at: number): boolean {
    let length = this.#nextLength(maxPayload)
    if (length === 0 && !this.#onlyFinLeft) return false
    if (length > 0) {
      this.buffer.copy(this.nxt, length, out, at)
      if (looksLikeSack(out, at, length)) length = 1 // stream.md §4: such data would be swallowed as SACK blocks
    }
    this.outOffset = this.nxt
    this.outLength = length
    this.outFin = this.ended && this.#sequencedFin && this.nxt + length === this.buffer.end
    const end = this.nxt + length + (this.outFin ? 1 : 0)
    if (this.board.size === 0) this.#rtoBase = now
    this.board.push(this.nxt, end, this.outFin, now)
    this.#onSent(now, end - this.nxt)
    this.nxt = end
    this.#persistAt = Infinity
    this.#probeDue = false // new data serves as the probe (RFC 8985 §7.3)
    this.#arm(now)
    return true
  }

  #resend(now: Instant, index: number, maxPayload: number, out: Uint8Array, at: number): 'segment' {
    const segment = this.board.at(index)
    // The path carries less than when this was sent (RFC 8899 §4.3): the rest follows as a separate segment.
    if (segment.end - segment.start - (segment.fin ? 1 : 0) > maxPayload)
      this.board.split(index, segment.start + maxPayload)
    this.outOffset = segment.start
    this.outFin = segment.fin
    this.outLength = segment.end - segment.start - (segment.fin ? 1 : 0)
    if (this.outLength > 0) this.buffer.copy(segment.start, this.outLength, out, at)
    if (maxPayload !== Infinity && looksLikeSack(out, at, this.outLength)) {
      // only the rest of a split segment can
      this.board.split(index, segment.start + 1)
      this.outLength = 1
      this.outFin = false
    }
    this.board.markResent(segment, now)
    this.#onSent(now, this.outLength)
    this.retransmissions += 1
    if (this.#timerAt === Infinity) this.#arm(now)
    return 'segment'
  }

  #onSent(now: Instant, bytes: number): void {
    const { cwndBytes, inSlowStart } = this.congestion
    if (this.#state === 'recovery') this.#recovery.onSent(bytes)
    this.#pacer.onSent(now, bytes, cwndBytes, inSlowStart, this.#segmentBytes, this.rtt)
  }

  /** Payload of the next new segment; 0 if a window forbids it or there is none. */
  #nextLength(maxPayload: number): number {
    const unsent = this.buffer.end - this.nxt
    if (unsent <= 0) return 0
    const board = this.board
    const length = Math.min(unsent, maxPayload)
    if (this.more && length < maxPayload && !this.ended) return 0
    if (board.size > 0 && !this.#probeDue && (this.#state === 'recovery' ? this.#room <= 0 : this.#room < length))
      return 0
    return this.#window.admits(this.nxt, length, board.size)
  }
}

/** Least wait before a tail-loss probe: an event loop under load answers no faster. */
const TLP_MIN_MS = 10

const ackSample: AckSample = { now: 0, ackedBytes: 0, flightBytes: 0, una: 0, nxt: 0, delayMs: undefined } // refilled for each acknowledgement
