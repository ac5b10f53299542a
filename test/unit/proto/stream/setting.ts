/** A stream in a named state, and the packets to and from it. The peer's numbers count from its ISN, ours from `ISN`. */
import { seqAdd } from '../../../../src/base/sequence.ts'
import { Stream } from '../../../../src/proto/stream/stream.ts'
import type { PacketHeader } from '../../../../src/wire/packet.ts'
import { FLAG_ACK, FLAG_SYN, createPacketHeader } from '../../../../src/wire/packet.ts'
import { encodeSynOptions } from '../../../../src/wire/syn-options.ts'

export const ISN = 1_000_000
const PEER_ISN = 0 // always as in the reference
const PATH_PAYLOAD = 1_152

export interface Sent {
  readonly header: PacketHeader
  readonly payload: Uint8Array
}

/** One stream without node, tunnel or network: only what the test feeds it happens. */
export class StreamSetting {
  readonly stream: Stream
  now = 1_000
  pathPayload = PATH_PAYLOAD
  peerIsn = PEER_ISN

  constructor(role: 'dial' | 'accept' = 'dial') {
    this.stream = new Stream(
      role,
      { port: role === 'dial' ? 50_000 : 80, network: 0 },
      2,
      role === 'dial' ? 80 : 50_000,
      ISN,
    )
  }

  /** Our sequence number of the byte at this offset, as the peer acknowledges it. */
  own(offset: number): number {
    return seqAdd(ISN, 1 + offset)
  }
  /** The peer's sequence number of its byte at this offset. */
  peer(offset: number): number {
    return seqAdd(this.peerIsn, 1 + offset)
  }

  /** A packet arrives, and nothing else. */
  give(fields: Partial<PacketHeader>, payload: Uint8Array = new Uint8Array(0)): void {
    const header = {
      ...createPacketHeader(),
      window: 512,
      ack: this.own(0),
      seq: this.peer(0),
      flags: FLAG_ACK,
      ...fields,
    }
    header.payloadLength = payload.length
    this.stream.handlePacket(this.now, header, payload.slice())
  }

  feed(fields: Partial<PacketHeader>, payload: Uint8Array = new Uint8Array(0)): Sent[] {
    this.give(fields, payload)
    return this.drain()
  }

  /** Everything it wants to send now. */
  drain(): Sent[] {
    const sent: Sent[] = []
    while (this.stream.hasOutput(this.now, this.pathPayload)) {
      const one = this.poll()
      if (one === undefined) break
      sent.push(one)
      if (sent.length > 10_000) throw new Error('a storm: ten thousand packets at one instant')
    }
    return sent
  }

  /** Its turn in the node's queue, whether or not it has anything to send. */
  poll(): Sent | undefined {
    const header = createPacketHeader()
    if (!this.stream.pollPacket(this.now, header, packet, 0, this.pathPayload)) return undefined
    return { header, payload: packet.slice(0, header.payloadLength) }
  }

  /** Advances time by this much, serving every deadline in between. */
  pass(ms: number): Sent[] {
    const until = this.now + ms
    const sent: Sent[] = []
    for (let at = this.stream.nextTimeout(); at <= until; at = this.stream.nextTimeout()) {
      this.now = Math.max(this.now, at)
      this.stream.handleTimeout(this.now)
      sent.push(...this.drain())
      if (this.stream.nextTimeout() <= this.now) throw new Error(`still due at ${this.now} after it was served`)
    }
    this.now = until
    return sent
  }
}

/** Dialled and answered by a peer without options: the reference daemon. */
export function plainStream(window = 512, peerIsn = PEER_ISN): StreamSetting {
  const setting = new StreamSetting()
  setting.peerIsn = peerIsn
  setting.drain()
  setting.feed({ flags: FLAG_SYN | FLAG_ACK, seq: peerIsn, ack: setting.own(0), window })
  setting.stream.takeNews()
  return setting
}

/** Dialled and answered by a pilotgate. `shift` is the unit of the peer's windows. */
export function extendedStream(shift = 8): StreamSetting {
  const setting = new StreamSetting()
  setting.drain()
  const options = encodeSynOptions({ halfClose: true, windowShift: shift, maxSegment: 61_440, unchecked: false })
  setting.feed({ flags: FLAG_SYN | FLAG_ACK, seq: PEER_ISN, ack: setting.own(0), window: 64 }, options)
  setting.stream.takeNews()
  return setting
}

export function pattern(length: number, from = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (from + i) * 7 + 3)
}

export function dataOf(sent: readonly Sent[]): Sent[] {
  return sent.filter(({ payload }) => payload.length > 0)
}

const packet = new Uint8Array(65_536)
