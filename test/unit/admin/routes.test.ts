/** Requests go in without a socket; gateway calls and exact answers come out. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { PilotError } from '../../../src/base/errors.ts'
import { answer, ROUTES, type AdminRequest } from '../../../src/admin/routes.ts'
import type { AdminControl } from '../../../src/gateway/control.ts'
import { fakeControl, methodsOf, withMethods } from './control.ts'
import { utf8 } from '../../../src/base/bytes.ts'

const get = (path: string): AdminRequest => ({ method: 'GET', path, body: '' })
const post = (path: string, body: unknown): AdminRequest => ({
  method: 'POST',
  path,
  body: typeof body === 'string' ? body : JSON.stringify(body),
})

/** A body the fake gateway can answer, for each path that takes one. */
const BODIES: Readonly<Record<string, object>> = {
  'POST /v1/resolve': { name: 'agent-b' },
  'POST /v1/doctor': { target: 'agent-b:80' },
  'POST /v1/ping': { peer: 'agent-b', seq: 3, timeoutMs: 500 },
  'POST /v1/bench': { peer: 'agent-b', bytes: 1_000, forMs: 300_000 },
  'POST /v1/whois': { local: '127.0.0.1:40002' },
  'POST /v1/trust/request': { peer: 'agent-b', reason: 'it is me' },
  'POST /v1/trust/approve': { peer: '7', forMs: 28_800_000 },
  'POST /v1/trust/reject': { peer: '7' },
  'POST /v1/trust/revoke': { peer: '7' },
  'POST /v1/tickets': { forMs: 600_000 },
  'POST /v1/tickets/cancel': { ticket: 'bob' },
  'POST /v1/tickets/redeem': { ticket: 'pgt1_AAAA' },
  'PUT /v1/config': { version: 3, map: [] },
  'POST /v1/config/reload': {},
  'POST /v1/config/diff': { file: '/etc/gateway.yaml', text: 'version: 1' },
  'POST /v1/map': { spec: '8080:agent-b:80', name: 'web', version: 3 },
  'POST /v1/unmap': { name: 'web', save: true },
  'POST /v1/expose': { spec: '80=3000' },
  'POST /v1/unexpose': { name: '80' },
  'POST /v1/down': {},
  'POST /v1/messages': { peer: 'agent-b', type: 'text', text: 'hi', replyTo: 'm0', forMs: 60_000 },
  'POST /v1/messages/show': { id: '0mf1' },
  'POST /v1/messages/cancel': { id: '0mf1' },
  'POST /v1/inbox': { from: 'agent-b' },
  'POST /v1/inbox/find': { id: 'm1' },
  'POST /v1/inbox/remove': { ids: ['m1', 'm2'] },
  'POST /v1/inbox/wait': { replyTo: 'm0', after: 'm1', timeoutMs: 1_000 },
  'POST /v1/drain': { exposure: '80' },
  'POST /v1/resume': {},
}
const NO_EDIT = { name: undefined, save: undefined, ifVersion: undefined }
/** The arguments with which each call reaches the gateway. */
const ARGUMENTS: Readonly<Record<string, readonly unknown[]>> = {
  'POST /v1/resolve': ['agent-b'],
  'POST /v1/doctor': ['agent-b:80'],
  'POST /v1/ping': ['agent-b', 3, 500],
  'POST /v1/bench': ['agent-b', { bytes: 1_000, forMs: 300_000 }],
  'POST /v1/whois': ['127.0.0.1:40002'],
  'POST /v1/trust/request': ['agent-b', 'it is me'],
  'POST /v1/trust/approve': ['7', 28_800_000],
  'POST /v1/trust/reject': ['7'],
  'POST /v1/trust/revoke': ['7'],
  'POST /v1/tickets': [undefined, 600_000, undefined],
  'POST /v1/tickets/cancel': ['bob'],
  'POST /v1/tickets/redeem': ['pgt1_AAAA'],
  'PUT /v1/config': [3, { version: 3, map: [] }],
  'POST /v1/config/diff': ['/etc/gateway.yaml', 'version: 1'],
  'POST /v1/map': ['8080:agent-b:80', { ...NO_EDIT, name: 'web', ifVersion: 3 }],
  'POST /v1/unmap': ['web', { ...NO_EDIT, name: 'web', save: true }],
  'POST /v1/expose': ['80=3000', NO_EDIT],
  'POST /v1/unexpose': ['80', { ...NO_EDIT, name: '80' }],
  'POST /v1/drain': ['80'],
  'POST /v1/messages': [
    { peer: 'agent-b', type: 'text', content: utf8('hi'), name: undefined, replyTo: 'm0', forMs: 60_000 },
  ],
  'POST /v1/messages/show': ['0mf1'],
  'POST /v1/messages/cancel': ['0mf1'],
  'GET /v1/inbox': [{}],
  'POST /v1/inbox': [{ from: 'agent-b', replyTo: undefined, after: undefined }],
  'POST /v1/inbox/find': ['m1'],
  'POST /v1/inbox/remove': [['m1', 'm2']],
  'POST /v1/inbox/wait': [{ from: undefined, replyTo: 'm0', after: 'm1' }, 1_000],
  'POST /v1/resume': [undefined],
}

test('every record can be read, every action reaches the gateway with its arguments, and no gateway method is left out', async () => {
  // The list comes from the program: a path without a sample here fails.
  const reached = new Set<string>()
  for (const [path, routes] of Object.entries(ROUTES)) {
    for (const { method } of [routes].flat()) {
      const name = `${method} ${path}`
      const calls: { readonly method: string; readonly args: readonly unknown[]; readonly result: unknown }[] = []
      const body = method === 'GET' ? '' : JSON.stringify(BODIES[name] ?? assert.fail(`no body for ${name}`))
      const response = await answer(recording(calls), { method, path, body })
      assert.deepEqual([response.status, calls.length], [200, 1], name)
      const result = await calls[0]!.result
      const expected = name === 'POST /v1/messages/show' ? (result as readonly unknown[])[0] : result
      assert.deepEqual([response.body, calls[0]!.args], [expected, ARGUMENTS[name] ?? []], name)
      reached.add(calls[0]!.method)
    }
  }
  assert.deepEqual([...reached].sort(), [...methodsOf(fakeControl([])).keys()].sort())
  assert.equal((await answer(fakeControl([]), get('/v1/status?x=1'))).status, 200)
  const calls: unknown[][] = []
  await answer(fakeControl(calls), post('/v1/trust/request', { peer: 'agent-b' }))
  assert.deepEqual(calls, [['requestTrust', 'agent-b', '']])
})

/** A gateway that records which of its methods was called, and with what. */
function recording(
  calls: { readonly method: string; readonly args: readonly unknown[]; readonly result: unknown }[],
): AdminControl {
  return withMethods(fakeControl([]), (method, call) => (...args) => {
    const result = call(...args)
    calls.push({ method, args, result })
    return result
  }) as AdminControl
}

test('an invalid request is refused and never reaches the gateway', async () => {
  const calls: unknown[][] = []
  const control = fakeControl(calls)
  const cases: [AdminRequest, number, RegExp][] = [
    [get('/v1/nothing'), 404, /nothing at \/v1\/nothing/],
    [get('/'), 404, /nothing at/],
    [get('/v1/constructor'), 404, /nothing at/],
    [get('constructor'), 404, /nothing at/],
    [get('/v1/ping'), 405, /accepts POST only/],
    [post('/v1/status', {}), 405, /accepts GET only/],
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
    [post('/v1/tickets', { forMs: 600_000, label: '\x1b[31m' }), 400, /"label": expected letters/],
    [post('/v1/tickets/redeem', {}), 400, /"ticket" is missing/],
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

test('a refusal by the gateway comes back with the code, hint, details and status of the error table', async () => {
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
