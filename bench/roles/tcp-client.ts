/**
 * The measuring end, on plain sockets: every operation counts its bytes exactly and fails if one is missing or extra.
 * Reads go into one reused buffer (`onread`), so that this process is not what is measured.
 */
import { connect } from 'node:net'
import type { Socket, SocketConnectOpts } from 'node:net'
import { COUNT_BYTES, HELLO, HIGH_WATER_BYTES, HTTP_REQUEST, HTTP_RESPONSE, countBytes, header } from './protocol.ts'
import { BLOCK, pump } from './pump.ts'

export interface Target {
  readonly host: string
  readonly port: number
}

export interface Rate {
  readonly count: number
  readonly ms: number
}

/** One way of 64 KB messages. `echo`: there and back through an echo service that knows no header (a Go node's). */
export type Direction = 'down' | 'up' | 'both' | 'echo'

/** @returns ms from the first SYN to the first byte of the service, one connection after the other. */
export async function setUps(target: Target, count: number, plainEcho: boolean): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const began = performance.now()
    const wire = new Wire(target)
    wire.socket.write(plainEcho ? ONE : header('x', 1))
    await wire.bytes(1)
    times.push(performance.now() - began)
    if (plainEcho) wire.socket.destroy()
    await wire.ended()
  }
  return times
}

/** @returns ms of each round trip. */
export async function roundTrips(target: Target, count: number, bytes: number, plainEcho: boolean): Promise<number[]> {
  const wire = new Wire(target)
  if (!plainEcho) wire.socket.write(header('e', 0))
  const times: number[] = []
  const message = Buffer.alloc(bytes, 'm')
  for (let i = -WARM_UP; i < count; i++) {
    const began = performance.now()
    wire.socket.write(message)
    await wire.bytes(bytes)
    if (i >= 0) times.push(performance.now() - began)
  }
  if (plainEcho) wire.socket.destroy() // a Go node would not end its direction after ours
  else wire.socket.end()
  await wire.ended()
  return times
}

/**
 * @returns ms from the order to the last of `bytes` bytes, of all streams together; both directions: each way so many.
 *   The streams are open before that.
 */
export async function transfer(target: Target, direction: Direction, streams: number, bytes: number): Promise<number> {
  const wires = Array.from({ length: streams }, () => new Wire(target))
  await Promise.all(
    wires.map(async (wire) => {
      wire.socket.write(HELLO)
      await wire.bytes(1)
    }),
  )
  const each = Math.ceil(bytes / streams)
  const began = performance.now()
  await Promise.all(
    wires.map(async (wire) => {
      if (direction !== 'echo') wire.socket.write(header(({ down: 'd', up: 'u', both: 'b' } as const)[direction], each))
      if (direction !== 'down') pump(wire.socket, each, () => {})
      await wire.bytes(direction === 'up' ? COUNT_BYTES : each)
    }),
  )
  const ms = performance.now() - began
  for (const wire of wires) {
    if (direction === 'echo') wire.socket.destroy()
    await wire.ended()
  }
  return ms
}

/** @returns ms of each request for `bytes` bytes on one warm connection. */
export async function requests(target: Target, count: number, bytes: number): Promise<number[]> {
  const wire = new Wire(target)
  wire.socket.write(header('r', 0))
  const times: number[] = []
  for (let i = -1; i < count; i++) {
    const began = performance.now()
    wire.socket.write(countBytes(bytes))
    await wire.bytes(bytes)
    if (i >= 0) times.push(performance.now() - began)
  }
  wire.socket.end()
  await wire.ended()
  return times
}

/** New connections: each is opened, receives one byte, and ends. */
export async function connections(target: Target, forMs: number, concurrency: number): Promise<Rate> {
  return await repeat(forMs, concurrency, async () => {
    const wire = new Wire(target)
    wire.socket.write(header('x', 1))
    await wire.bytes(1)
    await wire.ended()
  })
}

export async function httpRequests(target: Target, forMs: number, concurrency: number): Promise<Rate> {
  const wires = Array.from({ length: concurrency }, () => new Wire(target))
  let next = 0
  const rate = await repeat(forMs, concurrency, () => {
    const wire = wires[next++ % concurrency]!
    return async () => {
      wire.socket.write(HTTP_REQUEST)
      await wire.bytes(HTTP_RESPONSE.length)
    }
  })
  for (const wire of wires) {
    wire.socket.end()
    await wire.ended()
  }
  return rate
}

/** Connections that have worked once and then stay idle; the returned function ends them. */
export async function hold(target: Target, count: number): Promise<() => Promise<void>> {
  const wires: Wire[] = []
  const open = async (): Promise<void> => {
    const wire = new Wire(target)
    wires.push(wire)
    wire.socket.write(Buffer.concat([header('e', 0), ONE]))
    await wire.bytes(1)
  }
  await atATime(HOLD_CONCURRENCY, count, open)
  return async () => {
    for (const wire of wires) wire.socket.end()
    await Promise.all(wires.map((wire) => wire.ended()))
  }
}

/** Runs `work` repeatedly, this many at a time. The factory is called once per slot. */
export async function repeat(
  forMs: number,
  concurrency: number,
  work: () => Promise<void> | (() => Promise<void>),
): Promise<Rate> {
  let count = 0
  const began = performance.now()
  const until = began + forMs
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      const first = work()
      const again = typeof first === 'function' ? first : (work as () => Promise<void>)
      await (typeof first === 'function' ? first() : first)
      count += 1
      while (performance.now() < until) {
        await again()
        count += 1
      }
    }),
  )
  return { count, ms: performance.now() - began }
}

export async function atATime(concurrency: number, count: number, work: () => Promise<void>): Promise<void> {
  let begun = 0
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (begun++ < count) await work()
    }),
  )
}

/** A connection whose bytes are only counted. */
class Wire {
  readonly socket: Socket
  #owed = 0 // bytes that were waited for, minus those that came
  #resolve: (() => void) | undefined
  #reject: ((error: Error) => void) | undefined
  #failure: Error | undefined
  #isOver = false
  #onOver: (() => void) | undefined

  constructor(target: Target) {
    const onread = { buffer: READ_BUFFER, callback: (bytes: number) => this.#onBytes(bytes) }
    this.socket = connect({
      ...target,
      noDelay: true,
      onread,
      writableHighWaterMark: HIGH_WATER_BYTES,
    } as SocketConnectOpts)
    this.socket.on('error', (error) => this.#fail(error))
    this.socket.on('end', () => {
      if (this.#owed > 0) this.#fail(new Error(`${target.host}:${target.port} ended with ${this.#owed} bytes missing`))
    })
    this.socket.on('close', () => {
      this.#isOver = true
      this.#fail(new Error(`${target.host}:${target.port} closed with ${this.#owed} bytes missing`))
      this.#onOver?.()
    })
  }

  /** Resolves with the last of this many bytes, which may already have arrived. */
  async bytes(count: number): Promise<void> {
    this.#owed += count
    if (this.#owed <= 0) return
    if (this.#failure !== undefined) throw this.#failure
    await new Promise<void>((resolve, reject) => {
      ;[this.#resolve, this.#reject] = [resolve, reject]
    })
  }

  /** Waits for the end, and checks that nothing extra was sent. */
  async ended(): Promise<void> {
    if (!this.#isOver)
      await new Promise<void>((resolve) => {
        this.#onOver = resolve
      })
    if (this.#owed !== 0) throw new Error(`${-this.#owed} bytes too many`)
  }

  #onBytes(bytes: number): boolean {
    this.#owed -= bytes
    if (this.#owed <= 0) this.#settle()
    return true
  }

  #settle(): void {
    const resolve = this.#resolve
    this.#resolve = this.#reject = undefined
    resolve?.()
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#reject?.(this.#failure)
    this.#resolve = this.#reject = undefined
  }
}

/** Shared by all: received data is never inspected. */
const READ_BUFFER = Buffer.alloc(262_144)
const ONE = BLOCK.subarray(0, 1)
const WARM_UP = 20
const HOLD_CONCURRENCY = 32
