/**
 * A stream towards the reference daemon: no options, windows in slots, a FIN that ends both directions (stream.md §6).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PERSIST_MIN_MS, PLAIN_FLIGHT_SEGMENTS, PLAIN_KEEPALIVE_MS } from '../../../../src/proto/stream/constants.ts'
import { NEWS_ENDED } from '../../../../src/proto/stream/stream-view.ts'
import { FLAG_ACK, FLAG_FIN, FLAG_RST, FLAG_SYN } from '../../../../src/wire/packet.ts'
import { decodeSack, encodeSack } from '../../../../src/wire/sack.ts'
import { ISN, StreamSetting, dataOf, pattern, plainStream } from './setting.ts'

test('an advertised window is a number of segments, whatever their size (Q7)', () => {
  const setting = plainStream(3)
  setting.stream.write(pattern(100))
  assert.equal(dataOf(setting.drain()).length, 1)
  setting.stream.write(pattern(50_000))
  assert.equal(dataOf(setting.drain()).length, 2, 'three in flight')
  assert.equal(dataOf(setting.feed({ ack: setting.own(100), window: 3 })).length, 1)
})

test('SACK blocks about a stream that had the ports before are not data (Q16)', () => {
  const setting = plainStream()
  const blocks = new Uint8Array(13)
  encodeSack(blocks, 0, [0x1648_932d, 0x1648_95ae], 1)
  setting.feed({ seq: setting.peer(0) }, blocks)
  setting.feed({ seq: setting.peer(0) }, pattern(100))
  assert.equal(setting.stream.receiver.queuedBytes, 100)
})

test('never more than 128 segments are in flight (Q8)', () => {
  const setting = plainStream(512)
  setting.stream.write(pattern(1_000_000))
  let acked = 0
  for (let round = 0; round < 40; round++) {
    for (const { payload } of dataOf(setting.drain())) acked += payload.length
    assert.ok(
      setting.stream.sender.board.size <= PLAIN_FLIGHT_SEGMENTS,
      `${setting.stream.sender.board.size} in flight`,
    )
    setting.now += 10
    setting.feed({ ack: setting.own(Math.min(acked, setting.stream.sender.nxt)) })
  }
})

test('window 0 that comes with progress is a full queue: nothing but probes goes out, the first after 100 ms (Q5, Q6)', () => {
  const setting = plainStream(2)
  setting.stream.write(pattern(10_000))
  assert.equal(dataOf(setting.drain()).length, 2)
  setting.now += 10
  assert.equal(
    dataOf(setting.feed({ ack: setting.own(2 * 1_152), window: 0 })).length,
    0,
    'one more segment would block the whole daemon',
  )
  const probes = dataOf(setting.pass(PERSIST_MIN_MS))
  assert.equal(probes.length, 1)
  assert.equal(probes[0]!.payload.length, 1)
  assert.equal(probes[0]!.header.seq, setting.own(2 * 1_152 - 1), 'a byte that was already acknowledged')
  assert.equal(
    dataOf(setting.feed({ ack: setting.own(2 * 1_152), window: 1 })).length,
    1,
    'continues once a slot is free',
  )
})

test('window 0 of a keepalive, without payload or progress, does not close the window (Q6)', () => {
  const setting = plainStream(4)
  setting.feed({ window: 0 })
  setting.stream.write(pattern(1_000))
  assert.equal(dataOf(setting.drain()).length, 1)
})

test('our advertised window is never 0, even if nothing reads (Q4)', () => {
  const setting = plainStream()
  for (let i = 0; i < 400; i++) {
    const sent = setting.feed({ seq: setting.peer(i * 4_096) }, pattern(4_096))
    sent.push(...setting.pass(600))
    for (const { header } of sent) assert.ok(header.window >= 1, `window ${header.window} after ${i} segments`)
  }
  assert.ok(setting.stream.receiver.queuedBytes < 2_000_000)
})

test('after 25 s in which we sent nothing an empty ACK goes out, whatever arrives meanwhile (Q19)', () => {
  const setting = plainStream()
  assert.equal(setting.pass(PLAIN_KEEPALIVE_MS - 1).length, 0)
  const sent = setting.pass(2)
  assert.deepEqual(
    sent.map(({ header, payload }) => [header.flags, payload.length]),
    [[FLAG_ACK, 0]],
  )
  assert.ok(sent[0]!.header.window > 0)
  assert.equal(setting.pass(10 * PLAIN_KEEPALIVE_MS).length, 10)
})

test('a keepalive that no path takes leaves nothing due', () => {
  const { stream, now } = plainStream()
  const due = stream.nextTimeout()
  assert.equal(due, now + PLAIN_KEEPALIVE_MS)
  stream.handleTimeout(due)
  assert.ok(stream.hasOutput(due, 1_152))
  assert.equal(stream.nextTimeout(), Infinity)
})

test('a half-close held back from a peer that acknowledges nothing leaves nothing due once it times out', () => {
  const setting = plainStream(1)
  setting.stream.write(pattern(10_000))
  setting.stream.shutdown(setting.now)
  for (let i = 0; i < 700 && setting.stream.end === undefined; i++) {
    // kept alive only by window updates
    setting.pass(1_000)
    setting.feed({ ack: setting.own(i), window: 1 })
  }
  assert.ok(setting.stream.nextTimeout() > setting.now)
})

test('each early segment is answered with SACK blocks and with a pure duplicate ACK (Q14)', () => {
  const setting = plainStream()
  const sent = setting.feed({ seq: setting.peer(4_096) }, pattern(4_096))
  assert.equal(sent.length, 2)
  const blocks = new Uint32Array(8)
  assert.equal(decodeSack(sent[0]!.payload, 0, sent[0]!.payload.length, blocks), 1)
  assert.deepEqual([...blocks.subarray(0, 2)], [setting.peer(4_096), setting.peer(8_192)])
  assert.equal(sent[1]!.payload.length, 0)
  assert.deepEqual(
    sent.map(({ header }) => header.ack),
    [setting.peer(0), setting.peer(0)],
  )
})

test('an ACK without payload is never answered (stream.md §3.4)', () => {
  const setting = plainStream()
  for (let i = 0; i < 10; i++) assert.deepEqual(setting.feed({}), [])
  assert.deepEqual(setting.pass(1_000), [])
})

test('FIN waits until everything is acknowledged and the reader is done (Q2), and its number is the length', () => {
  const setting = plainStream()
  setting.stream.write(pattern(3_000))
  setting.stream.shutdown(setting.now)
  assert.ok(setting.drain().every(({ header }) => (header.flags & FLAG_FIN) === 0))
  setting.feed({ ack: setting.own(3_000) })
  assert.deepEqual(
    setting.pass(60_000).filter(({ header }) => (header.flags & FLAG_FIN) !== 0),
    [],
    'held: it would cut off the answer',
  )
  setting.stream.close(setting.now)
  const fins = setting.drain()
  assert.deepEqual(
    fins.map(({ header }) => [header.flags, header.seq]),
    [[FLAG_FIN, setting.own(3_000)]],
  )
  setting.feed({ flags: FLAG_FIN | FLAG_ACK, ack: setting.own(3_001) })
  assert.equal(setting.stream.end, 'finished')
})

test('FIN is retransmitted after 1, 2 and 4 s until it is answered (Q3)', () => {
  const setting = plainStream()
  setting.stream.close(setting.now)
  const at = [setting.now]
  setting.drain()
  const begin = setting.now
  while (setting.now < begin + 20_000) {
    if (setting.pass(100).length > 0) at.push(setting.now)
  }
  assert.deepEqual(
    at.map((time) => Math.round((time - begin) / 1_000)),
    [0, 1, 3, 7, 11, 15],
  )
  assert.equal(setting.stream.end, 'finished', 'and then it is given up')
})

test('a bare FIN is answered once, a FIN|ACK never: no storm (Q1)', () => {
  const setting = plainStream()
  const answers = setting.feed({ flags: FLAG_FIN, seq: setting.peer(0), ack: 0, window: 0 })
  assert.equal(answers.length, 1)
  assert.equal(answers[0]!.header.ack, setting.peer(1))
  assert.equal(answers[0]!.header.flags & FLAG_FIN, 0)
  for (let i = 0; i < 1_000; i++)
    assert.deepEqual(setting.feed({ flags: FLAG_FIN | FLAG_ACK, ack: setting.own(1), window: 0 }), [])
  assert.equal(
    setting.feed({ flags: FLAG_FIN, ack: 0, window: 0 }).length,
    1,
    'a bare one again is one that missed our answer',
  )
})

test('a FIN of the peer while ours is due is answered as a FIN, not with RST', () => {
  const setting = plainStream()
  setting.stream.close(setting.now) // our FIN is due, and not sent yet
  const answers = setting.feed({ flags: FLAG_FIN, ack: 0, window: 0 })
  assert.ok(
    answers.every(({ header }) => (header.flags & FLAG_RST) === 0),
    'no RST in a clean close',
  )
  assert.ok(
    answers.some(({ header }) => header.ack === setting.peer(1)),
    'its FIN is acknowledged',
  )
  assert.equal(setting.stream.end, 'finished')
})

test('a FIN behind a gap is a truncated stream, not a clean end (Q3)', () => {
  const setting = plainStream()
  setting.feed({}, pattern(100))
  setting.feed({ flags: FLAG_FIN, seq: setting.peer(200), ack: 0, window: 0 })
  assert.notEqual(setting.stream.takeNews() & NEWS_ENDED, 0)
  assert.equal(setting.stream.end, 'truncated')
  assert.equal(setting.stream.read()?.length, 100, 'what did arrive is there')
})

test('a SYN-ACK for a number that is not ours is stale: RST, and the dial must be retried (Q9)', () => {
  const setting = new StreamSetting()
  setting.drain()
  const sent = setting.feed({ flags: FLAG_SYN | FLAG_ACK, seq: 77, ack: 12_345 })
  assert.equal(setting.stream.end, 'stale')
  assert.equal(sent[0]!.header.flags & FLAG_RST, FLAG_RST)
})

test('a SYN-ACK repeated after data carries the next number; the first bytes are not skipped (Q10)', () => {
  const setting = new StreamSetting()
  setting.drain()
  setting.pass(300) // our SYN goes out again: the first SYN-ACK was lost
  setting.feed({ flags: FLAG_SYN | FLAG_ACK, seq: 99, ack: setting.own(0) })
  setting.feed({ seq: 1 }, pattern(100))
  assert.equal(setting.stream.read()?.length, 100)
})

test('our own first number is never 0: at least 65536 (Q10)', () => {
  const setting = new StreamSetting()
  assert.ok(setting.drain()[0]!.header.seq >= 65_536 && ISN >= 65_536)
})

test('RST with number 0 is honoured, like every RST from the reference (Q18)', () => {
  const setting = plainStream()
  setting.feed({ flags: FLAG_RST, seq: 0, ack: 0 })
  assert.equal(setting.stream.end, 'reset_by_peer')
})

test('data in a packet without ACK is not accepted (stream.md §3.2)', () => {
  const setting = plainStream()
  setting.feed({ flags: 0 }, pattern(10))
  assert.equal(setting.stream.read(), undefined)
})

test('retransmissions keep the boundaries of the first transmission when the path changes (Q13)', () => {
  const setting = plainStream()
  setting.stream.write(pattern(5_000))
  const first = dataOf(setting.drain()).map(({ header, payload }) => `${header.seq}+${payload.length}`)
  const again = dataOf(setting.pass(30_000)).map(({ header, payload }) => `${header.seq}+${payload.length}`)
  assert.ok(again.length > 0)
  for (const segment of again) assert.ok(first.includes(segment), segment)
})
