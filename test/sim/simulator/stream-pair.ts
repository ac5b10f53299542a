/** Two stream machines and the link between them, nothing else: real packets as bytes, no tunnel. */
import { crc32 } from '../../../src/wire/crc32.ts'
import { PACKET_HEADER_BYTES, createPacketHeader, decodePacket, encodePacket } from '../../../src/wire/packet.ts'
import { NEWS_ENDED, NEWS_OPEN } from '../../../src/proto/stream/stream-view.ts'
import { Stream } from '../../../src/proto/stream/stream.ts'
import { Link } from './link.ts'
import type { LinkOptions } from './link.ts'
import { Random } from './random.ts'
import { World } from './world.ts'

export class Endpoint {
  readonly stream: Stream
  readonly received: Uint8Array[] = []
  receivedBytes = 0
  opened = false
  reading = true
  ended = false // the peer's direction
  over = false // the stream is over, see stream.end
  packetsOut = 0
  link!: Link
  readonly #pair: StreamPair
  #timer = Infinity
  #toWrite: Uint8Array[] = []
  #endAfterWrites = false

  constructor(pair: StreamPair, stream: Stream) {
    this.#pair = pair
    this.stream = stream
  }

  /** Writes as the stream's window allows, honouring backpressure. */
  write(bytes: Uint8Array, chunk = 65_536): void {
    for (let at = 0; at < bytes.length; at += chunk) this.#toWrite.push(bytes.slice(at, at + chunk))
    this.turn(() => {})
  }

  shutdown(): void {
    this.#endAfterWrites = true
    this.turn(() => {})
  }

  data(): Uint8Array {
    return Buffer.concat(this.received)
  }

  turn(act: (now: number) => void): void {
    const now = this.#pair.world.nowMs
    act(now)
    this.#serve(now)
    const header = createPacketHeader()
    while (this.stream.hasOutput(now, this.#pair.maxPayload)) {
      if (!this.stream.pollPacket(now, header, packet, PACKET_HEADER_BYTES, this.#pair.maxPayload)) break
      header.protocol = 1
      header.srcNode = 1
      header.dstNode = 2
      const length = encodePacket(packet, 0, header, crc32)
      this.packetsOut += 1
      this.#pair.onPacket?.(this, packet.slice(0, length))
      this.link.send(packet.subarray(0, length))
    }
    const at = this.stream.nextTimeout()
    if (at !== Infinity && at !== this.#timer) {
      this.#timer = at
      this.#pair.world.at(at, () => {
        if (this.#timer === at) this.#timer = Infinity
        this.turn((then) => this.stream.handleTimeout(then))
      })
    }
  }

  receive(datagram: Uint8Array): void {
    const header = createPacketHeader()
    const fault = decodePacket(datagram, header, crc32)
    if (fault !== undefined) throw new Error(fault)
    const payload = datagram.subarray(PACKET_HEADER_BYTES, PACKET_HEADER_BYTES + header.payloadLength)
    this.turn((now) => {
      if (header.flags === 1 && !this.stream.dialled && this.stream.phase === 'syn-received' && !this.opened) {
        this.stream.handleSyn(now, header, payload)
        this.stream.accept()
      } else this.stream.handlePacket(now, header, payload)
    })
  }

  #serve(now: number): void {
    const news = this.stream.takeNews()
    if ((news & NEWS_OPEN) !== 0) this.opened = true
    if (this.reading) {
      for (let chunk = this.stream.read(); chunk !== undefined; chunk = this.stream.read()) {
        this.received.push(chunk)
        this.receivedBytes += chunk.length
      }
      this.stream.onRead(now)
      this.ended = this.stream.readEnded
    }
    if ((news & NEWS_ENDED) !== 0) this.over = true
    while (this.#toWrite.length > 0 && this.stream.sender.writableBytes > 0) this.stream.write(this.#toWrite.shift()!)
    if (this.#toWrite.length === 0 && this.#endAfterWrites) {
      this.#endAfterWrites = false
      this.stream.shutdown(now)
    }
  }
}

export class StreamPair {
  readonly world = new World()
  readonly random: Random
  readonly alice: Endpoint
  readonly bob: Endpoint
  maxPayload: number
  onPacket: ((from: Endpoint, packet: Uint8Array) => void) | undefined

  constructor(seed: number, link: LinkOptions, maxPayload = 1_152) {
    this.random = new Random(seed)
    this.maxPayload = maxPayload
    const isn = (): number => 65_536 + this.random.below(2 ** 31 - 65_536)
    this.alice = new Endpoint(this, new Stream('dial', { port: 50_000, network: 0 }, 2, 80, isn()))
    this.bob = new Endpoint(this, new Stream('accept', { port: 80, network: 0 }, 1, 50_000, isn()))
    this.alice.link = new Link(this.world, this.random, link, (datagram) => this.bob.receive(datagram))
    this.bob.link = new Link(this.world, this.random, link, (datagram) => this.alice.receive(datagram))
  }

  open(): void {
    this.alice.turn(() => {})
  }
}

const packet = new Uint8Array(65_536)
