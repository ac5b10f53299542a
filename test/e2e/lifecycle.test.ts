/** How a gateway ends, what commands report about a running one, and manual trust. */
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdir, readFile, rm, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { eventually, Gateway, pair, pause, Rendezvous, Stage } from './harness.ts'
import type { Address } from './harness.ts'
import { echo, ending, everything, fate, open, passive, some, talk } from './servers.ts'
import type { Service } from './servers.ts'

let stage: Stage
let service: Service
before(async () => {
  stage = await Stage.open()
  service = await echo(stage)
})
after(async () => stage.close())

for (const which of ['maps', 'exposes'] as const) {
  test(`SIGTERM to the gateway that ${which}: open connections may finish, new ones are refused, the exit code is 0`, async (t) => {
    // An open connection still works after the signal; a new one is refused or reset; the process ends with the old
    // one.
    const { inner, a, b } = await innerPair(t)
    const gateway = which === 'maps' ? a : b
    const local = a.local('agent-b:80')
    const socket = await greeted(inner, local)
    gateway.program.signal('SIGTERM')
    await gateway.program.log('it drains', ({ msg }) => msg.includes('draining'))
    assert.equal((await gateway.status()).state, 'draining')
    assert.notEqual(await attempt(local), 'connected')
    socket.write('still')
    assert.equal((await some(socket)).toString(), 'still')
    const rest = everything(socket)
    socket.end('the end')
    assert.equal((await rest).toString(), 'the end')
    assert.deepEqual(await gateway.program.ended(5_000), { code: 0, signal: null })
    await assert.rejects(stat(gateway.admin), 'the admin socket is gone')
  })
}

test('a second SIGTERM ends open connections immediately, and the exit code is 0', async (t) => {
  const { inner, a } = await innerPair(t)
  const socket = await greeted(inner, a.local('agent-b:80'))
  a.program.signal('SIGTERM')
  await a.program.log('it drains', ({ msg }) => msg.includes('draining'))
  await pause(SAME_REQUEST_MS) // any sooner and it counts as the same request
  const began = performance.now()
  a.program.signal('SIGTERM')
  assert.deepEqual(await a.program.ended(3_000), { code: 0, signal: null })
  assert.equal(await ending(socket), 'reset')
  t.diagnostic(`ended ${(performance.now() - began).toFixed(0)} ms after the second signal`)
})

test('an idle gateway and a rendezvous exit 0 at once on SIGINT and leave nothing behind', async (t) => {
  const { a, rendezvous } = await innerPair(t)
  for (const program of [a.program, rendezvous.program]) {
    program.signal('SIGINT')
    assert.deepEqual(await program.ended(3_000), { code: 0, signal: null })
  }
  await assert.rejects(stat(a.admin))
})

test('the admin socket has mode 0600 in a folder of mode 0700, and a stale socket is replaced', async (t) => {
  const { a } = await innerPair(t)
  assert.equal((await stat(a.admin)).mode & 0o777, 0o600)
  assert.equal((await stat(a.stateDir)).mode & 0o777, 0o700)
  assert.equal((await stat(`${a.stateDir}/identity.json`)).mode & 0o777, 0o600)
  await a.program.kill()
  assert.ok((await stat(a.admin)).isSocket(), 'a killed gateway cannot clean up')
  await a.restart()
  assert.equal((await a.json<{ pid: number }>('status')).pid, a.program.pid)
})

describe('trust by hand', { concurrency: true }, () => {
  // each waits for idle registry polls, so they run in parallel
  test('a request from one side is listed as pending and approved on the other, then connections work', async () => {
    // agent-y starts without --trust; before approval agent-x gets nothing, afterwards both list each other.
    const { x, y } = await strangers('hand')
    assert.equal((await fate(stage, x.local('agent-y:80'))).ending, 'reset')
    assert.deepEqual(await x.json('trust', 'request', 'agent-y', 'it is me'), { peer: 'agent-y', state: 'requested' })
    await y.program.event('trust', (event) => event['state'] === 'pending' && event['nodeId'] === x.ready.node.nodeId)
    const [pending] = await y.json<Record<string, unknown>[]>('trust', 'pending')
    assert.deepEqual(
      [pending!['nodeId'], pending!['address'], pending!['publicKey'], pending!['justification']],
      [x.ready.node.nodeId, x.ready.node.address, x.ready.node.publicKey, 'it is me'],
    )
    assert.equal((await fate(stage, x.local('agent-y:80'))).ending, 'reset')
    assert.equal((await y.json<{ nodeId: number }>('trust', 'approve', 'agent-x')).nodeId, x.ready.node.nodeId)
    await Promise.all([x.trusts('agent-y'), y.trusts('agent-x')])
    await eventually(
      'a connection works',
      async () =>
        await talk(stage, x.local('agent-y:80'), Buffer.from('works')).then(
          (reply) => reply.toString() === 'works' || undefined,
          () => undefined,
        ),
    )
    for (const [one, other] of [
      [x, y],
      [y, x],
    ] as const) {
      const [trusted] = await one.json<Record<string, unknown>[]>('trust', 'list')
      assert.deepEqual(
        [trusted!['nodeId'], trusted!['hostname'], trusted!['publicKey']],
        [other.ready.node.nodeId, other.setup.name, other.ready.node.publicKey],
      )
      assert.ok(!Number.isNaN(Date.parse(String(trusted!['since']))))
    }
    assert.deepEqual(await y.json('trust', 'pending'), [])
  })

  test('revoking trust resets open streams and admits no new ones, on either side', async () => {
    const { x, y } = await strangers('revoked')
    await x.json('trust', 'request', 'agent-y')
    await y.program.event('trust', (event) => event['state'] === 'pending')
    await y.json('trust', 'approve', String(x.ready.node.nodeId))
    await x.trusts('agent-y')
    const socket = await eventually(
      'a connection works',
      async () => await greeted(stage, x.local('agent-y:80')).catch(() => undefined),
    )
    await y.json('trust', 'revoke', 'agent-x')
    assert.equal(await ending(socket), 'reset')
    await y.program.event('trust', (event) => event['state'] === 'revoked')
    assert.equal((await fate(stage, x.local('agent-y:80'))).ending, 'reset')
    assert.deepEqual([await y.json('trust', 'list'), await y.connections()], [[], []])
  })

  test('an acknowledged revocation survives kill -9 right after the answer', async () => {
    // On a slow disk; the signal is sent in the turn that receives the answer: anything not on disk by then is lost.
    const { x, y } = await strangers('killed', {
      NODE_OPTIONS: `--import=${new URL('slow-disk.mjs', import.meta.url).href}`,
    })
    await x.json('trust', 'request', 'agent-y')
    await y.program.event('trust', (event) => event['state'] === 'pending')
    await y.json('trust', 'approve', 'agent-x')
    await x.trusts('agent-y')
    const file = `${y.stateDir}/trust.json`
    await eventually(
      'the approval is on disk',
      async () => /"approved_at"/.test(await readFile(file, 'utf8')) || undefined,
    )
    assert.equal(await post(y, 'trust/revoke', { peer: 'agent-x' }, () => y.program.killNow()), 200)
    await y.restart()
    assert.deepEqual(await y.ask('trust'), [])
  })

  test('a decision that cannot be saved is an error, but takes effect anyway', async () => {
    const { x, y } = await strangers('unwritable')
    await x.json('trust', 'request', 'agent-y')
    await y.program.event('trust', (event) => event['state'] === 'pending')
    await y.json('trust', 'approve', 'agent-x')
    await rm(`${y.stateDir}/trust.json`)
    await mkdir(`${y.stateDir}/trust.json/in the way`, { recursive: true }) // even root cannot write here
    const { code, stderr } = await y.cli('trust', 'revoke', 'agent-x')
    assert.equal(code, 1)
    assert.match(stderr, /trust could not be saved.*a restart would undo it/)
    assert.deepEqual(await y.ask('trust'), [])
    await rm(`${y.stateDir}/trust.json`, { recursive: true })
    await y.program.log('the retry succeeds', ({ msg }) => msg === 'trust is saved again')
    await y.restart()
    assert.deepEqual(await y.ask('trust'), [])
  })

  test('a rejected request is reported to the requester, is no longer pending, and grants nothing', async () => {
    const { x, y } = await strangers('rejected')
    await x.json('trust', 'request', y.ready.node.address)
    await y.program.event('trust', (event) => event['state'] === 'pending')
    await y.json('trust', 'reject', x.ready.node.address)
    await x.program.event('trust', (event) => event['state'] === 'rejected')
    assert.deepEqual([await y.json('trust', 'pending'), await y.json('trust', 'list')], [[], []])
    assert.equal((await fate(stage, x.local('agent-y:80'))).ending, 'reset')
    const { code } = await y.cli('trust', 'approve', 'agent-x', '--json')
    assert.equal(code, 5, 'there is nothing left to approve')
  })

  test('a rejected request by hostname does not come back on its own', async () => {
    // The requester repeats its request until it has an answer: several repetitions fit into the time observed.
    const { x, y } = await strangers('again')
    await x.json('trust', 'request', 'agent-y')
    await y.program.event('trust', (event) => event['state'] === 'pending')
    await y.json('trust', 'reject', 'agent-x')
    const until = performance.now() + REPEATS_MS
    while (performance.now() < until) {
      assert.deepEqual(await y.ask('trust/pending'), [], 'it is pending again')
      await pause(100)
    }
  })
})

const STATUS_FIELDS = [
  'admin',
  'beacon',
  'config',
  'connections',
  'counters',
  'daemon',
  'drivers',
  'exposures',
  'http',
  'mappings',
  'memory',
  'nat',
  'node',
  'observe',
  'peers',
  'pid',
  'port',
  'problems',
  'registry',
  'state',
  'trustRequests',
  'udp',
  'uptimeMs',
  'version',
]

test('status, the lists and ping have the documented fields', async (t) => {
  // With one connection open; the numbers that can be known are compared.
  const { inner, a, b } = await innerPair(t)
  await greeted(inner, a.local('agent-b:80'))
  const status = await a.json<Record<string, unknown>>('status')
  assert.deepEqual(Object.keys(status).sort(), STATUS_FIELDS)
  assert.deepEqual(
    [status['state'], status['node'], status['udp'], status['connections'], status['peers'], status['pid']],
    ['ready', a.ready.node, a.ready.udp, 1, 1, a.program.pid],
  )
  const [mapping, exposure] = [
    (await a.json<object[]>('list', 'mappings'))[0]!,
    (await b.json<object[]>('list', 'exposures'))[0]!,
  ]
  const { host, port } = a.local('agent-b:80')
  assert.deepEqual(mapping, {
    name: 'agent-b:80',
    local: `${host}:${port}`,
    peer: 'agent-b',
    remote: `${b.ready.node.address}:80`,
    protocol: 'tcp',
  })
  assert.deepEqual(exposure, {
    name: '80',
    port: 80,
    target: `tcp://${service.address}`,
    allow: ['trusted'],
    protocol: 'tcp',
  })
  const peer = await eventually("only the client's stream is left, none from the handshake", async () => {
    const [known] = await a.json<Record<string, unknown>[]>('list', 'peers')
    return known?.['streams'] === 1 ? known : undefined
  })
  assert.deepEqual(
    [peer['nodeId'], peer['address'], peer['hostname'], peer['trusted'], peer['state'], peer['streams']],
    [b.ready.node.nodeId, b.ready.node.address, 'agent-b', true, 'connected', 1],
  )
  assert.deepEqual(Object.keys(peer['path'] as object).sort(), ['endpoint', 'kind', 'mtu', 'rttMs', 'transport'])
  const [[mapped], [exposed]] = [
    await a.json<Record<string, unknown>[]>('list', 'connections'),
    await b.json<Record<string, unknown>[]>('list', 'connections'),
  ]
  const fields = [
    'bytesIn',
    'bytesOut',
    'direction',
    'id',
    'local',
    'nodeId',
    'openedMs',
    'peer',
    'protocol',
    'remote',
    'service',
    'state',
  ]
  assert.deepEqual([Object.keys(mapped!).sort(), Object.keys(exposed!).sort()], [fields, fields])
  assert.deepEqual(
    [mapped!['direction'], mapped!['bytesOut'], mapped!['bytesIn'], mapped!['nodeId'], mapped!['state']],
    ['map', 5, 5, b.ready.node.nodeId, 'open'],
  )
  assert.deepEqual(
    [exposed!['direction'], exposed!['bytesOut'], exposed!['bytesIn'], exposed!['nodeId'], exposed!['state']],
    ['expose', 5, 5, a.ready.node.nodeId, 'open'],
  )
  const ping = await a.json<{ sent: number; received: number; rtts: number[]; nodeId: number }>(
    'ping',
    'agent-b',
    '--count',
    '3',
    '--interval',
    '10',
  )
  assert.deepEqual([ping.sent, ping.received, ping.rtts.length, ping.nodeId], [3, 3, 3, b.ready.node.nodeId])
  assert.ok(ping.rtts.every((rtt) => rtt > 0 && rtt < 1_000))
})

test('the same commands print tables for people, and ping prints each round trip', async (t) => {
  const { a } = await innerPair(t)
  const ping = await a.cli('ping', 'agent-b', '--count', '2', '--interval', '10')
  assert.equal(ping.code, 0, ping.stderr)
  assert.match(
    ping.stdout,
    /seq 0, [\d.]+ ms, (direct|lan|punched|relay) .*\n.*seq 1, .*\n2 sent, 2 received, 0 % lost; min\/avg\/max [\d.]+\/[\d.]+\/[\d.]+ ms\n(direct|lan|punched|relay): .+\n$/,
  )
  const tables: [string, RegExp][] = [
    ['status', /agent-a/],
    ['list peers', /agent-b/],
    ['list mappings', /agent-b:80/],
    ['list connections', /no connections/],
    ['list exposures', /no exposures/],
  ]
  await Promise.all(
    tables.map(async ([command, text]) => {
      const { code, stdout, stderr } = await a.cli(...command.split(' '))
      assert.deepEqual([code, stderr], [0, ''], command)
      assert.match(stdout, text)
    }),
  )
})

interface Inner {
  readonly inner: Stage
  readonly a: Gateway
  readonly b: Gateway
  readonly rendezvous: Rendezvous
}

/** A pair the test may stop: agent-a maps agent-b's echo. */
async function innerPair(t: { after(fn: () => Promise<void>): void }): Promise<Inner> {
  const inner = await Stage.open()
  t.after(async () => inner.close())
  const quiet = await passive(inner)
  return {
    inner,
    ...(await pair(
      inner,
      { map: ['0:agent-b:80', '0:agent-b:81'] },
      { expose: [`80=${service.address}`, `81=${quiet.address}`] },
    )),
  }
}

/** Two gateways that know nothing about each other, except that agent-x maps agent-y's echo. */
async function strangers(
  name: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly x: Gateway; readonly y: Gateway }> {
  const { registry, beacon } = await Rendezvous.start(stage, stage.path(`rendezvous-${name}`))
  const start = (which: string, more: object): Promise<Gateway> =>
    Gateway.start(stage, { name: which, folder: `${name}-${which}`, registry, beacon, env, ...more })
  const [x, y] = await Promise.all([
    start('agent-x', { map: ['0:agent-y:80'] }),
    start('agent-y', { expose: [`80=${service.address}`] }),
  ])
  return { x, y }
}

/** A command over the admin socket; `onAnswer` runs on the first byte of the answer. @returns the HTTP status. */
async function post(gateway: Gateway, path: string, body: object, onAnswer: () => void): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const call = request({ socketPath: gateway.admin, path: `/v1/${path}`, method: 'POST', headers }, (response) => {
      onAnswer()
      response.on('error', () => {}) // the rest dies with the process
      response.resume()
      resolve(response.statusCode)
    })
    call.on('error', reject)
    call.end(JSON.stringify(body))
  })
}

async function greeted(inner: Stage, to: Address): Promise<Socket> {
  const socket = await open(inner, to)
  socket.write('hello')
  assert.equal((await some(socket)).toString(), 'hello')
  return socket
}

/** What happens to a new client: 'connected' if its bytes come back. */
async function attempt(to: Address): Promise<string> {
  return await new Promise((resolve) => {
    const socket = connect({ ...to })
    socket.on('connect', () => socket.write('x'))
    socket.on('data', () => resolve('connected'))
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)))
    socket.on('end', () => resolve('end'))
    socket.on('close', () => resolve('closed'))
    socket.setTimeout(5_000, () => resolve('silence'))
  })
}

/** cli/stop.ts treats two signals within 300 ms as one: a Ctrl+C passed on by npm. */
const SAME_REQUEST_MS = 350
/** REQUEST_AGAIN_MS of proto/node/constants.ts: repeated after 1, 2.5, 4.5 s. */
const REPEATS_MS = 5_000
