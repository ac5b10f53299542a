/**
 * What the load sends. A stream is a sequence of frames of one size: number, stream, direction, how many frames of the
 * other direction had arrived, and a pattern that differs from frame to frame. Every byte is compared, so a lost,
 * duplicated, moved or altered byte is found in the frame where it happens.
 */
export type Direction = 0 | 1 // 0: from the client

/** Why a stream is wrong; `ended early`: a clean end before the last frame. */
export type Wrong = 'lost' | 'doubled' | 'altered' | 'ended early'

export const FRAME_BYTES = 1_024
const HEADER_BYTES = 16
const NO_FLAG = 0
const LAST_FLAG = 1

export function frame(
  stream: number,
  direction: Direction,
  number: number,
  acknowledged: number,
  last = false,
): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_BYTES)
  bytes.writeUInt32BE(number, 0)
  bytes.writeUInt32BE(stream, 4)
  bytes[8] = direction
  bytes[9] = last ? LAST_FLAG : NO_FLAG
  bytes.writeUIntBE(acknowledged, 10, 6)
  const from = patternStart(stream, direction, number)
  PATTERN.copy(bytes, HEADER_BYTES, from, from + FRAME_BYTES - HEADER_BYTES)
  return bytes
}

/** Compares received with expected bytes. After the first mismatch it checks nothing more. */
export class FrameReader {
  readonly #direction: Direction
  readonly #onFrame: (stream: number, acknowledged: number, last: boolean) => void
  #rest: Buffer = Buffer.alloc(0)
  #stream: number | undefined
  #acknowledged = 0
  frames = 0
  isLast = false
  wrong: Wrong | undefined
  detail = ''

  constructor(direction: Direction, onFrame: (stream: number, acknowledged: number, last: boolean) => void) {
    this.#direction = direction
    this.#onFrame = onFrame
  }

  push(chunk: Buffer): void {
    if (this.wrong !== undefined) return
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    while (bytes.length >= FRAME_BYTES && this.wrong === undefined) {
      this.#take(bytes.subarray(0, FRAME_BYTES))
      bytes = bytes.subarray(FRAME_BYTES)
    }
    this.#rest = Buffer.from(bytes)
  }

  /** A clean end has arrived. */
  end(): void {
    if (this.wrong === undefined && (!this.isLast || this.#rest.length > 0))
      this.#fault('ended early', `after ${this.frames} frames and ${this.#rest.length} bytes`)
  }

  #take(bytes: Buffer): void {
    const [number, stream] = [bytes.readUInt32BE(0), bytes.readUInt32BE(4)]
    this.#stream ??= stream
    const from = patternStart(stream, this.#direction, number)
    const isWhole =
      bytes.compare(PATTERN, from, from + FRAME_BYTES - HEADER_BYTES, HEADER_BYTES) === 0 &&
      stream === this.#stream &&
      bytes[8] === this.#direction &&
      bytes[9]! <= LAST_FLAG
    if (!isWhole) return this.#fault('altered', `where frame ${this.frames} should be`)
    if (number !== this.frames)
      return this.#fault(number > this.frames ? 'lost' : 'doubled', `frame ${number} instead of ${this.frames}`)
    const acknowledged = bytes.readUIntBE(10, 6)
    if (acknowledged < this.#acknowledged) return this.#fault('altered', 'a count went backwards')
    this.#acknowledged = acknowledged
    this.frames += 1
    this.isLast = bytes[9] === LAST_FLAG
    this.#onFrame(stream, acknowledged, this.isLast)
  }

  #fault(wrong: Wrong, detail: string): void {
    this.wrong = wrong
    this.detail = `stream ${this.#stream ?? '?'}, direction ${this.#direction}: ${wrong}, ${detail}`
  }
}

/** A length-prefixed message: requests, answers, datagrams. The same seed gives the same bytes. */
export function message(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(MESSAGE_HEADER_BYTES + length)
  bytes.writeUInt32BE(length, 0)
  bytes.writeUInt32BE(seed, 4)
  for (let at = 0; at < length; at += PATTERN_STEP_BYTES)
    PATTERN.copy(
      bytes,
      MESSAGE_HEADER_BYTES + at,
      (seed + at) % PATTERN_STEP_BYTES,
      ((seed + at) % PATTERN_STEP_BYTES) + Math.min(PATTERN_STEP_BYTES, length - at),
    )
  return bytes
}

/** What is wrong with a complete message. Pass `seed` if it must be this one. */
export function wrongWith(bytes: Buffer, seed?: number): Wrong | undefined {
  if (bytes.length < MESSAGE_HEADER_BYTES) return 'ended early'
  const [length, own] = [bytes.readUInt32BE(0), bytes.readUInt32BE(4)]
  if (seed !== undefined && own !== seed) return 'altered'
  if (length <= MAX_MESSAGE_BYTES && bytes.length < MESSAGE_HEADER_BYTES + length) return 'ended early'
  return bytes.equals(message(own, Math.min(length, MAX_MESSAGE_BYTES))) ? undefined : 'altered'
}

function patternStart(stream: number, direction: Direction, number: number): number {
  return (stream * 131 + direction * 57 + number * 17) % PATTERN_STEP_BYTES
}

export const MESSAGE_HEADER_BYTES = 8
export const MAX_MESSAGE_BYTES = 65_536
/** A prime, so that a shift by a block, segment or page size gives a different pattern. */
const PATTERN_STEP_BYTES = 4_093
const PATTERN = Buffer.alloc(2 * PATTERN_STEP_BYTES)
for (let at = 0, state = 0x1234_5678; at < PATTERN.length; at++) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  PATTERN[at] = state >>> 24
}
