/**
 * Random packets, legal and not, into a randomly used stream. It never throws, never acknowledges data that
 * did not arrive, and never stays due; and between two honest ends on a lying network the received data is a prefix of
 * the sent data.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seqAdd } from '../../src/base/sequence.ts'
import { Stream } from '../../src/proto/stream/stream.ts'
import type { PacketHeader } from '../../src/wire/packet.ts'
import { FLAG_ACK, FLAG_FIN, FLAG_RST, FLAG_SYN, createPacketHeader } from '../../src/wire/packet.ts'
import { encodeSack } from '../../src/wire/sack.ts'
import { encodeSynOptions } from '../../src/wire/syn-options.ts'
import { Random } from '../sim/simulator/random.ts'

const ISN = 70_000
const ROUNDS = 2_000

interface Packet {
  readonly header: PacketHeader
  readonly payload: Uint8Array
}

/** One stream, its clock, and the packets it sent; every call checks what must hold after every call. */
class Subject {
  readonly stream: Stream
  readonly sent: Packet[] = []
  now = 1_000

  constructor(role: 'dial' | 'accept') {
    this.stream = new Stream(role, { port: 5, network: 0 }, 2, 6, ISN)
  }

  turn(act: () => void, mtu: number): void {
    act()
    const header = createPacketHeader()
    let count = 0
    while (this.stream.hasOutput(this.now, mtu) && this.stream.pollPacket(this.now, header, packet, 0, mtu)) {
      this.sent.push({ header: { ...header }, payload: packet.slice(0, header.payloadLength) })
      assert.ok(++count < 5_000, 'a storm at one instant')
    }
    const { sender, receiver, phase } = this.stream
    assert.ok(sender.una <= sender.nxt, `una ${sender.una} > nxt ${sender.nxt}`)
    assert.ok(
      sender.board.flightBytes >= 0 &&
        sender.board.lostCount >= 0 &&
        sender.board.sackedCount >= 0 &&
        sender.board.retransmittedCount >= 0,
    )
    assert.ok(receiver.queuedBytes >= 0)
    if (phase === 'closed') assert.notEqual(this.stream.end, undefined)
  }

  /** Advances time to about the next deadline. */
  wait(random: Random, mtu: number): void {
    const next = this.stream.nextTimeout()
    this.now = Number.isFinite(next) && random.chance(0.7) ? Math.max(this.now, next) : this.now + random.next() * 2_000
    for (let i = 0; this.stream.nextTimeout() <= this.now; i++) {
      assert.ok(i < 50, `still due at ${this.now}, phase ${this.stream.phase}`)
      this.turn(() => this.stream.handleTimeout(this.now), mtu)
    }
  }
}

function randomNumber(random: Random, near: number): number {
  const kind = random.below(6)
  if (kind === 0) return random.u32()
  if (kind === 1) return seqAdd(near, -random.below(5_000))
  if (kind === 2) return seqAdd(near, random.below(300_000))
  return kind === 3 ? 0 : near
}

function randomPayload(random: Random, near: number): Uint8Array {
  const kind = random.below(8)
  if (kind < 3) return new Uint8Array(0)
  if (kind === 3)
    return encodeSynOptions({
      halfClose: random.chance(0.5),
      windowShift: random.below(15),
      maxSegment: 1 + random.below(65_535),
      unchecked: random.chance(0.5),
    })
  if (kind < 6) {
    const out = new Uint8Array(64)
    const blocks = Array.from({ length: 8 }, () => randomNumber(random, near))
    return out.slice(0, encodeSack(out, 0, blocks, 1 + random.below(4)))
  }
  return random.bytes(random.below(5_000))
}

function randomPacket(random: Random, subject: Subject): Packet {
  const { sender, receiver } = subject.stream
  const near = seqAdd(ISN, 1 + (random.chance(0.5) ? sender.una : sender.nxt))
  const payload = randomPayload(random, near)
  const flags = random.chance(0.7)
    ? FLAG_ACK | (random.chance(0.02) ? FLAG_FIN : 0)
    : random.below(16) & ~(random.chance(0.9) ? FLAG_RST : 0)
  const header = {
    ...createPacketHeader(),
    flags,
    seq: randomNumber(random, seqAdd(1, receiver.next)),
    ack: randomNumber(random, near),
    window: random.chance(0.2) ? 0 : random.below(65_536),
  }
  header.payloadLength = payload.length
  return { header, payload }
}

function randomUse(random: Random, { stream, now }: Subject): void {
  const what = random.below(40)
  if (what < 20) stream.write(random.bytes(random.below(random.chance(0.01) ? 400_000 : 3_000)))
  else if (what < 30) for (let i = random.below(10); i > 0 && stream.read() !== undefined; i--) stream.onRead(now)
  else if (what === 30) stream.shutdown(now)
  else if (what === 31) stream.close(now)
  else if (what === 32 && random.chance(0.1)) stream.reset(now)
  else if (what === 33) stream.onPathChange(now, random.chance(0.5) ? now : Infinity)
  else if (what === 34) stream.accept()
}

for (let seed = 1; seed <= 40; seed++) {
  test(`nothing a peer can send throws or breaks an invariant (seed ${seed})`, () => {
    const random = new Random(seed)
    const subject = new Subject(seed % 2 === 0 ? 'dial' : 'accept')
    const { stream } = subject
    const options =
      seed % 3 === 0
        ? new Uint8Array(0)
        : encodeSynOptions({
            halfClose: true,
            windowShift: random.below(15),
            maxSegment: 1 + random.below(65_535),
            unchecked: false,
          })
    const first = { ...createPacketHeader(), seq: 0, window: 512, payloadLength: options.length }
    if (stream.dialled) {
      subject.turn(() => {}, 1_152)
      subject.turn(
        () => stream.handlePacket(subject.now, { ...first, flags: FLAG_SYN | FLAG_ACK, ack: ISN + 1 }, options),
        1_152,
      )
    } else
      subject.turn(() => {
        stream.handleSyn(0, { ...first, flags: FLAG_SYN }, options)
        stream.accept()
      }, 1_152)
    for (let round = 0; round < ROUNDS && stream.phase !== 'closed'; round++) {
      const mtu = random.chance(0.02) ? 1 + random.below(60_000) : 1_152
      const what = random.below(3)
      if (what === 0) subject.wait(random, mtu)
      else if (what === 1) subject.turn(() => randomUse(random, subject), mtu)
      else {
        const { header, payload } = randomPacket(random, subject)
        const sackFree = stream.receiver.next
        subject.turn(() => stream.handlePacket(subject.now, header, payload), mtu)
        assert.ok(stream.receiver.next - sackFree <= 1_500_000)
      }
      stream.takeNews()
    }
  })
}

/**
 * Two honest ends; between them packets are lost, duplicated, reordered by minutes, and injected from an older
 * incarnation of the stream.
 */
for (let seed = 1; seed <= 30; seed++) {
  test(`received data is a prefix of the sent data, and no acknowledgement runs ahead of it (seed ${seed})`, () => {
    const random = new Random(seed)
    const ends = [new Subject('dial'), new Subject('accept')]
    const [alice, bob] = ends as [Subject, Subject]
    const wire: Array<{ readonly to: Subject; readonly packet: Packet }> = []
    const written = new Map([
      [alice, new Transcript()],
      [bob, new Transcript()],
    ])
    const collect = (): void => {
      for (const [from, to] of [
        [alice, bob],
        [bob, alice],
      ] as const) {
        for (const packet of from.sent.splice(0)) {
          if (!random.chance(0.1)) wire.push({ to, packet })
          if (random.chance(0.1)) wire.push({ to, packet })
        }
      }
    }
    for (let round = 0; round < 4_000; round++) {
      const subject = ends[random.below(2)]!
      const other = subject === alice ? bob : alice
      const mtu = random.chance(0.05) ? 200 + random.below(8_000) : 1_152
      const what = random.below(10)
      if (what < 6 && wire.length > 0)
        deliver(wire.splice(random.chance(0.8) ? 0 : random.below(wire.length), 1)[0]!, mtu)
      else if (what < 7) {
        const bytes = random.bytes(random.below(4_000))
        if (subject.stream.end === undefined) written.get(subject)!.append(bytes)
        subject.turn(() => {
          subject.stream.write(bytes)
        }, mtu)
      } else if (what < 9) {
        for (let chunk = subject.stream.read(); chunk !== undefined; chunk = subject.stream.read())
          written.get(other)!.check(chunk)
        subject.turn(() => subject.stream.onRead(subject.now), mtu)
      } else {
        bob.now = alice.now = Math.max(alice.now, bob.now)
        subject.wait(random, mtu)
      }
      collect()
      if (other.stream.end === undefined)
        assert.ok(other.stream.sender.una <= subject.stream.receiver.next, 'acknowledged before it arrived')
    }
    assert.ok(written.get(alice)!.checked > 5_000 || alice.stream.end !== undefined, 'something did arrive')
  })
}

/** What was written, and how much of it has been verified on the other side. */
class Transcript {
  checked = 0
  #bytes = Buffer.alloc(1 << 16)
  #length = 0

  append(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length)
      this.#bytes = Buffer.concat([this.#bytes], 2 * (this.#length + bytes.length))
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  check(chunk: Uint8Array): void {
    assert.ok(this.checked + chunk.length <= this.#length, 'more arrived than was sent')
    assert.ok(
      this.#bytes.subarray(this.checked, this.checked + chunk.length).equals(chunk),
      `other bytes than were sent, at ${this.checked}`,
    )
    this.checked += chunk.length
  }
}

function deliver({ to, packet }: { readonly to: Subject; readonly packet: Packet }, mtu: number): void {
  to.turn(() => {
    const { stream } = to
    const opening = (packet.header.flags & FLAG_SYN) !== 0 && (packet.header.flags & FLAG_ACK) === 0
    if (opening && !stream.dialled && stream.phase === 'syn-received' && !started.has(stream)) {
      started.add(stream)
      stream.handleSyn(0, packet.header, packet.payload.slice())
      stream.accept()
    } else if (started.has(stream) || stream.dialled) stream.handlePacket(to.now, packet.header, packet.payload.slice())
  }, mtu)
}

const packet = new Uint8Array(65_536)
const started = new WeakSet<Stream>()
