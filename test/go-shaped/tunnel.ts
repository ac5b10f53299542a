/** What a Go-shaped node keeps of one peer: keys, replay marks, and, in the shape `today`, its timers. */
import type { Endpoint, NodeId } from '../../src/base/types.ts'
import type { AeadKey } from '../../src/crypto/aead.ts'
import { x25519PublicKey } from '../../src/crypto/key-agreement.ts'
import { SEALED_HEADER_BYTES } from '../../src/wire/tunnel-frames.ts'

/** `repeat`: its PILA again, `request`: and a PILK, since it has no key; `drop`: its half of the session. */
export type TunnelDue = 'keepalive' | 'probe' | 'drop' | 'repeat' | 'request'

export class Tunnel {
  endpoint: Endpoint | undefined
  relay = false
  peerKey: Uint8Array | undefined // X25519
  key: AeadKey | undefined
  prefix = 0
  counter = 0
  max = 0
  readonly seen = new Uint8Array(256) // marks
  firstPath: 'direct' | 'relay' | undefined
  readonly queue: Uint8Array[] = [] // packets that wait for a key
  frames = 0 // sealed ones that opened
  sentAt = 0 // a sealed one
  derivedAt = -Infinity
  repeats = 0 // PILA still to be repeated
  #heardAt = -Infinity
  #repeatAt = Infinity
  #answeredAt = -Infinity
  #probes = 0 // unanswered
  #probeAt = Infinity
  #peerPrefix = -1

  /** §3.2, exactly. */
  checkReplay(counter: number): boolean {
    const { max, seen } = this
    if (max === 0 || counter > max) {
      const step = counter - max
      if (max !== 0 && step >= 256) seen.fill(0)
      else if (max !== 0) for (let i = 0; i < step; i++) seen[(counter - i) % 256] = 0
      this.max = counter
    } else if (max - counter >= 256 || seen[counter % 256] === 1) return false
    seen[counter % 256] = 1
    return true
  }

  /**
   * What a sealed frame holds, or why nothing. Today authenticates first, and one frame too far behind the newest ends a
   * session that is older than a minute.
   */
  openFrame(now: number, bytes: Buffer, isToday: boolean): Uint8Array | 'replayed' | 'bad_tag' | 'aged_dropped' {
    const counter = Number(bytes.readBigUInt64BE(12))
    if (isToday) this.onPrefix(bytes.readUInt32BE(8))
    const isFresh = this.checkReplay(counter)
    if (!isFresh && !isToday) return 'replayed'
    const packet = this.key!.open(
      bytes.subarray(8, SEALED_HEADER_BYTES),
      bytes.subarray(4, 8),
      bytes.subarray(SEALED_HEADER_BYTES),
    )
    if (packet === undefined) {
      this.seen[counter % 256] = 0 // and `max` stays where the forged frame moved it
      return 'bad_tag'
    }
    if (isFresh) return packet
    return now - this.derivedAt < AGED_MS ? 'replayed' : 'aged_dropped'
  }

  /** A window for each prefix of the peer: the model keeps the newest. */
  onPrefix(prefix: number): void {
    if (prefix === this.#peerPrefix) return
    this.#peerPrefix = prefix
    this.max = 0
    this.seen.fill(0)
  }

  onHeard(now: number): void {
    this.#heardAt = now
    this.repeats = this.#probes = 0
    this.#probeAt = now + SILENCE_MS
  }

  /** Its half of the session. */
  drop(now: number): void {
    this.key = undefined
    this.queue.length = 0
    this.startRepeats(now)
  }

  startRepeats(now: number): void {
    this.repeats = KEY_REPEATS
    this.#repeatAt = now + KEY_REPEAT_MS
  }

  /** A key that it knows is answered only while nothing sealed has come under it. */
  takeAnswer(now: number): boolean {
    if (this.#heardAt >= this.derivedAt || now - this.#answeredAt < 1_000) return false
    this.#answeredAt = now
    return true
  }

  takeDue(now: number): TunnelDue | undefined {
    if (this.repeats > 0 && now >= this.#repeatAt) {
      this.repeats -= 1
      this.#repeatAt = now + KEY_REPEAT_MS
      return this.key === undefined ? 'request' : 'repeat'
    }
    if (this.key === undefined) return undefined
    if (now - this.sentAt >= KEEPALIVE_MS) return 'keepalive'
    if (now < this.#probeAt) return undefined
    if (this.#probes >= PROBES) return 'drop'
    this.#probes += 1
    this.#probeAt = now + PROBE_MS
    return 'probe'
  }

  nextTimeout(): number {
    const repeatAt = this.repeats > 0 ? this.#repeatAt : Infinity
    return this.key === undefined ? repeatAt : Math.min(repeatAt, this.sentAt + KEEPALIVE_MS, this.#probeAt)
  }
}

export function encodeKeyRequest(node: NodeId, privateKey: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(40)
  frame.write('PILK')
  frame.writeUInt32BE(node, 4)
  frame.set(x25519PublicKey(privateKey), 8)
  return frame
}

/** As seen of 1.18: from this age on, a frame behind the window ends a session, ms. */
const AGED_MS = 60_000
/** As seen of 1.18: an empty control packet after this long without a frame to the peer, ms. */
const KEEPALIVE_MS = 30_000
/** And a probe of a peer that was silent for this long, and its repetitions, before its session is dropped. */
const SILENCE_MS = 55_000
const PROBE_MS = 10_000
const PROBES = 3
/** A key is sent again after this long, and how often. */
const KEY_REPEAT_MS = 4_000
const KEY_REPEATS = 5
