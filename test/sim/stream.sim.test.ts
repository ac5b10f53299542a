/** Two stream machines over a bad link, in virtual time. The seed is in the name of each test. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { RECEIVE_INITIAL_BYTES, RECEIVE_LIMIT_BYTES, SEND_INITIAL_BYTES } from '../../src/proto/stream/constants.ts'
import { StreamPair } from './simulator/stream-pair.ts'

const MIB = 1_048_576

for (const lossRate of [0, 0.01, 0.05]) {
  for (const seed of [1, 2, 3]) {
    test(`64 MiB arrive intact at ${lossRate * 100} % loss with reordering and duplication (seed ${seed})`, () => {
      const pair = new StreamPair(seed, { delayMs: 5, jitterMs: 2, lossRate, duplicateRate: 0.01, rateBps: 1e9 }, 8_900)
      const sent = createHash('sha256')
      const piece = pair.random.bytes(MIB)
      const total = 64 * MIB
      pair.open()
      for (let i = 0; i < 64; i++) {
        piece[0] = i
        sent.update(piece)
        pair.alice.write(piece)
      }
      pair.alice.shutdown()
      pair.bob.shutdown()
      const done = pair.world.run({ untilMs: 600_000, done: () => pair.alice.over && pair.bob.over })
      assert.ok(done, `still going at ${pair.world.nowMs} virtual ms with ${pair.bob.receivedBytes} bytes`)
      assert.equal(pair.bob.receivedBytes, total)
      const got = createHash('sha256')
      for (const chunk of pair.bob.received) got.update(chunk)
      assert.equal(got.digest('hex'), sent.digest('hex'))
      assert.equal(pair.alice.stream.end, 'finished')
      assert.equal(pair.bob.stream.end, 'finished')
    })
  }
}

for (const seed of [4, 5, 6, 7, 8, 9, 10, 11]) {
  test(`both directions at once, odd sizes, 10 % loss and heavy reordering (seed ${seed})`, () => {
    const pair = new StreamPair(seed, { delayMs: 20, jitterMs: 30, lossRate: 0.1, duplicateRate: 0.05 })
    const up = pair.random.bytes(300_000 + pair.random.below(100_000))
    const down = pair.random.bytes(300_000 + pair.random.below(100_000))
    pair.open()
    pair.alice.write(up, 1 + pair.random.below(3_000))
    pair.bob.write(down, 1 + pair.random.below(3_000))
    pair.alice.shutdown()
    pair.bob.shutdown()
    assert.ok(pair.world.run({ untilMs: 600_000, done: () => pair.alice.over && pair.bob.over }), 'both ended')
    assert.deepEqual(pair.bob.data(), Buffer.from(up))
    assert.deepEqual(pair.alice.data(), Buffer.from(down))
    assert.equal(pair.alice.stream.end, 'finished')
    assert.equal(pair.bob.stream.end, 'finished')
  })
}

for (const seed of [1, 2, 3, 4]) {
  test(`a half-closed stream carries the answer back: the server answers only after the client's FIN (seed ${seed})`, () => {
    const pair = new StreamPair(seed, { delayMs: 10, jitterMs: 10, lossRate: 0.2 })
    pair.open()
    pair.alice.write(pair.random.bytes(10_000))
    pair.alice.shutdown()
    assert.ok(pair.world.run({ untilMs: 60_000, done: () => pair.bob.ended }))
    assert.equal(pair.bob.receivedBytes, 10_000)
    assert.equal(pair.alice.over, false)
    pair.bob.write(pair.random.bytes(20_000))
    pair.bob.shutdown()
    assert.ok(pair.world.run({ untilMs: 120_000, done: () => pair.alice.over && pair.bob.over }))
    assert.equal(pair.alice.receivedBytes, 20_000)
    assert.equal(pair.alice.stream.end, 'finished')
  })
}

test('a reader that stops stalls the writer, and neither holds more than its limit', () => {
  const pair = new StreamPair(1, { delayMs: 5, lossRate: 0.01 })
  pair.open()
  pair.bob.reading = false
  pair.alice.write(pair.random.bytes(8 * MIB))
  pair.world.run({ untilMs: 20_000 })
  const held = pair.bob.stream.receiver.queuedBytes
  assert.ok(held <= RECEIVE_INITIAL_BYTES, `${held} bytes received and unread`)
  assert.ok(held > RECEIVE_INITIAL_BYTES / 2, `${held} bytes: the window was hardly used`)
  assert.ok(pair.alice.stream.sender.buffer.bytes <= RECEIVE_LIMIT_BYTES + SEND_INITIAL_BYTES + 65_536)
  pair.bob.reading = true
  pair.bob.turn(() => {})
  assert.ok(
    pair.world.run({ untilMs: 60_000, done: () => pair.bob.receivedBytes === 8 * MIB }),
    'continues once it reads again',
  )
})

test('a lost window update does not stall the stream forever', () => {
  const pair = new StreamPair(1, { delayMs: 5 })
  pair.open()
  pair.bob.reading = false
  pair.alice.write(pair.random.bytes(4 * MIB))
  pair.world.run({ untilMs: 10_000 })
  pair.bob.link.cut = true
  pair.bob.reading = true
  pair.bob.turn(() => {})
  pair.world.run({ untilMs: 11_000 })
  pair.bob.link.cut = false
  assert.ok(pair.world.run({ untilMs: 40_000, done: () => pair.bob.receivedBytes === 4 * MIB }))
})

test('a blackout of five seconds delays and loses nothing', () => {
  const pair = new StreamPair(3, { delayMs: 10, lossRate: 0.001 })
  pair.open()
  pair.alice.write(pair.random.bytes(16 * MIB))
  pair.world.run({ untilMs: 300 })
  pair.alice.link.cut = pair.bob.link.cut = true
  pair.world.run({ untilMs: 5_300 })
  pair.alice.link.cut = pair.bob.link.cut = false
  assert.ok(pair.world.run({ untilMs: 60_000, done: () => pair.bob.receivedBytes === 16 * MIB }))
  assert.equal(pair.alice.stream.end, undefined)
})

test('permanent silence ends the stream as timed out within a minute', () => {
  const pair = new StreamPair(3, { delayMs: 10 })
  pair.open()
  pair.world.run({ untilMs: 1_000 })
  pair.alice.link.cut = pair.bob.link.cut = true
  pair.alice.write(pair.random.bytes(1_000))
  pair.world.run({ untilMs: 61_000, done: () => pair.alice.over })
  assert.equal(pair.alice.stream.end, 'timed_out')
})

test('an unanswered dial ends as no_answer', () => {
  const pair = new StreamPair(3, { delayMs: 10 })
  pair.alice.link.cut = true
  pair.open()
  assert.ok(pair.world.run({ untilMs: 30_000, done: () => pair.alice.over }))
  assert.equal(pair.alice.stream.end, 'no_answer')
})

for (const seed of [1, 2, 3]) {
  test(`a reset reaches the other side despite loss (seed ${seed})`, () => {
    const pair = new StreamPair(seed, { delayMs: 10, lossRate: 0.3 })
    pair.open()
    pair.world.run({ untilMs: 20_000, done: () => pair.alice.opened && pair.bob.opened })
    pair.alice.turn((now) => pair.alice.stream.reset(now))
    assert.ok(pair.world.run({ untilMs: 60_000, done: () => pair.bob.over }))
    assert.equal(pair.bob.stream.end, 'reset_by_peer')
  })
}

test('data that looks like SACK blocks arrives as data', () => {
  const pair = new StreamPair(1, { delayMs: 5, lossRate: 0.05 })
  const tricky = Buffer.concat([
    Buffer.from('SACK'),
    Buffer.from([1, 0, 0, 0, 1, 0, 0, 0, 9]),
    Buffer.from('SACK\x01SACK\x02SACK\x03SACK\x04'.repeat(300)),
  ])
  pair.open()
  pair.alice.write(tricky, 13)
  pair.alice.shutdown()
  pair.world.run({ untilMs: 60_000, done: () => pair.bob.ended })
  assert.deepEqual(pair.bob.data(), tricky)
})

test('an idle stream costs each end a probe and an answer every ten minutes at most', () => {
  const pair = new StreamPair(1, { delayMs: 5 })
  pair.open()
  pair.alice.write(pair.random.bytes(100))
  pair.world.run({ untilMs: 5_000 })
  const packets = pair.alice.packetsOut + pair.bob.packetsOut
  pair.world.run({ untilMs: 3_600_000 })
  const asked = pair.alice.packetsOut + pair.bob.packetsOut - packets
  assert.ok(asked > 0 && asked <= 24, `${asked} packets in an hour`)
  assert.deepEqual([pair.alice.stream.end, pair.bob.stream.end], [undefined, undefined])
})

test('a short exchange costs seven packets: the first bytes open it, and our FIN acknowledges the other one', () => {
  // The client writes once open, the service answers and ends, the client ends in turn, each a moment after the other.
  const pair = new StreamPair(1, { delayMs: 0.1 })
  const packets: string[] = []
  pair.onPacket = (from, packet) =>
    packets.push(
      `${from === pair.alice ? '>' : '<'}${FLAG_NAMES.filter((_, bit) => (packet[0]! & (1 << bit)) !== 0).join('+')}`,
    )
  const until = (done: () => boolean): void => {
    assert.ok(pair.world.run({ untilMs: pair.world.nowMs + 4, done })) // sooner than a delayed acknowledgement
    pair.world.run({ untilMs: pair.world.nowMs + 0.5 })
  }
  pair.open()
  until(() => pair.alice.opened)
  pair.alice.write(pair.random.bytes(9))
  until(() => pair.bob.receivedBytes === 9)
  pair.bob.write(pair.random.bytes(1))
  pair.world.run({ untilMs: pair.world.nowMs + 0.5 })
  pair.bob.shutdown()
  until(() => pair.alice.ended)
  pair.alice.shutdown()
  until(() => pair.alice.over && pair.bob.over)
  assert.deepEqual(packets, ['>SYN', '<SYN+ACK', '>ACK', '<ACK', '<ACK+FIN', '>ACK+FIN', '<ACK'])
  assert.deepEqual([pair.alice.stream.end, pair.bob.stream.end], ['finished', 'finished'])
})

test('a peer that opens without data, or keeps sending after our FIN, is still acknowledged promptly', () => {
  const pair = new StreamPair(1, { delayMs: 0.1 })
  pair.open()
  pair.world.run({ untilMs: 20 })
  assert.equal(pair.bob.stream.phase, 'established', 'the third packet came')
  pair.bob.shutdown()
  pair.world.run({ untilMs: pair.world.nowMs + 8 })
  assert.ok(pair.alice.ended)
  assert.ok(pair.bob.stream.sender.drained, 'the end is acknowledged')
  assert.equal(pair.bob.stream.sender.retransmissions, 0)
})

const FLAG_NAMES = ['SYN', 'ACK', 'FIN', 'RST']
