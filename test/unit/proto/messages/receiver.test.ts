/** The receiving machine, byte by byte: what it keeps, what it answers, and what ends the connection. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { concatBytes, utf8 } from '../../../../src/base/bytes.ts'
import { encodeDataFrame, encodeDataHead, encodeTag } from '../../../../src/wire/data-frame.ts'
import { decodeFileStep, encodeFileStep, type FileStep, type FileStepBody } from '../../../../src/wire/file-step.ts'
import { MemoryConnection, MemoryInbox } from './memory-inbox.ts'

function exchange(inbox: MemoryInbox, ...frames: readonly Uint8Array[]): MemoryConnection {
  const connection = new MemoryConnection(inbox)
  for (const frame of frames) connection.push(frame)
  return connection
}

function tagged(id: string, type: 'TEXT' | 'STREAM', content: Uint8Array): Uint8Array {
  return encodeDataFrame('TAGGED', concatBytes(encodeTag({ messageId: id }, type), content))
}

test('bytes may come one at a time', () => {
  const inbox = new MemoryInbox()
  const connection = new MemoryConnection(inbox)
  const bytes = concatBytes(encodeDataFrame('TEXT', utf8('hello')), encodeDataFrame('FILE', utf8('content'), 'a.txt'))
  for (const byte of bytes) connection.push(Uint8Array.of(byte))
  connection.push(undefined)
  assert.deepEqual(
    inbox.kept.map(({ type, name, content }) => [type, name, content.toString()]),
    [
      ['TEXT', '', 'hello'],
      ['FILE', 'a.txt', 'content'],
    ],
  )
  assert.match(connection.answers, /ACK TEXT 5 bytes.*ACK FILE 7 bytes$/s)
  assert.equal(connection.end, 'ended')
})

test('a message with an id is kept once, also over another connection; both are acknowledged', () => {
  const inbox = new MemoryInbox()
  const frame = tagged('m1', 'TEXT', utf8('once'))
  assert.match(exchange(inbox, frame).answers, /ACK TEXT 4 bytes$/)
  assert.match(exchange(inbox, frame).answers, /ACK TEXT 4 bytes \(duplicate\)$/)
  assert.deepEqual(
    inbox.kept.map(({ messageId, content }) => [messageId, content.toString()]),
    [['m1', 'once']],
  )
})

test('a trace is kept as what is in it, and answered with times', () => {
  const inbox = new MemoryInbox()
  const trace = Buffer.alloc(12 + 2)
  trace.writeUInt32BE(1, 0)
  trace.writeBigUInt64BE(42n, 4)
  trace.write('hi', 12)
  const { written } = exchange(inbox, encodeDataFrame('TRACE', trace))
  assert.deepEqual(JSON.parse(written[0]!.subarray(8).toString()), {
    sent_at_ns: 42,
    received_at_ns: 1_000,
    inbox_written_at_ns: 1_000,
    ack_sent_at_ns: 1_000,
    inner_ack: 'ACK TEXT 2 bytes',
  })
  assert.equal(inbox.kept[0]!.content.toString(), 'hi')
})

test('an unknown type is read over and refused; the next frame is heard', () => {
  const inbox = new MemoryInbox()
  const unknown = Buffer.from(encodeDataFrame('TEXT', utf8('governed')))
  unknown.writeUInt32BE(9, 0)
  const { answers } = exchange(inbox, unknown, encodeDataFrame('TEXT', utf8('x')))
  assert.match(answers, /ERR UNKNOWN\(9\) save failed: unsupported frame type 9.*ACK TEXT 1 bytes/s)
})

for (const name of ['../evil', 'a/b', 'a\\b', '..', '.', 'nul\0', 'x'.repeat(256)])
  test(`a file named ${JSON.stringify(name.slice(0, 12))} is refused, nothing is kept, and the connection ends`, () => {
    const inbox = new MemoryInbox()
    const { answers, end } = exchange(inbox, encodeDataFrame('FILE', utf8('content'), name))
    assert.match(answers, /ERR FILE save failed: /)
    assert.deepEqual([end, inbox.kept], ['refused', []])
  })

test('what cannot be a frame ends the connection', () => {
  for (const [frame, end] of [
    [Buffer.from('0000000104000001', 'hex'), 'too_long'],
    [Buffer.concat([encodeDataHead('STREAM', 1_048_577)]), 'too_long'],
    [encodeDataFrame('STREAM', new Uint8Array(17)), 'bad_frame'],
    [encodeDataFrame('TAGGED', Uint8Array.of(0, 0, 0, 0, 0, 1)), 'bad_frame'],
    [encodeDataFrame('TAGGED', Uint8Array.of(255, 255, 0, 0, 0, 1)), 'bad_frame'],
    [tagged('m', 'STREAM', new Uint8Array(0)), 'bad_frame'],
    [encodeDataFrame('TRACE', new Uint8Array(11)), 'bad_frame'],
    [encodeDataFrame('TRACE', Uint8Array.of(0, 0, 0, 10, ...new Uint8Array(8))), 'bad_frame'],
  ] as const) {
    const inbox = new MemoryInbox()
    const connection = exchange(inbox, frame)
    assert.deepEqual([connection.end, inbox.kept], [end, []])
  }
  const cut = exchange(new MemoryInbox(), encodeDataFrame('TEXT', utf8('hello')).subarray(0, 10))
  cut.push(undefined)
  assert.equal(cut.end, 'cut')
})

test('a refusal of the disk reaches the sender, and the connection continues', () => {
  const inbox = new MemoryInbox()
  inbox.refusal = 'the folder is full'
  const connection = exchange(inbox, encodeDataFrame('TEXT', utf8('hello')))
  assert.match(connection.answers, /ERR TEXT save failed: the folder is full$/)
  assert.equal(connection.end, undefined)
})

// ── Files in steps ─────────────────────────────────────────────────────────────────────────────────────────────────

const CONTENT = Buffer.from('0123456789')
const sha256 = createHash('sha256').update(CONTENT).digest()
const transfer = sha256.subarray(0, 16)
const init: FileStepBody = { kind: 'init', size: 10, sha256, chunkBytes: 4, name: 'digits' }

function step(body: FileStepBody, of: Uint8Array = transfer): Uint8Array {
  return encodeDataFrame('STREAM', encodeFileStep({ transfer: of, ...body }))
}

function chunk(offset: number, data: Uint8Array): Uint8Array {
  return step({ kind: 'chunk', offset, data })
}

function steps({ written }: MemoryConnection): string[] {
  return written.map((frame) => {
    const decoded = decodeFileStep(frame.subarray(8)) as FileStep
    return decoded.kind === 'ack' || decoded.kind === 'init_ack'
      ? `${decoded.kind} ${decoded.offset}`
      : decoded.kind === 'complete'
        ? `complete ${decoded.status} ${decoded.text}`
        : decoded.kind === 'abort'
          ? `abort ${decoded.text}`
          : decoded.kind
  })
}

test('a file continues where it was, and is kept when its digest is right', () => {
  const inbox = new MemoryInbox()
  assert.deepEqual(steps(exchange(inbox, step(init), chunk(0, CONTENT.subarray(0, 4)))), ['init_ack 0', 'ack 4'])
  const second = exchange(inbox, step(init), chunk(4, CONTENT.subarray(4)), step({ kind: 'done' }))
  assert.deepEqual(steps(second), ['init_ack 4', 'ack 10', 'complete 0 ok'])
  assert.deepEqual(
    inbox.kept.map(({ name, content }) => [name, content.toString()]),
    [['digits', '0123456789']],
  )
  const again = exchange(inbox, step(init), step({ kind: 'done' }))
  assert.deepEqual(steps(again), ['init_ack 10', 'complete 0 ok'])
  assert.equal(inbox.kept.length, 1)
})

test('parts that overlap count once; one that leaves a gap ends the transfer, as does one beyond the end', () => {
  const inbox = new MemoryInbox()
  const overlapping = exchange(inbox, step(init), chunk(0, CONTENT.subarray(0, 6)), chunk(2, CONTENT.subarray(2, 8)))
  assert.deepEqual(steps(overlapping), ['init_ack 0', 'ack 6', 'ack 8'])
  const gap = exchange(inbox, step(init), chunk(9, CONTENT.subarray(9)), chunk(8, CONTENT.subarray(8)))
  assert.deepEqual(steps(gap), [
    'init_ack 8',
    'abort this part does not follow the last one',
    'abort there is no such transfer',
  ])
  const beyond = exchange(inbox, step(init), chunk(8, Buffer.from('89x')))
  assert.deepEqual(steps(beyond), ['init_ack 8', 'abort this part does not follow the last one'])
})

test('a damaged file, one that is not whole, a wrong id and a path for a name are refused', () => {
  const inbox = new MemoryInbox()
  const damaged = exchange(inbox, step(init), chunk(0, Buffer.from('012345678X')), step({ kind: 'done' }))
  assert.deepEqual(steps(damaged).at(-1), 'complete 1 damaged')
  inbox.parts.clear()
  assert.deepEqual(
    steps(exchange(inbox, step(init), step({ kind: 'done' }))).at(-1),
    'complete 1 the file is not whole',
  )
  const forged = exchange(inbox, step(init, new Uint8Array(16)))
  assert.deepEqual([steps(forged), forged.end], [['complete 1 the transfer has a wrong id'], 'refused'])
  const path = exchange(inbox, step({ ...init, name: '../digits' }))
  assert.deepEqual([steps(path), path.end], [['complete 1 the file name is a path'], 'refused'])
  assert.deepEqual(inbox.kept, [])
})
