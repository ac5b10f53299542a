/** Relaying is fair: a heavy sender only queues behind itself, each source has a rate limit and a bounded queue, and everything is counted. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RelayQueue } from '../../../../src/server/beacon/relay-queue.ts'
import { RELAY_QUEUE_BYTES } from '../../../../src/server/beacon/constants.ts'

const TO = { address: '203.0.113.9', port: 9 }
const source = (port: number): { address: string; port: number } => ({ address: '203.0.113.1', port })

/** Bytes sent by source, in the first `datagrams` turns; the source is the first byte. */
function drained(queue: RelayQueue, datagrams: number): Map<number, number> {
  const bytes = new Map<number, number>()
  for (let i = 0; i < datagrams; i++) {
    const next = queue.shift()
    if (next === undefined) break
    bytes.set(next.bytes[0]!, (bytes.get(next.bytes[0]!) ?? 0) + next.bytes.length)
  }
  return bytes
}

test('a source that sends a hundred times as much does not delay the others', () => {
  const queue = new RelayQueue()
  for (let i = 0; i < 400; i++) queue.push(0, source(1), new Uint8Array(1_200).fill(1), TO)
  for (let i = 0; i < 4; i++) queue.push(0, source(2), new Uint8Array(1_200).fill(2), TO)
  assert.equal(drained(queue, 12).get(2), 4 * 1_200)
})

test('turns are by bytes, not by datagrams', () => {
  const queue = new RelayQueue()
  for (let i = 0; i < 1_000; i++) queue.push(0, source(1), new Uint8Array(100).fill(1), TO)
  for (let i = 0; i < 80; i++) queue.push(0, source(2), new Uint8Array(1_400).fill(2), TO)
  const bytes = drained(queue, 500)
  const ratio = bytes.get(1)! / bytes.get(2)!
  assert.ok(ratio > 0.8 && ratio < 1.25, `${ratio}`)
})

test('each source keeps its order, and everything accepted comes out', () => {
  const queue = new RelayQueue()
  for (let i = 0; i < 50; i++)
    for (const port of [1, 2, 3]) queue.push(0, source(port), Uint8Array.of(port, i, ...new Uint8Array(port * 300)), TO)
  const seen = new Map<number, number[]>()
  for (let next = queue.shift(); next !== undefined; next = queue.shift())
    seen.set(next.bytes[0]!, [...(seen.get(next.bytes[0]!) ?? []), next.bytes[1]!])
  for (const order of seen.values())
    assert.deepEqual(
      order,
      Array.from({ length: 50 }, (_, i) => i),
    )
  assert.equal(seen.size, 3)
  assert.equal(queue.queuedBytes, 0)
})

test('a source may not queue more than its share; the others still may', () => {
  const queue = new RelayQueue()
  for (let i = 0; i < 1_000; i++) queue.push(0, source(1), new Uint8Array(1_000), TO)
  assert.ok(queue.queuedBytes <= RELAY_QUEUE_BYTES)
  assert.equal(queue.counters.relaysQueueFull, 1_000 - Math.floor(RELAY_QUEUE_BYTES / 1_000))
  const before = queue.queuedBytes
  queue.push(0, source(2), new Uint8Array(1_000), TO)
  assert.equal(queue.queuedBytes, before + 1_000)
})

test('a source may not exceed its rate', () => {
  const queue = new RelayQueue({ bytesPerSecond: 100_000, burstBytes: 10_000 })
  let sent = 0
  for (let now = 0; now < 10_000; now++) {
    queue.push(now, source(1), new Uint8Array(1_000), TO)
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) sent += next.bytes.length
  }
  assert.ok(sent > 950_000 && sent <= 1_011_000, `${sent} bytes in ten seconds`)
  assert.ok(queue.counters.relaysOverRate > 8_000)
})

test('idle sources are forgotten', () => {
  const queue = new RelayQueue({ bytesPerSecond: 1_000, burstBytes: 1_000 })
  queue.push(0, source(1), new Uint8Array(1_000), TO)
  assert.notEqual(queue.shift(), undefined)
  queue.shift()
  queue.sweep(10_000)
  queue.push(10_000, source(1), new Uint8Array(1_000), TO)
  assert.notEqual(queue.shift(), undefined, 'with a full burst again')
})
