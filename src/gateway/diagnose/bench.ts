/**
 * `bench`: measures the path to a peer with its echo service (services.md §1), which every node has: connection set-up,
 * round trip of a message, and throughput there and back. Bounded in bytes and time. Above: gateway.ts. Below:
 * runtime/overlay.ts.
 */
import { PilotError } from '../../base/errors.ts'
import type { Overlay, OverlayStream } from '../../runtime/overlay.ts'
import { ECHO_PORT } from '../../base/overlay-ports.ts'
import type { BenchOptions, BenchRecord } from '../model/records.ts'

export type BenchNode = Pick<Overlay, 'dial' | 'peers'>

/** @throws PilotError: what `dial` throws; PEER_RESET, TIMED_OUT; FAILED if the returned bytes differ. */
export async function benchPeer(node: BenchNode, peer: string, { bytes, forMs }: BenchOptions): Promise<BenchRecord> {
  const target = `${peer}:${ECHO_PORT}`
  const { stream, setUp } = await openAgainAndAgain(node, target)
  const echo = new Echo(stream, peer)
  try {
    const roundTrip = await roundTrips(echo, forMs * ROUND_TRIP_SHARE)
    const throughput = await thereAndBack(echo, bytes, forMs)
    const path = node.peers.find(({ nodeId }) => nodeId === stream.peer)?.path ?? null
    return { peer, nodeId: stream.peer, setUp, roundTrip, throughput, path }
  } finally {
    stream.destroy()
  }
}

/**
 * The first connection may include name resolution, path finding and the key exchange; the others show the usual cost.
 */
async function openAgainAndAgain(
  node: BenchNode,
  target: string,
): Promise<{ readonly stream: OverlayStream; readonly setUp: BenchRecord['setUp'] }> {
  const times: number[] = []
  for (;;) {
    const began = performance.now()
    const stream = await node.dial(target)
    stream.on('error', () => {}) // Echo notifies whatever waits for the stream
    times.push(performance.now() - began)
    if (times.length > SET_UPS)
      return {
        stream,
        setUp: { firstMs: rounded(times[0]!), medianMs: rounded(quantile(times.slice(1), 0.5)), count: SET_UPS },
      }
    stream.destroy()
  }
}

async function roundTrips(echo: Echo, forMs: number): Promise<BenchRecord['roundTrip']> {
  const times: number[] = []
  const until = performance.now() + forMs
  do {
    const began = performance.now()
    await echo.exchange(MESSAGE_BYTES, SILENCE_MS)
    times.push(performance.now() - began)
  } while (times.length < MAX_ROUND_TRIPS && performance.now() < until)
  return {
    bytes: MESSAGE_BYTES,
    medianMs: rounded(quantile(times, 0.5)),
    p99Ms: rounded(quantile(times, 0.99)),
    count: times.length,
  }
}

async function thereAndBack(echo: Echo, bytes: number, forMs: number): Promise<BenchRecord['throughput']> {
  const before = echo.returned
  const began = performance.now()
  const complete = await echo.transfer(bytes, began + forMs)
  const elapsedMs = performance.now() - began
  const returned = echo.returned - before
  return {
    bytes: returned,
    elapsedMs: rounded(elapsedMs),
    bitsPerSecond: Math.round((returned * 8_000) / elapsedMs),
    complete,
  }
}

/** The data is one endless pattern, so every returned byte can be checked by its position. */
class Echo {
  returned = 0
  readonly #stream: OverlayStream
  readonly #peer: string
  #sent = 0
  #failure: PilotError | undefined
  #onProgress = (): void => {}

  constructor(stream: OverlayStream, peer: string) {
    this.#stream = stream
    stream.handsOver = true // nothing modifies the pattern
    this.#peer = peer
    stream.on('data', (chunk: Buffer) => this.#onData(chunk))
    stream.on('error', (error) =>
      this.#fail(
        error instanceof PilotError
          ? error
          : new PilotError('PEER_RESET', `${peer} ended the echo: ${error.message}`, { peer }, error),
      ),
    )
    stream.on('close', () => this.#fail(new PilotError('PEER_RESET', `${peer} ended the echo`, { peer })))
    stream.on('end', () => this.#fail(new PilotError('PEER_RESET', `${peer} ended the echo`, { peer })))
  }

  /**
   * Sends this many bytes and waits for the last to come back. @throws PilotError TIMED_OUT if none comes for
   * `silenceMs`.
   */
  async exchange(bytes: number, silenceMs: number): Promise<void> {
    this.#write(bytes)
    while (this.returned < this.#sent) await this.#progress(silenceMs)
  }

  /** As many as the stream accepts, until all have come back or the time is up. @returns whether all have. */
  async transfer(bytes: number, until: number): Promise<boolean> {
    const last = this.#sent + bytes
    const fill = (): void => {
      while (this.#sent < last && this.#write(Math.min(PIECE_BYTES, last - this.#sent))) {
        /* until the stream is full */
      }
    }
    this.#stream.on('drain', fill)
    try {
      fill()
      while (this.returned < last) {
        const leftMs = until - performance.now()
        if (leftMs <= 0) return false
        await this.#progress(SILENCE_MS, leftMs)
      }
      return true
    } finally {
      this.#stream.off('drain', fill)
    }
  }

  #write(bytes: number): boolean {
    const from = this.#sent % PATTERN_PERIOD
    this.#sent += bytes
    return this.#stream.write(PATTERN.subarray(from, from + bytes))
  }

  #onData(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      const piece = chunk.subarray(at, at + PIECE_BYTES)
      const from = (this.returned + at) % PATTERN_PERIOD
      if (!piece.equals(PATTERN.subarray(from, from + piece.length)))
        return this.#fail(
          new PilotError('FAILED', `${this.#peer} returned different bytes, near byte ${this.returned + at}`, {
            peer: this.#peer,
          }),
        )
    }
    this.returned += chunk.length
    this.#onProgress()
  }

  #fail(failure: PilotError): void {
    this.#failure ??= failure
    this.#onProgress()
  }

  /** Waits until something has come back. A wait shorter than the allowed silence just ends. */
  async #progress(silenceMs: number, patienceMs = Number.POSITIVE_INFINITY): Promise<void> {
    const before = this.returned
    if (this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(silenceMs, patienceMs))
        this.#onProgress = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#onProgress = () => {}
    }
    if (this.#failure !== undefined) throw this.#failure
    if (this.returned === before && patienceMs >= silenceMs)
      throw new PilotError('TIMED_OUT', `nothing came back from ${this.#peer} for ${silenceMs / 1_000} s`, {
        peer: this.#peer,
      })
  }
}

function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!
}

function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000
}

/**
 * In addition to the first. A Go node accepts ten new connections a second from one peer, and drops further ones
 * silently.
 */
const SET_UPS = 5
const MESSAGE_BYTES = 1_024
const MAX_ROUND_TRIPS = 1_000
/** Of the time that the transfer may take. */
const ROUND_TRIP_SHARE = 0.25
/** A working path brings something back in this time, even after an outage. */
const SILENCE_MS = 15_000
/** Of one write. */
const PIECE_BYTES = 65_536
/** Prime, so that a lost or duplicated packet of any usual size is detected. */
const PATTERN_PERIOD = 65_521
/** Two periods and more: a piece may begin anywhere in the first. */
const PATTERN = pattern(2 * PIECE_BYTES)

function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0, state = 1; i < PATTERN_PERIOD; i++) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    bytes[i] = state >>> 16
  }
  for (let i = PATTERN_PERIOD; i < length; i++) bytes[i] = bytes[i - PATTERN_PERIOD]!
  return bytes
}
