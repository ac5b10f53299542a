/** `bench` against echoes that work, lie, fall silent or break off; in memory, no network. */
import { mock, test } from 'node:test'
import assert from 'node:assert/strict'
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { PilotError } from '../../../../src/base/errors.ts'
import { benchPeer } from '../../../../src/gateway/diagnose/bench.ts'
import type { BenchNode } from '../../../../src/gateway/diagnose/bench.ts'
import type { OverlayStream } from '../../../../src/runtime/overlay.ts'

const BYTES = 3_000_000

test('every returned byte is counted, the last stream is closed, and the path is reported', async () => {
  const { node, streams, targets } = world((server) => server.pipe(server))
  const record = await benchPeer(node, 'agent-b', { bytes: BYTES, forMs: 2_000 })
  assert.deepEqual(
    [record.throughput.bytes, record.throughput.complete, record.nodeId, record.path?.kind],
    [BYTES, true, 2, 'lan'],
  )
  assert.ok(
    record.roundTrip.count > 1 && record.roundTrip.p99Ms >= record.roundTrip.medianMs && record.setUp.count === 5,
  )
  assert.ok(record.throughput.bitsPerSecond > 0)
  assert.deepEqual([...new Set(targets)], ['agent-b:7'])
  assert.ok(streams.every((stream) => stream.destroyed))
})

test('an echo too slow for the time limit is measured by what came back', async () => {
  const { node } = world((server) =>
    server.on('data', (chunk: Buffer) => {
      server.pause()
      setTimeout(
        () => {
          server.write(chunk)
          server.resume()
        },
        chunk.length > 1_024 ? 50 : 0,
      )
    }),
  )
  const { throughput } = await benchPeer(node, 'agent-b', { bytes: 1_000_000_000, forMs: 300 })
  assert.equal(throughput.complete, false)
  assert.ok(throughput.bytes > 0 && throughput.bytes < 1_000_000_000)
  assert.ok(throughput.elapsedMs >= 300 && throughput.elapsedMs < 2_000)
})

test('an echo that changes or drops a byte is detected', async () => {
  let seen = 0
  const changes = world((server) =>
    server.on('data', (chunk: Buffer) => {
      seen += chunk.length
      const copy = Buffer.from(chunk)
      if (seen > 1_500_000) copy[copy.length - 1] = copy[copy.length - 1]! ^ 1
      server.write(copy)
    }),
  )
  await assert.rejects(
    benchPeer(changes.node, 'agent-b', { bytes: BYTES, forMs: 2_000 }),
    ({ code, message }: PilotError) => code === 'FAILED' && message.includes('returned different bytes'),
  )
  const leavesOut = world((server) =>
    server.on('data', (chunk: Buffer) => server.write(chunk.length > 1_024 ? chunk.subarray(512) : chunk)),
  )
  await assert.rejects(benchPeer(leavesOut.node, 'agent-b', { bytes: BYTES, forMs: 2_000 }), { code: 'FAILED' })
})

test('an echo that ends is PEER_RESET, one that is silent TIMED_OUT, and a dial that fails says why', async () => {
  const ends = world((server) => server.once('data', () => server.end()))
  await assert.rejects(benchPeer(ends.node, 'agent-b', { bytes: BYTES, forMs: 2_000 }), { code: 'PEER_RESET' })
  const breaks = world((server, client) =>
    server.once('data', () => client.destroy(new PilotError('PEER_UNREACHABLE', 'the path is gone'))),
  )
  await assert.rejects(benchPeer(breaks.node, 'agent-b', { bytes: BYTES, forMs: 2_000 }), { code: 'PEER_UNREACHABLE' })
  const refuses: BenchNode = { peers: [], dial: () => Promise.reject(new PilotError('NOT_TRUSTED', 'no')) }
  await assert.rejects(benchPeer(refuses, 'agent-b', { bytes: BYTES, forMs: 2_000 }), { code: 'NOT_TRUSTED' })
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    const asking = benchPeer(world((server) => server.resume()).node, 'agent-b', { bytes: BYTES, forMs: 2_000 })
    const refused = assert.rejects(
      asking,
      ({ code, message }: PilotError) => code === 'TIMED_OUT' && message === 'nothing came back from agent-b for 15 s',
    )
    for (let i = 0; i < 20; i++) await Promise.resolve()
    mock.timers.tick(15_000)
    await refused
  } finally {
    mock.timers.reset()
  }
})

interface Made {
  readonly node: BenchNode
  readonly streams: readonly Duplex[]
  readonly targets: readonly string[]
}

function world(serve: (server: Duplex, client: Duplex) => void): Made {
  const streams: Duplex[] = []
  const targets: string[] = []
  const path = { kind: 'lan' as const, transport: 'udp' as const, endpoint: '127.0.0.1:4000', rttMs: 0.1, mtu: 60_000 }
  const peer = {
    nodeId: 2,
    address: '0:0000.0000.0002',
    hostname: 'agent-b',
    unverifiedName: null,
    fingerprint: null,
    trusted: true,
    state: 'connected' as const,
    path,
    streams: 1,
    bytesIn: 0,
    bytesOut: 0,
    lastHeardMs: 0,
    reason: null,
    paths: [],
  }
  const dial = (target: string): Promise<OverlayStream> => {
    targets.push(target)
    const [client, server] = duplexPair()
    server.on('error', () => {})
    serve(server, client)
    streams.push(client)
    return Promise.resolve(Object.assign(client, { peer: 2 }) as unknown as OverlayStream)
  }
  return { node: { dial, peers: [peer] }, streams, targets }
}
