/** Echoes that are answered, lost or impossible: the output and the exit code. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { PilotError } from '../../../src/base/errors.ts'
import { fakeControl } from '../admin/control.ts'
import { run, testWorld } from './world.ts'

const lose = (code: 'TIMED_OUT' | 'PEER_UNREACHABLE' | 'NOT_FOUND', details = {}) =>
  Promise.reject(new PilotError(code, 'no answer in time', details))

test('every echo gets a line, and the summary has the extremes', async () => {
  const calls: unknown[][] = []
  const { code, out } = await run('ping agent-b --count 3 --timeout 700', testWorld({ control: fakeControl(calls) }))
  assert.equal(code, 0)
  assert.equal(
    out,
    [
      'agent-b (node 2): seq 0, 1.50 ms, direct 127.0.0.1:4000',
      'agent-b (node 2): seq 1, 2.50 ms, direct 127.0.0.1:4000',
      'agent-b (node 2): seq 2, 3.50 ms, direct 127.0.0.1:4000',
      '3 sent, 3 received, 0 % lost; min/avg/max 1.50/2.50/3.50 ms',
      '',
    ].join('\n'),
  )
  assert.deepEqual(calls, [
    ['ping', 'agent-b', 0, 700],
    ['ping', 'agent-b', 1, 700],
    ['ping', 'agent-b', 2, 700],
  ])
})

test('with --json there is one envelope with every round trip', async () => {
  const { out } = await run('ping agent-b --count 2 --json')
  const { data } = JSON.parse(out) as { data: Record<string, unknown> }
  assert.deepEqual(
    [data['peer'], data['nodeId'], data['sent'], data['received'], data['rtts']],
    ['agent-b', 2, 2, 2, [1.5, 2.5]],
  )
})

test('a lost echo is counted, not fatal', async () => {
  const control = fakeControl([], {
    ping: (peer, seq) => (seq === 1 ? lose('TIMED_OUT') : fakeControl([]).ping(peer, seq, 1)),
  })
  const { code, out } = await run('ping agent-b --count 4', testWorld({ control }))
  assert.equal(code, 0)
  assert.match(out, /\nseq 1: no answer in time\n/)
  assert.match(out, /4 sent, 3 received, 25 % lost/)
})

test('no answer at all exits 5', async () => {
  const { code, out } = await run(
    'ping agent-b --count 2 --json',
    testWorld({ control: fakeControl([], { ping: () => lose('PEER_UNREACHABLE') }) }),
  )
  const error = JSON.parse(out) as { code: string; message: string; details: unknown }
  assert.deepEqual(
    [code, error.code, error.message, error.details],
    [
      5,
      'PEER_UNREACHABLE',
      'no answer from agent-b to 2 echoes (no answer in time)',
      { peer: 'agent-b', sent: 2, received: 0 },
    ],
  )
})

test('a gateway that does not answer exits 124, an unknown peer 5, both at once', async () => {
  let asked = 0
  const silent = fakeControl([], { ping: () => (asked++, lose('TIMED_OUT', { socketPath: '/a.sock' })) })
  assert.equal((await run('ping agent-b', testWorld({ control: silent }))).code, 124)
  const unknown = fakeControl([], { ping: () => (asked++, lose('NOT_FOUND')) })
  assert.equal((await run('ping agent-b', testWorld({ control: unknown }))).code, 5)
  assert.equal(asked, 2)
})

test('Ctrl+C ends it with a summary so far', async () => {
  const world = testWorld({
    control: fakeControl([], {
      ping: (peer, seq) =>
        seq === 0 ? fakeControl([]).ping(peer, seq, 1) : (world.signal('SIGINT'), new Promise<never>(() => {})),
    }),
  })
  const { code, out } = await run('ping agent-b --count 100', world)
  assert.equal(code, 0)
  assert.match(out, /2 sent, 1 received, 50 % lost/)
})

test('the last line gives the reason for the path', async () => {
  const control = fakeControl([], {
    ping: (peer, seq) =>
      Promise.resolve({
        peer,
        nodeId: 2,
        seq,
        rttMs: 1,
        path: 'relay',
        endpoint: '198.51.100.1:9001',
        reason: 'relay: both NATs are symmetric',
      }),
  })
  const { out } = await run('ping agent-b --count 1', testWorld({ control }))
  assert.match(out, /ms\nrelay: both NATs are symmetric\n$/)
})
