/**
 * Server and client over a real Unix socket in a temporary folder: who may open it, who holds it, and what a caller
 * gets back.
 */
import { test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PilotError, type ErrorCode } from '../../../src/base/errors.ts'
import { adminClient } from '../../../src/admin/client.ts'
import { MAX_BODY_BYTES } from '../../../src/admin/routes.ts'
import { startAdmin } from '../../../src/admin/server.ts'
import { utf8 } from '../../../src/base/bytes.ts'
import { fakeControl, methodsOf } from './control.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }

/** Arguments the fake gateway can answer, for each method that takes some. */
const ARGUMENTS: Readonly<Record<string, readonly unknown[]>> = {
  whois: ['127.0.0.1:40002'],
  ping: ['agent-b', 1, 500],
  bench: ['agent-b', { bytes: 1_000, forMs: 1_000 }],
  explain: ['agent-b:80'],
  resolve: ['agent-b'],
  requestTrust: ['agent-b', 'it is me'],
  approveTrust: ['agent-b', 28_800_000],
  rejectTrust: ['agent-b'],
  revokeTrust: ['agent-b'],
  invite: ['80', 600_000, 'bob'],
  cancelTicket: ['bob'],
  redeem: ['pgt1_AAAA'],
  drain: ['80'],
  'messages.send': [
    { peer: 'agent-b', type: 'text', content: utf8('hi'), name: undefined, replyTo: 'm0', forMs: 60_000 },
  ],
  'messages.cancel': ['0mf1'],
  'messages.inbox': [{ from: 'agent-b', replyTo: undefined, after: undefined }],
  'messages.find': ['m1'],
  'messages.remove': [['m1']],
  'messages.wait': [{ from: undefined, replyTo: 'm0', after: 'm1' }, 1_000],
  resume: ['80'],
  diff: ['/etc/gateway.yaml', 'version: 1'],
  replace: [3, { map: [], trust: ['agent-b'] }],
  map: ['8080:agent-b:80', { name: 'web', save: true, ifVersion: 3 }],
  unmap: ['web', { name: undefined, save: true, ifVersion: 3 }],
  expose: ['80=3000', { name: undefined, save: undefined, ifVersion: undefined }],
  unexpose: ['80', { name: undefined, save: undefined, ifVersion: undefined }],
}

test('client and server carry every method: arguments there, answer back', async (t) => {
  const calls: unknown[][] = []
  const { client } = await start(t, fakeControl(calls))
  const methods = methodsOf(client)
  for (const [method, direct] of methodsOf(fakeControl([]))) {
    const args = ARGUMENTS[method] ?? []
    calls.length = 0
    assert.deepEqual(await methods.get(method)!(...args), await direct(...args), method)
    if (method === 'replace') assert.deepEqual(calls, [['replace', 3, { version: 3, map: [], trust: ['agent-b'] }]])
    else if (method.startsWith('un')) assert.deepEqual(calls[0]?.slice(0, 2), [method, args[0]])
    else if (args.length > 0) assert.deepEqual(calls, [[method, ...args]], method)
  }
})

test('only the owner may open the socket and the folder made for it', async (t) => {
  const { socketPath } = await start(t, fakeControl([]), 'made/for/it/admin.sock')
  assert.equal(statSync(socketPath).mode & 0o777, 0o600)
  assert.equal(statSync(join(socketPath, '..')).mode & 0o777, 0o700)
})

test('an error crosses the socket with its code, details and message', async (t) => {
  const { client } = await start(
    t,
    fakeControl([], { ping: () => Promise.reject(new PilotError('PEER_UNREACHABLE', 'no path', { peer: 'x' })) }),
  )
  await fails(client.ping('x', 0, 100), 'PEER_UNREACHABLE', /^no path$/)
})

test("a running gateway's socket is a conflict and stays, a dead one's is replaced", async (t) => {
  const { socketPath, client } = await start(t, fakeControl([]))
  await fails(startAdmin({ socketPath, control: fakeControl([]), log }), 'CONFLICT', /another gateway is running/)
  assert.equal((await client.status()).pid, 42)

  const dead = join(folder(t), 'dead.sock')
  spawnSync(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(dead)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ])
  assert.ok(existsSync(dead), 'the killed process left its socket behind')
  await fails(adminClient(dead).status(), 'NOT_RUNNING', /nothing listens/)
  const admin = await startAdmin({ socketPath: dead, control: fakeControl([]), log })
  assert.equal((await adminClient(dead).status()).pid, 42)
  await Promise.all([admin.stop(), admin.stop()])
  assert.ok(!existsSync(dead), 'the socket is gone after stop')
})

test('a file that is not a socket is left untouched, and an impossible path is reported', async (t) => {
  const path = join(folder(t), 'precious')
  writeFileSync(path, 'data')
  await fails(
    startAdmin({ socketPath: path, control: fakeControl([]), log }),
    'CONFLICT',
    /not a socket is in the way; it was left untouched/,
  )
  await fails(
    startAdmin({ socketPath: join(path, 'admin.sock'), control: fakeControl([]), log }),
    'USAGE',
    /is not a folder/,
  )
  await fails(
    startAdmin({ socketPath: `/tmp/${'x'.repeat(120)}`, control: fakeControl([]), log }),
    'USAGE',
    /at most 107 bytes/,
  )
})

test('nothing at the path means no gateway is running', async (t) => {
  await fails(adminClient(join(folder(t), 'none.sock')).status(), 'NOT_RUNNING', /none\.sock does not exist/)
})

test('a gateway that does not answer times out', async (t) => {
  const path = join(folder(t), 'mute.sock')
  const mute = createServer(() => {}).listen(path)
  t.after(() => mute.close())
  await fails(adminClient(path, 50).status(), 'TIMED_OUT', /did not answer within 50 ms/)
})

test('something other than a gateway is reported', async (t) => {
  const path = join(folder(t), 'other.sock')
  const other = createServer((socket) =>
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello'),
  ).listen(path)
  t.after(() => other.close())
  await fails(adminClient(path).status(), 'FAILED', /other than JSON/)
})

test('a body beyond the limit is answered with 413', async (t) => {
  const { socketPath } = await start(t, fakeControl([]))
  const status = await new Promise((resolve, reject) => {
    const call = request({ socketPath, method: 'POST', path: '/v1/ping', agent: false }, (response) =>
      resolve(response.resume().statusCode),
    )
    call.on('error', reject)
    call.end('x'.repeat(MAX_BODY_BYTES + 1))
  })
  assert.equal(status, 413)
})

async function start(t: TestContext, control: ReturnType<typeof fakeControl>, name = 'admin.sock') {
  const socketPath = join(folder(t), name)
  const admin = await startAdmin({ socketPath, control, log })
  t.after(() => admin.stop())
  return { socketPath, client: adminClient(socketPath) }
}

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'pilotgate-test-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

async function fails(promise: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof PilotError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, message)
    return true
  })
}
