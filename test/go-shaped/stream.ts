/**
 * One stream as the April 2026 reference daemon keeps it (stream.md §1 to §5), quirks included: window in slots and 0
 * for no limit, no window updates, 128 segments out of order, one FIN that ends both directions and is answered
 * forever, silence for unknown streams. It is a model to test against, not a stream to use.
 *
 * In the shape `today` (1.18, as seen on the wire: docs/interop.md): segments of 1,152 bytes, window 0 closes and its
 * opening is announced, a full queue drops, a FIN waits for what is before it, is repeated, and is answered once.
 */
import { seqAdd, seqDiff } from '../../src/base/sequence.ts'
import type { PacketHeader } from '../../src/wire/packet.ts'
import { FLAG_ACK, FLAG_FIN, FLAG_RST, FLAG_SYN } from '../../src/wire/packet.ts'

export type GoShape = 'april' | 'today'

export type GoState = 'SYN_SENT' | 'ESTABLISHED' | 'TIME_WAIT' | 'CLOSED'

/** What a stream tells its daemon to send: flags, numbers, window, payload. */
export type GoSend = (flags: number, seq: number, ack: number, window: number, payload: Uint8Array) => void

interface Segment {
  readonly seq: number
  readonly bytes: Uint8Array
  sentAt: number
  transmissions: number
  sacked: boolean
}

export class GoStream {
  readonly localPort: number
  readonly remote: number
  readonly remotePort: number
  state: GoState
  /** Segments delivered and not yet read; 512 of them block the whole daemon (Q5). */
  readonly queue: Uint8Array[] = []
  /** Unread segments stay in `queue` while this is false. */
  reading = true
  received: Uint8Array[] = []
  ended = false // the receive side is closed
  failure: 'refused' | 'reset' | 'timeout' | 'gave up' | undefined
  lastActive: number
  timeWaitUntil = Infinity
  retransmissions = 0
  onData: ((bytes: Uint8Array) => void) | undefined
  /** Short writes wait for what is unacknowledged, 40 ms at most; those of the daemon's own services do not (seen in recordings). */
  nagle = true
  #send: GoSend
  #sendNext: number
  #una: number
  #receiveNext = 0
  #peerWindow = 0 // bytes; 0: no limit
  #unacked: Segment[] = []
  #buffer: Uint8Array[] = []
  #bufferedBytes = 0
  #flushAt = Infinity // Nagle
  readonly #early = new Map<number, Uint8Array>()
  #ackCount = 0
  #ackAt = Infinity
  #cwnd = INITIAL_CWND
  #ssthresh = 524_288
  #rto = 1_000
  #srtt = -1
  #rttvar = 0
  #lossUntil = -1 // sequence distance from una: a loss event is under way
  #duplicates = 0
  #nextCheck = Infinity // retransmission ticker, 100 ms
  #syn = { at: Infinity, pause: 1_000, sent: 0 }
  #probe = { at: Infinity, pause: 500 }
  readonly #isToday: boolean
  readonly #slotBytes: number // of a segment that it sends, and of a slot of the peer
  #finAt: number | undefined // today: the sequence number of a FIN that came early
  readonly #fin = { at: Infinity, pause: 1_000, sent: 0 } // today: ours
  #wasClosed = false // today: our last window was 0

  constructor(
    role: 'dial' | 'accept',
    localPort: number,
    remote: number,
    remotePort: number,
    now: number,
    send: GoSend,
    shape: GoShape = 'april',
  ) {
    this.#isToday = shape === 'today'
    this.#slotBytes = this.#isToday ? TODAY_SLOT_BYTES : SLOT_BYTES
    this.localPort = localPort
    this.remote = remote
    this.remotePort = remotePort
    this.lastActive = now
    this.#send = send
    this.#sendNext = this.#una = 1 // the ISN is 0, always, and SYN takes one number
    this.state = role === 'dial' ? 'SYN_SENT' : 'ESTABLISHED'
  }

  // ---- the application

  dial(now: number): void {
    this.#sendSyn(now)
  }

  write(now: number, bytes: Uint8Array): void {
    if (this.state !== 'ESTABLISHED' && this.state !== 'SYN_SENT') return
    this.#buffer.push(bytes)
    this.#bufferedBytes += bytes.length
    this.#flush(now, false)
  }

  /** Its node has restarted and knows nothing of it. */
  vanish(): void {
    this.#fail('gave up')
  }

  /** FIN once, never repeated; unacknowledged data stays so. Today: once everything is acknowledged, until answered. */
  close(now: number): void {
    if (this.#isToday && this.state === 'ESTABLISHED') {
      this.#fin.at = now
      return this.#closeInOrder(now)
    }
    if (this.state === 'ESTABLISHED') this.#send(FLAG_FIN, this.#sendNext, 0, 0, NOTHING)
    this.#enterTimeWait(now)
  }

  #closeInOrder(now: number): void {
    if (now < this.#fin.at || this.#unacked.length > 0 || this.#bufferedBytes > 0) return
    if (this.#fin.sent >= FIN_TRANSMISSIONS) return this.#enterTimeWait(now)
    this.#send(FLAG_FIN, this.#sendNext, 0, 0, NOTHING)
    this.#fin.at = now + this.#fin.pause * 2 ** this.#fin.sent
    this.#fin.sent += 1
  }

  /** Takes what was delivered while `reading` was false. Today: a window that was closed is announced. */
  read(): Uint8Array[] {
    for (const segment of this.queue.splice(0)) this.#take(segment)
    if (this.#wasClosed && this.state === 'ESTABLISHED') this.#acknowledge()
    return this.received
  }

  get receivedBytes(): number {
    return this.received.reduce((sum, { length }) => sum + length, 0)
  }
  get unsentBytes(): number {
    return this.#bufferedBytes
  }
  get unackedBytes(): number {
    return this.#unacked.reduce((sum, { bytes }) => sum + bytes.length, 0)
  }
  get freeSlots(): number {
    return QUEUE_SLOTS - this.queue.length
  }

  // ---- packets

  /** SYN of a new stream, which is open from here on (§2.2 step 7). */
  accept(now: number, header: PacketHeader): void {
    this.#receiveNext = seqAdd(header.seq, 1)
    this.#peerWindow = header.window * this.#slotBytes
    this.#send(FLAG_SYN | FLAG_ACK, 0, this.#receiveNext, this.freeSlots, NOTHING)
    this.#nextCheck = now + TICK_MS
  }

  /** §2.2 step 2: whatever state this is in. */
  repeatSynAck(): void {
    this.#send(
      FLAG_SYN | FLAG_ACK,
      this.#isToday ? 0 : seqAdd(this.#sendNext, -1),
      this.#receiveNext,
      this.freeSlots,
      NOTHING,
    )
  }

  /** Anything but a SYN without ACK. */
  handle(now: number, header: PacketHeader, payload: Uint8Array): void {
    const { flags } = header
    if ((flags & FLAG_SYN) !== 0) this.#onSynAck(now, header)
    else if ((flags & FLAG_FIN) !== 0) this.#onFin(now, header)
    else if ((flags & FLAG_RST) !== 0) this.#fail(this.state === 'SYN_SENT' ? 'refused' : 'reset')
    else if ((flags & FLAG_ACK) !== 0) this.#onAck(now, header, payload)
  }

  // ---- time

  handleTimeout(now: number): void {
    if (now >= this.#syn.at) this.#repeatSyn(now)
    if (this.state !== 'ESTABLISHED') return
    if (this.#fin.at < Infinity) this.#closeInOrder(now)
    if (now >= this.#ackAt) this.#acknowledge()
    if (now >= this.#flushAt) this.#flush(now, true)
    if (now >= this.#probe.at) {
      this.#send(FLAG_ACK, this.#sendNext, this.#receiveNext, this.freeSlots, NOTHING)
      this.#probe.pause = Math.min(2 * this.#probe.pause, 30_000)
      this.#probe.at = now + this.#probe.pause
    }
    if (now < this.#nextCheck) return
    this.#nextCheck = now + TICK_MS
    this.#checkRetransmission(now)
  }

  nextTimeout(): number {
    const busy = this.#unacked.length > 0 ? this.#nextCheck : Infinity
    return Math.min(
      this.#syn.at,
      this.state === 'ESTABLISHED'
        ? Math.min(this.#ackAt, this.#flushAt, this.#probe.at, busy, this.#finTimeout)
        : Infinity,
    )
  }

  get #finTimeout(): number {
    return this.#unacked.length > 0 || this.#bufferedBytes > 0 ? Infinity : this.#fin.at
  }

  /** §5.2, every 15 s. */
  sweep(now: number): void {
    if (this.state !== 'ESTABLISHED') return
    const idle = now - this.lastActive
    if (idle > IDLE_MS) this.close(now)
    else if (idle > KEEPALIVE_MS)
      this.#send(FLAG_ACK, this.#sendNext, this.#receiveNext, this.#isToday ? this.freeSlots : 0, NOTHING)
  }

  /** How often the SYN was sent; the daemon moves to the relay at the third retransmission. */
  get synTransmissions(): number {
    return this.#syn.sent
  }

  restartSynTimer(now: number): void {
    this.#syn.pause = 2_000
    this.#syn.at = now + 2_000
  }

  // ---- opening

  #sendSyn(now: number): void {
    this.#send(FLAG_SYN, 0, 0, QUEUE_SLOTS, NOTHING)
    this.#syn.sent += 1
    this.#syn.at = now + this.#syn.pause
    this.#syn.pause = Math.min(2 * this.#syn.pause, 8_000)
  }

  #repeatSyn(now: number): void {
    if (this.#syn.sent >= 7) return this.#fail('timeout')
    this.#sendSyn(now)
  }

  #onSynAck(now: number, header: PacketHeader): void {
    if (this.state !== 'SYN_SENT') return // a repeated one is not acknowledged
    this.state = 'ESTABLISHED'
    this.#syn.at = Infinity
    this.#receiveNext = seqAdd(header.seq, 1)
    this.#peerWindow = header.window * this.#slotBytes
    this.lastActive = now
    this.#nextCheck = now + TICK_MS
    this.#send(FLAG_ACK, 1, this.#receiveNext, this.freeSlots, NOTHING)
    this.#flush(now, false)
  }

  // ---- receiving

  #onAck(now: number, header: PacketHeader, payload: Uint8Array): void {
    if (this.state !== 'ESTABLISHED') return
    this.lastActive = now
    this.#peerWindow = header.window * this.#slotBytes
    if (header.ack !== 0) this.#takeAck(now, header.ack, payload.length === 0)
    const blocks = sackBlocks(payload)
    if (blocks !== undefined) {
      for (const segment of this.#unacked) {
        const end = segment.seq + segment.bytes.length // plain unsigned, not wrap-safe, as there
        if (blocks.some(([left, right]) => segment.seq >= left && end <= right)) segment.sacked = true
      }
    } else if (payload.length > 0) this.#onData(now, header.seq, payload)
    this.#flush(now, false)
  }

  #onData(now: number, seq: number, payload: Uint8Array): void {
    const ahead = seqDiff(seq, this.#receiveNext)
    if (ahead === 0 && this.#isToday && this.freeSlots <= 0) return this.#acknowledge() // dropped, and its sender notified
    if (ahead === 0) this.#deliver(payload)
    else if (ahead > 0 && !this.#early.has(seq) && this.#early.size < EARLY_SEGMENTS) this.#early.set(seq, payload)
    if (this.#early.size > 0) return this.#acknowledge()
    this.#ackCount += 1
    if (this.#ackCount >= 2) this.#acknowledge()
    else this.#ackAt = Math.min(this.#ackAt, now + (this.#isToday ? TODAY_DELAYED_ACK_MS : DELAYED_ACK_MS))
    if (this.#finAt === this.#receiveNext) this.#endInOrder(now, this.#finAt)
  }

  #deliver(payload: Uint8Array): void {
    for (let next: Uint8Array | undefined = payload; next !== undefined; next = this.#early.get(this.#receiveNext)) {
      if (this.#isToday && this.freeSlots <= 0) return // it stays among the early ones
      this.#early.delete(this.#receiveNext)
      this.#receiveNext = seqAdd(this.#receiveNext, next.length)
      if (this.reading) this.#take(next)
      else this.queue.push(next)
    }
  }

  #take(bytes: Uint8Array): void {
    this.received.push(bytes)
    this.onData?.(bytes)
  }

  #acknowledge(): void {
    this.#ackCount = 0
    this.#ackAt = Infinity
    this.#wasClosed = this.#isToday && this.freeSlots === 0
    this.#send(FLAG_ACK, this.#sendNext, this.#receiveNext, this.freeSlots, this.#sack())
  }

  #sack(): Uint8Array {
    if (this.#early.size === 0) return NOTHING
    const blocks: Array<[number, number]> = []
    for (const [seq, { length }] of [...this.#early].sort(([a], [b]) => a - b)) {
      const last = blocks.at(-1)
      if (last !== undefined && last[1] === seq) last[1] = seq + length
      else blocks.push([seq, seq + length])
    }
    const bytes = Buffer.alloc(5 + 8 * Math.min(blocks.length, 4))
    bytes.write('SACK')
    bytes[4] = Math.min(blocks.length, 4)
    for (const [i, [left, right]] of blocks.slice(0, 4).entries()) {
      bytes.writeUInt32BE(left >>> 0, 5 + 8 * i)
      bytes.writeUInt32BE(right >>> 0, 9 + 8 * i)
    }
    return bytes
  }

  // ---- sending

  #flush(now: number, all: boolean): void {
    while (this.state === 'ESTABLISHED' && this.#bufferedBytes > 0) {
      const flight = this.unackedBytes
      const isLimited = this.#peerWindow > 0 || this.#isToday // April: 0 means unlimited
      if (flight >= this.#cwnd || (isLimited && flight >= this.#peerWindow)) {
        this.#flushAt = Infinity // the next acknowledgement checks again
        if (this.#probe.at === Infinity && flight < this.#cwnd) this.#probe = { at: now + 500, pause: 500 }
        return
      }
      this.#probe.at = Infinity
      if (this.nagle && this.#bufferedBytes < this.#slotBytes && this.#unacked.length > 0 && !all) {
        this.#flushAt = Math.min(this.#flushAt, now + DELAYED_ACK_MS)
        return
      }
      this.#flushAt = Infinity
      this.#sendSegment(now, this.#cut())
    }
    this.#flushAt = Infinity
  }

  #cut(): Uint8Array {
    const all = this.#buffer.length === 1 ? this.#buffer[0]! : Buffer.concat(this.#buffer)
    const bytes = all.subarray(0, this.#slotBytes)
    this.#buffer = all.length > bytes.length ? [all.subarray(bytes.length)] : []
    this.#bufferedBytes -= bytes.length
    return bytes
  }

  #sendSegment(now: number, bytes: Uint8Array): void {
    const segment = { seq: this.#sendNext, bytes, sentAt: now, transmissions: 1, sacked: false }
    this.#unacked.push(segment)
    this.#sendNext = seqAdd(this.#sendNext, bytes.length)
    this.#transmit(segment)
    this.lastActive = now
    this.#ackCount = 0
    this.#ackAt = Infinity
  }

  #transmit(segment: Segment): void {
    this.#send(FLAG_ACK, segment.seq, this.#receiveNext, this.freeSlots, segment.bytes)
  }

  #takeAck(now: number, ack: number, pure: boolean): void {
    const acked = seqDiff(ack, this.#una)
    if (acked > 0) {
      this.#duplicates = 0
      const done = this.#unacked.filter(({ seq, bytes }) => seqDiff(seqAdd(seq, bytes.length), ack) <= 0)
      for (const { sentAt, transmissions, sacked } of done)
        if (transmissions === 1 && !sacked) this.#sample(now - sentAt)
      this.#unacked = this.#unacked.slice(done.length)
      for (const segment of this.#unacked) segment.sacked = false
      this.#una = ack
      this.#cwnd += this.#cwnd < this.#ssthresh ? acked : Math.max(1, (SLOT_BYTES * acked) / this.#cwnd)
      this.#cwnd = Math.min(this.#cwnd, MAX_CWND)
      if (this.#lossUntil >= 0 && seqDiff(ack, this.#lossUntil) >= 0) this.#lossUntil = -1
      return
    }
    if (acked !== 0 || !(pure || this.#isToday) || this.#unacked.length === 0) return // today: SACK counts too
    this.#duplicates += 1
    if (this.#duplicates > 3) this.#cwnd += SLOT_BYTES
    if (this.#duplicates !== 3) return
    this.#ssthresh = Math.max(this.#cwnd / 2, SLOT_BYTES)
    this.#cwnd = this.#ssthresh + 3 * SLOT_BYTES
    this.#retransmit(
      now,
      this.#unacked.find(({ sacked }) => !sacked),
    )
  }

  #checkRetransmission(now: number): void {
    const due = this.#unacked.find(({ sacked, sentAt }) => !sacked && now - sentAt > this.#rto)
    if (due === undefined) return
    if (due.transmissions >= MAX_TRANSMISSIONS) {
      this.#send(FLAG_RST, 0, 0, 0, NOTHING)
      return this.#fail('gave up')
    }
    if (this.#lossUntil < 0) {
      // only the first timeout of a loss event backs off
      this.#lossUntil = this.#sendNext
      this.#ssthresh = Math.max(this.#cwnd / 2, SLOT_BYTES)
      this.#cwnd = INITIAL_CWND
      this.#rto = Math.min(2 * this.#rto, 10_000)
    }
    this.#retransmit(now, due)
  }

  #retransmit(now: number, segment: Segment | undefined): void {
    if (segment === undefined) return
    segment.transmissions += 1
    segment.sentAt = now
    this.retransmissions += 1
    this.#transmit(segment)
  }

  #sample(rtt: number): void {
    this.#rttvar = this.#srtt < 0 ? rtt / 2 : this.#rttvar + (Math.abs(this.#srtt - rtt) - this.#rttvar) / 4
    this.#srtt = this.#srtt < 0 ? rtt : this.#srtt + (rtt - this.#srtt) / 8
    this.#rto = Math.min(Math.max(this.#srtt + Math.max(10, 4 * this.#rttvar), 200), 10_000)
  }

  // ---- ending

  #endInOrder(now: number, seq: number): void {
    this.#send(FLAG_FIN | FLAG_ACK, this.#sendNext, seqAdd(seq, 1), 0, NOTHING)
    this.#enterTimeWait(now)
  }

  /** In any state, at any sequence number, and answered each time: two of these never stop (Q1). */
  #onFin(now: number, header: PacketHeader): void {
    if (this.state === 'CLOSED') return
    if (this.#isToday) {
      if ((header.flags & FLAG_ACK) !== 0) return this.#enterTimeWait(now) // the answer to ours, never answered
      this.#finAt = header.seq
      if (seqDiff(header.seq, this.#receiveNext) > 0) return this.#acknowledge()
      return this.#endInOrder(now, header.seq)
    }
    this.#early.clear()
    this.#send(FLAG_FIN | FLAG_ACK, this.#sendNext, seqAdd(header.seq, 1), 0, NOTHING)
    this.#enterTimeWait(now)
  }

  #enterTimeWait(now: number): void {
    this.ended = true
    this.state = 'TIME_WAIT'
    this.timeWaitUntil = now + TIME_WAIT_MS
    this.#syn.at = Infinity
  }

  #fail(why: NonNullable<GoStream['failure']>): void {
    this.failure = why
    this.ended = true
    this.state = 'CLOSED'
    this.#syn.at = Infinity
  }
}

function sackBlocks(payload: Uint8Array): Array<[number, number]> | undefined {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
  const count = bytes[4] ?? 0
  if (
    bytes.length < 5 ||
    bytes.toString('latin1', 0, 4) !== 'SACK' ||
    count < 1 ||
    count > 4 ||
    bytes.length < 5 + 8 * count
  )
    return undefined
  return Array.from({ length: count }, (_, i) => [bytes.readUInt32BE(5 + 8 * i), bytes.readUInt32BE(9 + 8 * i)])
}

const NOTHING = new Uint8Array(0)
const TODAY_SLOT_BYTES = 1_152
const TODAY_DELAYED_ACK_MS = 5
const FIN_TRANSMISSIONS = 5
const SLOT_BYTES = 4_096
const QUEUE_SLOTS = 512
const EARLY_SEGMENTS = 128
const INITIAL_CWND = 40_960
const MAX_CWND = 1_048_576
const MAX_TRANSMISSIONS = 8
const DELAYED_ACK_MS = 40
const TICK_MS = 100
const KEEPALIVE_MS = 30_000
const IDLE_MS = 120_000
const TIME_WAIT_MS = 10_000
