/** What `bench` requests from the gateway, and how it prints the answer, as text and JSON. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { PilotError } from '../../../src/base/errors.ts'
import { BENCH, fakeControl } from '../admin/control.ts'
import { run, testWorld } from './world.ts'

test('set-up, round trip, throughput and path get one line each', async () => {
  const calls: unknown[][] = []
  const { code, out } = await run('bench agent-b --bytes 1G --for 1m', testWorld({ control: fakeControl(calls) }))
  assert.equal(code, 0)
  assert.deepEqual(calls, [['bench', 'agent-b', { bytes: 1e9, forMs: 60_000 }]])
  assert.equal(
    out,
    [
      'agent-b (node 2), punched 203.0.113.7:4000, RTT 0.40 ms, packets of up to 1400 bytes',
      'set-up      0.52 ms median of 5, first 3.10 ms',
      'round trip  0.61 ms median, 12.4 ms p99, of 1000 messages of 1024 bytes',
      'throughput  1.22 Gbit/s in each direction, both at once: 64.0 MB there and back in 0.42 s',
      '',
    ].join('\n'),
  )
})

test('without a path, and with a transfer cut short, it reports exactly what is known', async () => {
  const control = fakeControl([], {
    bench: () =>
      Promise.resolve({
        ...BENCH,
        path: null,
        throughput: { bytes: 1_000, elapsedMs: 5_000, bitsPerSecond: 1_600, complete: false },
      }),
  })
  const { out } = await run('bench agent-b', testWorld({ control }))
  assert.match(out, /^agent-b \(node 2\)\nset-up/)
  assert.match(out, /throughput {2}1\.60 kbit\/s .*1\.0 kB there and back in 5\.00 s, then the time was up\n$/)
})

test('under --json it is the record; a failure has the usual code', async () => {
  assert.deepEqual((JSON.parse((await run('bench agent-b --json')).out) as { data: unknown }).data, BENCH)
  for (const [code, exit] of [
    ['NOT_TRUSTED', 4],
    ['PEER_UNREACHABLE', 5],
    ['NOT_RUNNING', 3],
    ['TIMED_OUT', 124],
  ] as const) {
    const control = fakeControl([], { bench: () => Promise.reject(new PilotError(code, 'no')) })
    const ran = await run('bench agent-b --json', testWorld({ control }))
    assert.deepEqual([ran.code, (JSON.parse(ran.out) as { code: string }).code], [exit, code])
  }
})
