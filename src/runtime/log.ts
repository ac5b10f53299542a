/** Logs: JSON lines on stderr by pino. The only file that imports it; everybody else is handed a `Logger`. */
import { pino } from 'pino'
import type { Logger } from '../base/logger.ts'

export type LogLevel = 'silent' | 'error' | 'warn' | 'info' | 'debug'

export function createLogger(level: LogLevel): Logger {
  // Synchronous: the last line before an exit is the one that matters, and no line is written per packet.
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  )
}

/** For tests and for those who do not care. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} }
