/** Requests go in without a socket; the calls of the gateway and the exact answers come out. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { PilotError } from '../../../src/base/errors.ts'
import { answer, type AdminRequest } from '../../../src/admin/routes.ts'
import { STATUS, fakeControl } from './control.ts'

const get = (path: string): AdminRequest => ({ method: 'GET', path, body: '' })
const post = (path: string, body: unknown): AdminRequest => ({
  method: 'POST',
  path,
  body: typeof body === 'string' ? body : JSON.stringify(body),
})

test('every record can be read', async () => {
  const control = fakeControl([])
  const records = {
    status: STATUS,
    peers: control.peers(),
    mappings: STATUS.mappings,
    exposes: STATUS.exposes,
    connections: control.connections(),
    trust: await control.trusted(),
    'trust/pending': await control.pending(),
  }
  for (const [name, body] of Object.entries(records))
    assert.deepEqual(await answer(control, get(`/v1/${name}`)), { status: 200, body }, name)
  assert.equal((await answer(control, get('/v1/status?x=1'))).status, 200)
})

test('every act reaches the gateway with its arguments', async () => {
  const calls: unknown[][] = []
  const control = fakeControl(calls)
  await answer(control, post('/v1/ping', { peer: 'agent-b', seq: 3, timeoutMs: 500 }))
  await answer(control, post('/v1/bench', { peer: 'agent-b', bytes: 1_000, forMs: 300_000 }))
  assert.equal(
    ((await answer(control, post('/v1/whois', { local: '127.0.0.1:40002' }))).body as { peer: string }).peer,
    'agent-b',
  )
  await answer(control, post('/v1/trust/request', { peer: 'agent-b', reason: 'it is me' }))
  await answer(control, post('/v1/trust/request', { peer: 'agent-b' }))
  for (const act of ['approve', 'reject', 'revoke'])
    assert.equal((await answer(control, post(`/v1/trust/${act}`, { peer: '7' }))).status, 200)
  await answer(control, post('/v1/tickets', { forMs: 600_000 }))
  await answer(control, post('/v1/tickets/use', { ticket: 'pgt1_AAAA' }))
  assert.deepEqual(calls, [
    ['ping', 'agent-b', 3, 500],
    ['bench', 'agent-b', { bytes: 1_000, forMs: 300_000 }],
    ['whois', '127.0.0.1:40002'],
    ['requestTrust', 'agent-b', 'it is me'],
    ['requestTrust', 'agent-b', ''],
    ['approveTrust', '7'],
    ['rejectTrust', '7'],
    ['revokeTrust', '7'],
    ['invite', undefined, 600_000],
    ['redeem', 'pgt1_AAAA'],
  ])
})

test('a request that makes no sense is refused, and reaches nothing', async () => {
  const calls: unknown[][] = []
  const control = fakeControl(calls)
  const cases: [AdminRequest, number, RegExp][] = [
    [get('/v1/nothing'), 404, /nothing at \/v1\/nothing/],
    [get('/'), 404, /nothing at/],
    [get('/v1/constructor'), 404, /nothing at/],
    [get('constructor'), 404, /nothing at/],
    [get('/v1/ping'), 405, /takes POST/],
    [post('/v1/status', {}), 405, /takes GET/],
    [post('/v1/ping', 'x'), 400, /not JSON/],
    [post('/v1/ping', '[]'), 400, /not a JSON object/],
    [post('/v1/ping', 'null'), 400, /not a JSON object/],
    [post('/v1/ping', {}), 400, /"peer" is missing/],
    [post('/v1/ping', { peer: 7, seq: 0, timeoutMs: 1 }), 400, /"peer" is not a string/],
    [
      post('/v1/ping', { peer: 'x'.repeat(256), seq: 0, timeoutMs: 1 }),
      400,
      /has 256 characters; expected a string of 1 to 255/,
    ],
    [post('/v1/ping', { peer: 'b', seq: -1, timeoutMs: 1 }), 400, /"seq": expected/],
    [post('/v1/ping', { peer: 'b', seq: 0, timeoutMs: 60_001 }), 400, /"timeoutMs": expected/],
    [post('/v1/ping', { peer: 'b', seq: 0.5, timeoutMs: 1 }), 400, /"seq"/],
    [post('/v1/bench', { peer: 'b', bytes: 999, forMs: 1_000 }), 400, /"bytes": expected/],
    [post('/v1/bench', { peer: 'b', bytes: 1_000, forMs: 300_001 }), 400, /"forMs": expected/],
    [post('/v1/whois', {}), 400, /"local" is missing/],
    [post('/v1/tickets', { forMs: 1 }), 400, /"forMs": expected/],
    [post('/v1/tickets', { forMs: 600_000, service: 7 }), 400, /"service"/],
    [post('/v1/tickets/use', {}), 400, /"ticket" is missing/],
    [post('/v1/trust/request', { peer: 'b', reason: 7 }), 400, /"reason"/],
    [post('/v1/trust/approve', { peer: '' }), 400, /"peer"/],
  ]
  for (const [request, status, message] of cases) {
    const result = await answer(control, request)
    assert.equal(result.status, status, `${request.path} ${request.body}`)
    assert.match((result.body as { error: { message: string } }).error.message, message)
  }
  assert.equal((await answer(control, get('/v1/ping'))).allow, 'POST')
  assert.deepEqual(calls, [])
})

test('what the gateway refuses comes back with the code, hint, details and status of the error table', async () => {
  const refusing = fakeControl([], {
    approveTrust: () => Promise.reject(new PilotError('NOT_FOUND', 'no such peer', { peer: 'x' })),
    status: () => {
      throw new Error('a bug')
    },
  })
  const { status, body } = await answer(refusing, post('/v1/trust/approve', { peer: 'x' }))
  assert.equal(status, 404)
  assert.deepEqual(body, {
    error: {
      code: 'NOT_FOUND',
      message: 'no such peer',
      hint: new PilotError('NOT_FOUND', '').hint,
      details: { peer: 'x' },
    },
  })
  assert.equal((await answer(refusing, get('/v1/status'))).status, 500)
})
