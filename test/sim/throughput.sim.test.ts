/**
 * How much of a path one stream uses: a table of rate, round trip, queue and random loss, kept in throughput.md. A
 * change to the transport changes the table and is reviewed there: `UPDATE_TABLES=1 node --import tsx --test <this
 * file>`. Virtual time, fixed seed: the same figures on every machine.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { StreamPair } from './simulator/stream-pair.ts'

const TABLE = new URL('./throughput.md', import.meta.url)
const BYTES = 16 * 1_048_576
const RATE_BPS = 100e6
const PAYLOAD_BYTES = 1_393 // MTU 1500
const WIRE_SHARE = PAYLOAD_BYTES / (PAYLOAD_BYTES + 34) // of what the simulated link carries: its packets have no tunnel around them

const ROUND_TRIPS_MS = [1, 10, 50, 200]
const QUEUES = [0.25, 1, 4] // bandwidth-delay products
const LOSSES = [0, 0.001, 0.01, 0.03]

test("one stream's share of a path matches the table", () => {
  const text = table()
  if (process.env['UPDATE_TABLES'] !== undefined) writeFileSync(TABLE, text)
  assert.equal(
    text,
    readFileSync(TABLE, 'utf8'),
    'test/sim/throughput.md: run with UPDATE_TABLES=1 and review the difference',
  )
})

function table(): string {
  const lines = [
    '# How much of a path one stream uses',
    '',
    `16 MiB over ${RATE_BPS / 1e6} Mbit/s, from the first packet to the last byte, slow start included; ${PAYLOAD_BYTES}-byte segments. Percent of the link;`,
    'in brackets the share of data packets that were sent again. Written by throughput.sim.test.ts.',
    '',
    `| round trip | queue, BDP | ${LOSSES.map((loss) => (loss === 0 ? 'no loss' : `${loss * 100} % loss`)).join(' | ')} |`,
    `|---:|---:|${LOSSES.map(() => '---:|').join('')}`,
  ]
  for (const rttMs of ROUND_TRIPS_MS) {
    for (const queue of QUEUES)
      lines.push(`| ${rttMs} ms | ${queue} | ${LOSSES.map((loss) => cell(rttMs, queue, loss)).join(' | ')} |`)
  }
  return `${lines.join('\n')}\n`
}

function cell(rttMs: number, queue: number, lossRate: number): string {
  const bdpBytes = (RATE_BPS / 8_000) * rttMs
  const queueBytes = Math.max(queue * bdpBytes, 8 * PAYLOAD_BYTES)
  const pair = new StreamPair(1, { delayMs: rttMs / 2, lossRate, rateBps: RATE_BPS, queueBytes }, PAYLOAD_BYTES)
  pair.open()
  pair.alice.write(new Uint8Array(BYTES))
  pair.alice.shutdown()
  assert.ok(
    pair.world.run({ untilMs: 600_000, done: () => pair.bob.ended }),
    `${rttMs} ms, queue ${queue}, loss ${lossRate}: still going`,
  )
  assert.equal(pair.bob.receivedBytes, BYTES)
  const share = (BYTES * 8_000) / pair.world.nowMs / RATE_BPS / WIRE_SHARE
  const { sender } = pair.alice.stream
  return `${Math.round(100 * share)} (${((100 * sender.retransmissions) / (BYTES / PAYLOAD_BYTES)).toFixed(1)})`
}
