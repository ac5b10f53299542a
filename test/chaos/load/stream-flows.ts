/** Long connections: streams that carry frames both ways continuously, and idle ones that are queried at the end. */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { isTrueEnd } from './ends.ts'
import { frame, FrameReader } from './frames.ts'
import { localPort } from './ports.ts'
import type { Flow } from './ports.ts'
import type { Faults, Progress, Tally } from './tally.ts'

/** One stream at a time; after a reset, the next one. */
export class StreamFlow {
  readonly #tally: Tally
  readonly #faults: Faults
  readonly #framesATick: number
  readonly #onReset: () => void
  readonly #progress: Progress
  #stream: Stream | undefined
  #isFinishing = false
  #onFinished: () => void = () => {}

  constructor(tally: Tally, faults: Faults, framesATick: number, onReset: () => void) {
    this.#tally = tally
    this.#faults = faults
    this.#framesATick = framesATick
    this.#onReset = onReset
    this.#progress = tally.flow()
    this.#open()
  }

  async finish(): Promise<void> {
    this.#isFinishing = true
    if (this.#stream === undefined) return
    const stream = this.#stream
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#faults.hang(`stream ${stream.number}: not ended ${FINISH_MS} ms after its last frame`)
        resolve()
      }, FINISH_MS)
      this.#onFinished = () => {
        clearTimeout(timer)
        resolve()
      }
      stream.finish()
    })
  }

  #open(): void {
    if (this.#isFinishing) return
    const beganAt = performance.now()
    this.#stream = new Stream(this.#framesATick, {
      moved: (sentAt) => {
        this.#progress.moved(sentAt)
        this.#tally.ok(performance.now() - sentAt)
      },
      closed: (wasReset, reader) => {
        if (reader.wrong !== undefined) this.#faults.add(reader.wrong, `client: ${reader.detail}`)
        if (wasReset && reader.frames > 0) this.#onReset()
        if (wasReset && reader.frames === 0) this.#tally.failed(performance.now() - beganAt)
        this.#stream = undefined
        this.#onFinished()
        setTimeout(() => this.#open(), REOPEN_MS)
      },
    })
  }
}

interface StreamEvents {
  readonly moved: (sentAt: number) => void
  readonly closed: (wasReset: boolean, reader: FrameReader) => void
}

class Stream {
  readonly number = ++streams
  readonly #socket = dial('streams')
  readonly #events: StreamEvents
  readonly #framesATick: number
  readonly #sentAt: number[] = [] // of frames not yet acknowledged
  readonly #reader: FrameReader
  readonly #timer: NodeJS.Timeout
  #sent = 0
  #acknowledged = 0
  #hasEnded = false

  constructor(framesATick: number, events: StreamEvents) {
    this.#framesATick = framesATick
    this.#events = events
    this.#reader = new FrameReader(1, (_, acknowledged) => this.#onAcknowledged(acknowledged))
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    this.#socket.on('data', (chunk: Buffer) => {
      this.#reader.push(chunk)
      if (this.#reader.wrong !== undefined) this.#socket.destroy()
    })
    this.#socket.once('end', () => {
      if (!isTrueEnd(this.#socket)) return void this.#socket.destroy()
      this.#hasEnded = true
      this.#reader.end()
      this.#socket.end()
    })
    this.#socket.once('close', () => {
      clearInterval(this.#timer)
      this.#events.closed(!this.#hasEnded, this.#reader)
    })
  }

  finish(): void {
    clearInterval(this.#timer)
    this.#socket.end(frame(this.number, 0, this.#sent++, this.#reader.frames, true))
  }

  #tick(): void {
    for (let count = 0; count < this.#framesATick && this.#sentAt.length < MAX_UNDER_WAY; count++) {
      this.#sentAt.push(performance.now())
      this.#socket.write(frame(this.number, 0, this.#sent++, this.#reader.frames))
    }
  }

  #onAcknowledged(acknowledged: number): void {
    if (acknowledged === this.#acknowledged) return
    const done = this.#sentAt.splice(0, acknowledged - this.#acknowledged)
    this.#acknowledged = acknowledged
    this.#events.moved(done.at(-1) ?? performance.now())
  }
}

/** Silent between its first byte and the query at the end. */
export class IdleFlow {
  readonly #tally: Tally
  readonly #faults: Faults
  readonly #onReset: () => void
  #socket: Socket | undefined
  #onAnswer: () => void = () => {}
  #isFinishing = false

  constructor(tally: Tally, faults: Faults, onReset: () => void) {
    this.#tally = tally
    this.#faults = faults
    this.#onReset = onReset
    this.#open()
  }

  async finish(): Promise<void> {
    const beganAt = performance.now()
    this.#isFinishing = true
    if (this.#socket === undefined) return
    const answered = await new Promise<boolean>((resolve) => {
      setTimeout(() => resolve(false), FINISH_MS)
      this.#onAnswer = () => resolve(true)
      this.#socket?.write('?')
    })
    if (answered) this.#tally.ok(performance.now() - beganAt)
    else this.#faults.hang(`idle connection: neither an answer nor a reset after ${FINISH_MS} ms`)
    this.#socket?.destroy()
  }

  #open(): void {
    if (this.#isFinishing) return
    const socket = (this.#socket = dial('idle'))
    let isUp = false
    socket.write('!')
    socket.on('data', () => {
      isUp = true
      this.#onAnswer()
    })
    socket.once('end', () => {
      if (isTrueEnd(socket)) this.#faults.add('ended early', 'client: an idle connection ended')
      socket.destroy()
    })
    socket.once('close', () => {
      if (isUp && !this.#isFinishing) this.#onReset()
      this.#socket = undefined
      this.#onAnswer()
      setTimeout(() => this.#open(), REOPEN_MS)
    })
  }
}

export function dial(flow: Flow | 'nowhere'): Socket {
  const socket = connect({ port: localPort(flow), host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  socket.on('error', () => {})
  return socket
}

let streams = 0
const TICK_MS = 100
const REOPEN_MS = 250
/** Frames not yet acknowledged: what a stalled stream has to catch up on afterwards. */
const MAX_UNDER_WAY = 256
const FINISH_MS = 20_000
