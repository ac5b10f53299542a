import { test } from 'node:test'
import assert from 'node:assert/strict'
import { BoundedDestination, createLogger, MAX_BACKLOG_BYTES } from '../../../src/runtime/log.ts'
import type { LogSink } from '../../../src/runtime/log.ts'

/** A pipe whose reader can stall, and a file whose disk can be full. */
class Sink implements LogSink {
  readonly lines: string[] = []
  writableLength = 0
  stalled = false
  full = false
  #onDrain: (() => void)[] = []

  write(line: string): boolean {
    if (this.full) throw new Error('ENOSPC')
    this.lines.push(line)
    if (this.stalled) this.writableLength += line.length
    return !this.stalled
  }
  once(_event: 'drain', listener: () => void): void {
    this.#onDrain.push(listener)
  }
  resume(): void {
    this.stalled = false
    this.writableLength = 0
    for (const listener of this.#onDrain.splice(0)) listener()
  }
}

test('a stalled reader costs a bounded backlog; lost lines are counted once it continues', () => {
  const sink = new Sink()
  const log = createLogger('info', 'json', sink)
  sink.stalled = true
  for (let index = 0; index < 50_000; index++) log.warn({ index }, 'a client could not be connected')
  assert.ok(sink.writableLength <= MAX_BACKLOG_BYTES + 1_000, `${sink.writableLength}`)
  const kept = sink.lines.length
  sink.resume()
  const notice = JSON.parse(sink.lines.at(-1)!) as { dropped: number; level: number; msg: string }
  assert.deepEqual([notice.dropped, notice.level], [50_000 - kept, 40])
  assert.match(notice.msg, /dropped/)
  log.info({}, 'on it goes')
  assert.equal((JSON.parse(sink.lines.at(-1)!) as { msg: string }).msg, 'on it goes')
})

test('a full disk behind the log does not throw; lost lines are reported once there is space again', () => {
  const sink = new Sink()
  const log = new BoundedDestination(sink)
  sink.full = true
  for (let index = 0; index < 10; index++) log.write('lost\n')
  assert.equal(log.dropped, 10)
  sink.full = false
  log.write('kept\n')
  assert.deepEqual(
    sink.lines.map((line) => (line.startsWith('{') ? (JSON.parse(line) as { dropped: number }).dropped : line)),
    [10, 'kept\n'],
  )
})
