/** Two stream machines back to back in memory, in virtual time: no socket, no cipher, no checksum. */
import { NEWS_WRITABLE } from '../../src/proto/stream/stream-view.ts'
import { Stream } from '../../src/proto/stream/stream.ts'
import { FLAG_SYN, createPacketHeader } from '../../src/wire/packet.ts'
import type { PacketHeader } from '../../src/wire/packet.ts'

interface InFlight {
  readonly at: number
  readonly to: End
  readonly header: PacketHeader
  readonly payload: Uint8Array
}

interface End {
  readonly stream: Stream
  peer: End
}

/**
 * Carries `bytes` from one to the other; each packet takes 1 ms, and every `lossEvery`-th data packet is lost (0: none).
 * @returns How many packets the two have sent.
 * @throws Error if a byte does not arrive.
 */
export function carry(bytes: number, segmentBytes: number, lossEvery: number): number {
  const [a, b] = ends()
  const flying: InFlight[] = []
  const packet = new Uint8Array(65_536)
  const header = createPacketHeader()
  let [now, head, packets, data, left, read, isBlocked] = [0, 0, 0, 0, bytes, 0, false]
  const send = (end: End): void => {
    while (end.stream.hasOutput(now, segmentBytes) && end.stream.pollPacket(now, header, packet, 0, segmentBytes)) {
      packets += 1
      if (header.payloadLength === segmentBytes && lossEvery > 0 && ++data % lossEvery === 0) continue
      flying.push({
        at: now + DELAY_MS,
        to: end.peer,
        header: { ...header },
        payload: packet.slice(0, header.payloadLength),
      })
    }
  }
  const write = (): void => {
    if ((a.stream.takeNews() & NEWS_WRITABLE) !== 0) isBlocked = false
    while (left > 0 && !isBlocked) {
      const piece = Math.min(left, BLOCK.length)
      left -= piece
      isBlocked = !a.stream.write(BLOCK.subarray(0, piece))
    }
    send(a)
  }
  write()
  while (read < bytes) {
    const next = flying[head]
    const timer = Math.min(a.stream.nextTimeout(), b.stream.nextTimeout())
    if (next === undefined && timer === Infinity)
      throw new Error(`${read} of ${bytes} bytes arrived, and nothing is left to happen`)
    now = Math.max(now, Math.min(next?.at ?? Infinity, timer))
    if (now > MOST_MS) throw new Error(`${read} of ${bytes} bytes arrived within ${MOST_MS} ms`)
    for (; head < flying.length && flying[head]!.at <= now; head++) deliver(now, flying[head]!)
    for (const { stream } of [a, b]) if (stream.nextTimeout() <= now) stream.handleTimeout(now)
    for (let chunk = b.stream.read(); chunk !== undefined; chunk = b.stream.read()) read += chunk.length
    b.stream.onRead(now)
    send(b)
    write()
    if (head > 4_096) {
      flying.splice(0, head)
      head = 0
    }
  }
  return packets
}

function deliver(now: number, { to, header, payload }: InFlight): void {
  if (header.flags !== FLAG_SYN) return to.stream.handlePacket(now, header, payload)
  to.stream.handleSyn(now, header, payload)
  to.stream.accept()
}

function ends(): [End, End] {
  const a = { stream: new Stream('dial', { port: 50_000, network: 0 }, 2, 80, 1_000_000) } as End
  const b = { stream: new Stream('accept', { port: 80, network: 0 }, 1, 50_000, 2_000_000) } as End
  a.peer = b
  b.peer = a
  return [a, b]
}

const DELAY_MS = 1
const MOST_MS = 600_000
const BLOCK = new Uint8Array(65_536).fill(7)
