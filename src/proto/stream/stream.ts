/**
 * One reliable stream between two overlay ports: opening, data, endings. Above: proto/node, which finds the stream of a
 * packet, gives it packets to fill and reports its news to the application. Below: send.ts and receive.ts. Towards a
 * peer that answers our SYN options it is TCP (RFC 9293) in overlay packets; towards any other it follows the rules of
 * the reference (stream.md §6), which are in plain-peer.ts.
 */
import { seqAdd, seqDiff } from '../../base/sequence.ts'
import type { Instant, NodeId } from '../../base/types.ts'
import { FLAG_ACK, FLAG_FIN, FLAG_RST, FLAG_SYN, type PacketHeader } from '../../wire/packet.ts'
import { decodeRefusal } from '../../wire/refusal.ts'
import { MAX_SACK_BLOCKS } from '../../wire/sack.ts'
import type { Machine } from '../machine.ts'
import { AckPolicy } from './acks.ts'
import * as k from './constants.ts'
import { sharedByOne, type PlainRules, type StreamEnd, type StreamPhase, type StreamShared } from './lifecycle.ts'
import { IdleWatch } from './idle-watch.ts'
import { Opening } from './opening.ts'
import { PlainPeer } from './plain-peer.ts'
import { Receiver } from './receive.ts'
import { readSackOffsets, writeSackOffsets } from './sack-offsets.ts'
import { Sender } from './send.ts'
import { NEWS_ENDED, NEWS_OPEN, NEWS_READABLE, NEWS_WRITABLE, type StreamApp, type StreamView } from './stream-view.ts'

export class Stream implements Machine, StreamView {
  readonly localPort: number
  readonly peer: NodeId
  readonly remotePort: number
  /** Network part of our address here: a listener answers from the address that the SYN was sent to (addressing §6). */
  readonly localNetwork: number
  readonly dialled: boolean
  peerIsn = 0
  synAt: Instant = -Infinity // when the SYN of an accepted stream came
  phase: StreamPhase
  end: StreamEnd | undefined
  /** The peer agreed to our options: each direction ends on its own. */
  extended = false
  readonly sender: Sender
  readonly receiver: Receiver
  heapIndex = -1
  heapKey = 0
  /** Bookkeeping of the node: whether the stream is in its peer's queue or in the node's list of news. */
  queued = false
  announced = false
  heldTurns = 0
  /** Only its RST may use a relay: without another path it waits, and ends after waiting too long. */
  directOnly = false
  app: StreamApp | undefined

  #news = 0
  readonly opening: Opening
  #controlDue = false // SYN, SYN-ACK, RST or plain FIN, by phase
  #controlAt: Instant = Infinity
  readonly #acks = new AckPolicy()
  /** Until the peer has agreed to our options, and permanently if it does not. */
  #plain: PlainPeer | undefined
  #resets = 0
  #lastSentAt: Instant = 0
  readonly #idle = new IdleWatch()
  #blockedWriter = false

  /** @param isn 65536..2^31-1, random: exposes stale answers (Q9, Q10) and leaves 2 GiB before a wrap. */
  constructor(
    role: 'dial' | 'accept',
    local: { port: number; network: number },
    peer: NodeId,
    remotePort: number,
    isn: number,
    shared: StreamShared = sharedByOne(),
    rules: PlainRules = { isToday: false },
  ) {
    this.#plain = new PlainPeer(rules)
    this.receiver = new Receiver(shared.receiveBudget, rules)
    this.sender = new Sender(shared, rules)
    this.dialled = role === 'dial'
    this.phase = this.dialled ? 'syn-sent' : 'syn-received'
    this.localPort = local.port
    this.localNetwork = local.network
    this.peer = peer
    this.remotePort = remotePort
    this.opening = new Opening(isn, this.dialled, shared.maxSegment)
    this.#controlDue = this.dialled
  }

  /** By agreement, packets other than SYNs carry no checksum. */
  get unchecked(): boolean {
    return this.opening.unchecked
  }

  /** Takes ownership of `bytes`. @returns false if the writer should wait for NEWS_WRITABLE. */
  write(bytes: Uint8Array, more = false): boolean {
    if (this.sender.ended || this.end !== undefined) return true
    this.sender.buffer.append(bytes)
    this.sender.more = more
    this.#blockedWriter = this.sender.writableBytes <= 0
    return !this.#blockedWriter
  }

  /** We send no more bytes. The other direction continues; plain peers have no half-close (plain-close.ts). */
  shutdown(now: Instant): void {
    if (this.sender.ended) return
    this.sender.ended = true
    this.#plain?.close.endSent(now, this.dialled)
    this.#advancePlainClose(now)
  }

  /** Nothing is read any more, but written data must still arrive. */
  close(now: Instant): void {
    if (this.#plain !== undefined) this.#plain.close.wanted = true
    this.shutdown(now)
    this.#advancePlainClose(now)
  }

  /** Abrupt end, announced to the peer by RST. Data written before need not arrive. */
  reset(now: Instant, why: StreamEnd = 'local'): void {
    this.receiver.clear() // it will not be read
    if (this.phase === 'closed' || this.phase === 'resetting' || this.phase === 'time-wait') return
    const silent = this.phase === 'syn-sent' && this.opening.transmissions === 0 // the peer never heard of it
    this.#finish(why)
    this.phase = silent ? 'closed' : 'resetting'
    this.#controlDue = !silent
    this.#controlAt = silent ? Infinity : now + k.RST_REPEAT_MS[0]!
  }

  /** The tunnel no longer exists: no packet can reach the peer. */
  abandon(why: StreamEnd): void {
    if (this.phase === 'closed') return
    this.#finish(why)
    this.phase = 'closed'
    this.#controlAt = Infinity
  }

  /** A listener accepts the stream: the SYN-ACK is sent, and data may follow immediately (Q11). */
  accept(): void {
    if (this.phase !== 'syn-received') return
    this.#controlDue = true
    this.#news |= NEWS_OPEN
  }

  read(): Uint8Array | undefined {
    return this.receiver.read()
  }

  /** The peer's direction has ended and everything before it was read. */
  get readEnded(): boolean {
    return this.receiver.finished && this.receiver.queuedBytes === 0
  }

  takeNews(): number {
    const news = this.#news
    this.#news = 0
    return news
  }

  get hasNews(): boolean {
    return this.#news !== 0
  }
  /** A Go peer's queue was full: SYN-ACK and RST came together, before the application saw either (Q23). */
  get wasBusy(): boolean {
    return this.dialled && this.#plain !== undefined && this.end === 'reset_by_peer' && (this.#news & NEWS_OPEN) !== 0
  }

  /** Takes ownership of the payload. The packet was authenticated as coming from this stream's peer. */
  handlePacket(now: Instant, header: PacketHeader, payload: Uint8Array): void {
    const flags = header.flags
    this.#idle.onHeard(now)
    if ((flags & FLAG_RST) !== 0 && (flags & FLAG_SYN) === 0) this.#handleReset(header, payload)
    else if (this.phase === 'syn-sent') this.#handleAnswer(now, header, payload)
    else if ((flags & FLAG_SYN) !== 0) this.#handleRepeatedSyn(header)
    else if (this.phase !== 'closed' && this.phase !== 'resetting') this.#handleSegment(now, header, payload)
    this.#afterInput(now)
  }

  /** First packet of an accepted stream. */
  handleSyn(now: Instant, header: PacketHeader, payload: Uint8Array): void {
    this.synAt = now
    this.peerIsn = header.seq
    this.#agree(payload)
    this.sender.onInitialWindow(header.window)
  }

  /** This SYN does not belong to the stream on these ports: its sender has forgotten that stream. */
  isForeignSyn(header: PacketHeader): boolean {
    return this.dialled || header.seq !== this.peerIsn
  }

  hasOutput(now: Instant, pathPayload: number): boolean {
    if (this.#controlDue || this.#acks.due || this.#acks.duplicates > 0) return true
    return this.#mayCarryData && this.sender.canSend(now, Math.min(pathPayload, this.opening.maxSegment))
  }

  /**
   * Fills one packet: header fields except the addresses, payload at packet[at..].
   * @param pathPayload the largest payload the path carries, bytes.
   */
  pollPacket(now: Instant, header: PacketHeader, packet: Uint8Array, at: number, pathPayload: number): boolean {
    header.payloadLength = 0
    if (this.#controlDue) this.#fillControl(now, header, packet, at)
    else if (this.#mayCarryData && this.#fillData(now, header, packet, at, pathPayload)) {
      /* filled */
    } else if (this.#acks.due) this.#fillAck(now, header, packet, at)
    else if (this.#acks.duplicates > 0) {
      this.#acks.duplicates -= 1
      this.#fillNumbers(now, header, FLAG_ACK)
    } else return false
    return true
  }

  handleTimeout(now: Instant): void {
    this.#acks.handleTimeout(now)
    if (now >= this.#controlAt) this.#onControlTimeout(now)
    if (this.phase === 'established') {
      this.sender.handleTimeout(now)
      if (this.sender.hasGivenUp(now)) this.reset(now, 'timed_out')
      if (this.#plain !== undefined && now >= this.#plain.keepaliveAt(this.#lastSentAt)) this.#acks.due = true
      if (this.#plain?.close.takeHeld(now) === true) this.close(now)
      if (this.#idle.take(now, this.#mayBeForgotten)) this.sender.verify(now)
    }
  }

  nextTimeout(): Instant {
    let at = Math.min(this.#acks.at, this.#controlAt)
    if (this.phase === 'established') {
      at = Math.min(at, this.sender.nextTimeout())
      const sentAt = this.#acks.due ? Infinity : this.#lastSentAt // a keepalive that is due waits for its path
      if (this.#plain !== undefined) at = Math.min(at, this.#plain.nextTimeout(sentAt))
      at = Math.min(at, this.#idle.at(this.#mayBeForgotten))
    }
    return at
  }

  get #mayBeForgotten(): boolean {
    return this.#plain === undefined
  }

  /** The reader took bytes: perhaps the peer should be told about the space. */
  onRead(now: Instant): void {
    this.receiver.onRead(now, this.sender.rtt.srttMs)
    if (this.phase === 'established' && this.receiver.windowUpdateDue) this.#acks.due = true
  }

  /**
   * The path has changed: what waits for a timer goes now. @param verifyAt when to ask whether the peer knows the stream.
   */
  onPathChange(now: Instant, verifyAt: Instant): void {
    this.sender.rtt.minRttMs = Infinity // it was measured on another path
    if (this.phase.startsWith('syn-') && this.opening.mayRepeat) this.#controlDue = true
    if (this.phase !== 'established') return
    this.sender.onPathRestored(now)
    if (verifyAt < Infinity) this.sender.verify(verifyAt)
  }

  get #mayCarryData(): boolean {
    return this.phase === 'established' || (this.phase === 'syn-received' && this.opening.transmissions > 0)
  }

  #agree(payload: Uint8Array): void {
    this.extended = this.opening.agree(payload)
    if (this.extended) this.#plain = undefined
    this.receiver.configure(!this.extended)
    this.sender.configure(!this.extended, !this.extended)
  }

  #handleAnswer(now: Instant, header: PacketHeader, payload: Uint8Array): void {
    if ((header.flags & (FLAG_SYN | FLAG_ACK)) !== (FLAG_SYN | FLAG_ACK)) return // data before the SYN-ACK: will be retransmitted
    if (header.ack !== seqAdd(this.opening.isn, 1)) return this.reset(now, 'stale') // Q9
    this.#agree(payload)
    this.peerIsn = this.#plain?.isnOf(header, this.opening.transmissions) ?? header.seq
    this.sender.onInitialWindow(header.window)
    this.#establish(now)
    this.#news |= NEWS_OPEN
    this.#acks.onOpened(now, this.#plain !== undefined)
  }

  #establish(now: Instant): void {
    if (this.opening.transmissions === 1) this.sender.rtt.seed(Math.min(now - this.#lastSentAt, k.RTO_INITIAL_MS / 3)) // it may hold the peer's own dial
    this.phase = 'established'
    this.#controlDue = false
    this.#controlAt = Infinity
    this.#lastSentAt = now
    if (this.#plain === undefined) return
    this.#plain.close.heldUntil = Infinity
    if (this.sender.ended) this.#plain.close.endSent(now, this.dialled)
  }

  #handleRepeatedSyn(header: PacketHeader): void {
    if ((header.flags & FLAG_ACK) !== 0) {
      this.#acks.due = true // our third packet was lost
      return
    }
    if (this.phase === 'syn-received' && this.opening.transmissions === 0) return // not accepted yet
    if (this.phase === 'syn-received' || this.phase === 'established') this.#controlDue = true
  }

  #handleReset(header: PacketHeader, payload: Uint8Array): void {
    if (this.phase === 'closed') return
    if (this.phase === 'syn-sent') {
      const ours = header.ack === seqAdd(this.opening.isn, 1) || (header.seq === 0 && header.ack === 0)
      if (ours && this.opening.transmissions > 0) this.abandon(decodeRefusal(payload) ?? 'refused')
      return
    }
    // RFC 5961 §3 asks for the exact number; the peer is authenticated, so anything near is accepted (Q18)
    const distance = seqDiff(header.seq, this.#wireSeqOfNext())
    if (header.seq !== 0 && (distance < -k.RECEIVE_LIMIT_BYTES || distance > 2 * k.RECEIVE_LIMIT_BYTES)) return
    if (this.phase === 'time-wait' || this.phase === 'resetting') {
      this.phase = 'closed'
      this.#controlDue = false
      return
    }
    // Both ended and only the acknowledgement of our FIN was lost: not a failure.
    const complete = this.receiver.finished && this.sender.ended && this.sender.una >= this.sender.buffer.end
    this.abandon(complete ? 'finished' : 'reset_by_peer')
  }

  #handleSegment(now: Instant, header: PacketHeader, payload: Uint8Array): void {
    const acked = (header.flags & FLAG_ACK) !== 0
    if (this.phase === 'syn-received') {
      if (this.opening.transmissions === 0 || !acked) return
      this.#establish(now)
    }
    const sackCount = acked ? this.#takeAck(now, header, payload) : 0
    if ((header.flags & FLAG_FIN) !== 0 && this.#plain !== undefined)
      return this.#handlePlainFin(now, header, this.#plain)
    if (!acked || sackCount > 0) return
    const fin = (header.flags & FLAG_FIN) !== 0
    if (payload.length > 0 || fin) this.#takePayload(now, header, payload, fin)
    else if (this.#plain?.asksForWindow(this.receiver) === true) this.#acks.due = true
  }

  /** @returns the number of SACK blocks in the payload; more than 0: it is not data. */
  #takeAck(now: Instant, header: PacketHeader, payload: Uint8Array): number {
    const sender = this.sender
    const before = sender.una
    const ack = before + seqDiff(header.ack, this.#wireSeq(sender.una))
    const found = readSackOffsets(payload, before, sender.nxt, this.#wireSeq(before), sackOffsets)
    const plain = this.#plain
    const plainFinAck = plain?.isFinAnswer(ack, sender.nxt) === true
    const known = sender.onAck(now, plainFinAck ? ack - 1 : Math.max(ack, 0), sackOffsets, Math.max(0, found))
    if (plainFinAck) plain.close.state = 'answered'
    if (known && plain?.isWindow(header.window, payload.length, sender.una !== before) !== false)
      sender.onWindow(Math.max(ack, 0), header.window * this.opening.windowUnit)
    return plain === undefined ? found : Math.abs(found) // -1: of a stream that had its ports before it restarted (Q16)
  }

  #takePayload(now: Instant, header: PacketHeader, payload: Uint8Array, fin: boolean): void {
    const { receiver } = this
    const plain = this.#plain
    const offset = receiver.next + seqDiff(header.seq, this.#wireSeqOfNext())
    const hadGap = receiver.hasGap
    const fate = receiver.handleSegment(offset, payload, fin)
    if (fate !== 'in_order') return this.#acks.onOutOfOrder(fate === 'early' && plain !== undefined)
    this.#news |= NEWS_READABLE
    const fullBytes = plain?.fullBytes(payload.length) ?? 0
    this.#acks.onInOrder(now, payload.length, hadGap || (receiver.finished && this.sender.ended), fullBytes)
    const stallUntil = plain?.stallUntil(now, receiver, hadGap)
    if (stallUntil !== undefined) this.#acks.stall(stallUntil)
  }

  #handlePlainFin(now: Instant, header: PacketHeader, plain: PlainPeer): void {
    const answered = plain.takeFin(header)
    if (!this.receiver.finished) {
      const offset = this.receiver.next + seqDiff(header.seq, this.#wireSeqOfNext())
      const clean = this.receiver.handlePlainFin(offset) === 'clean'
      this.#news |= NEWS_READABLE
      // The peer accepts nothing more: data that is unacknowledged by now is lost.
      const delivered = this.sender.una >= this.sender.buffer.end
      if (!clean || (!delivered && !answered)) this.#finish('truncated')
      this.#enterTimeWait(now)
    }
    if (!answered) this.#acks.due = true
  }

  #advancePlainClose(now: Instant): void {
    if (this.#plain === undefined || this.phase !== 'established') return
    if (!this.#plain.close.advance(this.sender.ended, this.sender.una >= this.sender.buffer.end)) return
    this.#controlDue = true
    this.#controlAt = now
  }

  #afterInput(now: Instant): void {
    if (this.#blockedWriter && this.sender.roomForWriter) {
      this.#blockedWriter = false
      this.#news |= NEWS_WRITABLE
    }
    if (this.phase !== 'established') return
    if (this.#plain !== undefined) {
      if (this.#plain.close.state === 'answered') this.#enterTimeWait(now)
      else this.#advancePlainClose(now)
      return
    }
    if (this.sender.finished && this.receiver.finished) this.#enterTimeWait(now)
  }

  #enterTimeWait(now: Instant): void {
    this.#finish('finished')
    this.phase = 'time-wait'
    this.#controlDue = false
    this.#controlAt = now + k.TIME_WAIT_MS
  }

  #finish(why: StreamEnd): void {
    if (this.end === undefined) {
      this.end = why
      this.#news |= NEWS_ENDED
    }
    this.sender.clear()
    this.receiver.dropEarly()
    this.#blockedWriter = false
  }

  #onControlTimeout(now: Instant): void {
    this.#controlAt = Infinity
    if (this.phase === 'syn-sent' || this.phase === 'syn-received') {
      if (this.opening.transmissions < k.SYN_TRANSMISSIONS) this.#controlDue = true
      else if (this.dialled) this.reset(now, 'no_answer')
      else this.#establish(now) // Q11: a Go peer never repeats its third packet; data replaces it
    } else if (this.phase === 'resetting') {
      this.#resets += 1
      if (this.#resets > k.RST_REPEAT_MS.length) this.phase = 'closed'
      else this.#controlDue = true
    } else if (this.phase === 'time-wait') {
      this.phase = 'closed'
    } else if (this.#plain?.close.underway === true) {
      if (this.#plain.close.exhausted) this.#enterTimeWait(now)
      else this.#controlDue = true
    }
  }

  #fillControl(now: Instant, header: PacketHeader, packet: Uint8Array, at: number): void {
    this.#controlDue = false
    if (this.phase === 'established' && this.#plain?.close.underway === true)
      return this.#fillPlainFin(now, header, this.#plain)
    if (this.phase === 'syn-sent' || this.phase === 'syn-received' || this.phase === 'established')
      return this.#fillSyn(now, header, packet, at)
    this.#fillNumbers(now, header, FLAG_RST | FLAG_ACK)
    header.window = 0
    this.#controlAt = now + (k.RST_REPEAT_MS[this.#resets] ?? 0)
  }

  #fillSyn(now: Instant, header: PacketHeader, packet: Uint8Array, at: number): void {
    this.opening.fill(header, packet, at, this.peerIsn)
    header.window = this.receiver.takeInitialWindow()
    this.#lastSentAt = now
    if (this.phase === 'established') return // the answer to a repeated SYN: nothing waits for it
    this.#controlAt = this.opening.onSent(now)
  }

  #fillPlainFin(now: Instant, header: PacketHeader, plain: PlainPeer): void {
    this.#fillNumbers(now, header, FLAG_FIN)
    header.ack = 0
    header.window = 0
    this.#controlAt = plain.close.onSent(now)
  }

  #fillData(now: Instant, header: PacketHeader, packet: Uint8Array, at: number, pathPayload: number): boolean {
    const sender = this.sender
    const kind = sender.pick(now, Math.min(pathPayload, this.opening.maxSegment), packet, at, this.extended)
    if (kind === undefined) return false
    this.#acks.onAnswer()
    this.#fillNumbers(now, header, FLAG_ACK)
    if (kind === 'persist') {
      // Q6: a byte the peer has already makes it report its window
      header.seq = seqAdd(this.#wireSeq(sender.una), -1)
      packet[at] = 0
      header.payloadLength = 1
      return true
    }
    header.seq = this.#wireSeq(sender.outOffset)
    header.payloadLength = sender.outLength
    if (sender.outFin) header.flags |= FLAG_FIN
    return true
  }

  #fillAck(now: Instant, header: PacketHeader, packet: Uint8Array, at: number): void {
    this.#fillNumbers(now, header, FLAG_ACK)
    if (!this.receiver.hasGap) return
    const count = this.receiver.sackBlocks(sackOffsets, MAX_SACK_BLOCKS)
    header.payloadLength = writeSackOffsets(sackOffsets, count, this.receiver.next, this.#wireSeqOfNext(), packet, at)
  }

  /** Current sequence, acknowledgement and window; this satisfies every ACK that was due. */
  #fillNumbers(now: Instant, header: PacketHeader, flags: number): void {
    header.flags = flags
    header.seq = this.#wireSeq(this.sender.nxt)
    header.ack =
      this.#plain !== undefined && this.receiver.finished ? seqAdd(this.#wireSeqOfNext(), 1) : this.#wireSeqOfNext()
    header.window = this.receiver.takeWindow()
    this.#acks.onGiven()
    this.#lastSentAt = now
  }

  #wireSeq(offset: number): number {
    return (this.opening.isn + 1 + offset) >>> 0
  }

  #wireSeqOfNext(): number {
    return (this.peerIsn + 1 + this.receiver.next) >>> 0
  }
}

const sackOffsets = new Float64Array(128) // scratch of one call, shared by all streams: machines are never re-entered
