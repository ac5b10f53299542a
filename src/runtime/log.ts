/** Logs by pino, on stderr: JSON lines, or text for a terminal. The only file that imports it; all others receive a `Logger`. */
import { pino } from 'pino'
import type { Logger } from '../base/logger.ts'
import { logText } from './log-text.ts'

export type LogLevel = 'silent' | 'error' | 'warn' | 'info' | 'debug'

/** `colors` is for text only. */
export type LogFormat = 'json' | 'text' | 'colors'

export function createLogger(level: LogLevel, format: LogFormat = 'json', sink: LogSink = process.stderr): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    new BoundedDestination(format === 'json' ? sink : new TextSink(sink, format === 'colors')),
  )
}

class TextSink implements LogSink {
  readonly #sink: LogSink
  readonly #colors: boolean

  constructor(sink: LogSink, colors: boolean) {
    this.#sink = sink
    this.#colors = colors
  }

  get writableLength(): number {
    return this.#sink.writableLength
  }

  write(line: string): boolean {
    return this.#sink.write(logText(line, this.#colors, this.#sink.columns))
  }

  once(event: 'drain', listener: () => void): unknown {
    return this.#sink.once(event, listener)
  }
}

/** The part of a stream that a log needs. */
export interface LogSink {
  readonly writableLength: number // bytes that it holds because its reader is slow
  readonly columns?: number // of a terminal
  write(line: string): boolean
  once(event: 'drain', listener: () => void): unknown
}

/**
 * Never waits to write: a log reader that stalls (a hung shipper, a paused `less`, a full disk) must not stop traffic.
 * Beyond MAX_BACKLOG_BYTES, lines are dropped, and counted in a separate line once the reader continues. A pipe with
 * room is written at once, so the last line before an exit arrives.
 */
export class BoundedDestination {
  readonly #sink: LogSink
  #dropped = 0
  #waiting = false

  constructor(sink: LogSink) {
    this.#sink = sink
  }

  /** Lines lost since the last report. */
  get dropped(): number {
    return this.#dropped
  }

  write(line: string): void {
    if (this.#dropped > 0 && this.#sink.writableLength <= MAX_BACKLOG_BYTES / 2) this.#confess()
    if (this.#sink.writableLength > MAX_BACKLOG_BYTES) this.#drop()
    else if (!this.#put(line)) this.#dropped += 1
  }

  #drop(): void {
    this.#dropped += 1
    if (this.#waiting) return
    this.#waiting = true
    this.#sink.once('drain', () => {
      this.#waiting = false
      if (this.#dropped > 0) this.#confess()
    })
  }

  #confess(): void {
    const dropped = this.#dropped
    this.#dropped = 0
    const line = {
      level: WARN,
      time: new Date().toISOString(),
      dropped,
      msg: 'log lines were dropped: the reader is too slow',
    }
    if (!this.#put(`${JSON.stringify(line)}\n`)) this.#dropped = dropped
  }

  /** A file on a full disk throws immediately, as does a closed descriptor. */
  #put(line: string): boolean {
    try {
      this.#sink.write(line)
      return true
    } catch {
      return false
    }
  }
}

/** A few thousand lines: enough for a reader that pauses, negligible compared with a gateway's memory. */
export const MAX_BACKLOG_BYTES = 1 << 20
const WARN = 40 // pino's number

/** For tests and callers that need no log. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} }
