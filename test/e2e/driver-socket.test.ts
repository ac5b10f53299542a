/**
 * The driver socket of the real program: what drivers of a pilot daemon do, message by message, and what happens to a
 * socket, a port and a client that are in the way. What real drivers print is in test/interop/driver-socket.interop.test.ts.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { StatusRecord } from '../../src/gateway/model/records.ts'
import { eventually, pair, pause, Stage } from './harness.ts'
import type { Gateway } from './harness.ts'
import { IpcClient } from './ipc-client.ts'
import { echo, noise } from './servers.ts'

let stage: Stage
let a: Gateway // with the socket
let b: Gateway
let path: string

before(async () => {
  stage = await Stage.open()
  path = stage.path('drivers', 'pilot.sock')
  const service = await echo(stage)
  const pairOf = await pair(
    stage,
    { args: ['--driver-socket', path], expose: [`8080=${service.address}`], openFiles: 4_096 },
    {
      expose: [`80=${service.address}`],
      map: ['0:agent-a:5010'],
      args: ['--driver-socket', stage.path('b', 'pilot.sock')],
    },
  )
  ;({ a, b } = pairOf)
})
after(async () => stage.close())

const client = async (): Promise<IpcClient> => IpcClient.open(stage, path)
const clientOfB = async (): Promise<IpcClient> => IpcClient.open(stage, stage.path('b', 'pilot.sock'))

test('the socket is private from the start, and so is its new folder', () => {
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(statSync(stage.path('drivers')).mode & 0o777, 0o700)
})

test('info and health describe the node, and announce only what it has', async () => {
  const driver = await client()
  const info = await driver.ask('info')
  const { nodeId, address, publicKey } = a.ready.node
  assert.deepEqual(
    [info['node_id'], info['address'], info['public_key'], info['hostname'], info['transport']],
    [nodeId, address, publicKey, 'agent-a', 'udp'],
  )
  assert.deepEqual(info['features'], ['reply_window', 'dial_awaits_key', 'key_request', 'dgram_confirm'])
  const health = await driver.ask('health')
  assert.equal(health['status'], 'ok')
})

test('a stream is dialled, carries bytes both ways in order, and is closed by either side', async () => {
  const driver = await client()
  const connection = await driver.dial(b.ready.node.nodeId, 80)
  const sent = noise(3_000_000)
  for (let at = 0; at < sent.length; at += 500_000)
    driver.say({ kind: 'send', connection, data: sent.subarray(at, at + 500_000) })
  assert.ok((await driver.receive(connection, sent.length)).equals(Buffer.from(sent)))
  const listed = (await driver.ask('info'))['conn_list'] as { id: number; state: string; bytes_sent: number }[]
  assert.deepEqual(
    listed.map(({ id, state, bytes_sent: bytes }) => [id, state, bytes]),
    [[connection, 'ESTABLISHED', sent.length]],
  )
  driver.say({ kind: 'close', connection })
  await driver.take('close_ok')
  await eventually('it is gone', async () =>
    ((await driver.ask('info'))['conn_list'] as unknown[]).length === 0 ? true : undefined,
  )
})

test('ports: bound, accepted, unbound; one that is taken is refused with the words of a daemon', async () => {
  const [server, other, dialler] = [await client(), await client(), await clientOfB()]
  await server.bind(5_000)
  for (const port of [5_000, 7, 444, 1_001, 8_080]) {
    other.say({ kind: 'bind', port })
    assert.equal((await other.take('error')).text, `port ${port} already bound`)
  }
  const connection = await dialler.dial(a.ready.node.nodeId, 5_000)
  const accepted = await server.take('accept')
  assert.deepEqual([accepted.port, accepted.remote.node], [5_000, b.ready.node.nodeId])
  dialler.say({ kind: 'send', connection, data: Buffer.from('question') })
  assert.equal(String(await server.receive(accepted.connection, 8)), 'question')
  server.say({ kind: 'send', connection: accepted.connection, data: Buffer.from('answer') })
  server.say({ kind: 'close', connection: accepted.connection })
  assert.equal(String(await dialler.receive(connection, 6)), 'answer')
  await dialler.take('close_ok', (message) => message.connection === connection)
  other.say({ kind: 'unbind', port: 5_000 })
  assert.equal((await other.take('error')).text, 'unbind: port is not owned by this client')
  server.say({ kind: 'unbind', port: 5_000 })
  assert.equal((await server.take('unbind_ok')).port, 5_000)
  await other.bind(5_000)
  other.socket.destroy()
  await eventually('free again', async () => {
    server.say({ kind: 'bind', port: 5_000 })
    await pause(50)
    return server.heard.some(({ kind }) => kind === 'bind_ok') || undefined
  })
})

test('a peer that ends its request first gets the answer of a driver that answers after the end', async () => {
  const server = await client()
  await server.bind(5_010)
  const socket = connect({ ...b.local('agent-a:5010'), allowHalfOpen: true })
  socket.end('request')
  const { connection } = await server.take('accept')
  assert.equal(String(await server.receive(connection, 7)), 'request')
  await server.take('close_ok', (message) => message.connection === connection) // the end, behind the last byte
  server.say({ kind: 'send', connection, data: Buffer.from('answer') })
  server.say({ kind: 'close', connection })
  const parts: Buffer[] = []
  for await (const part of socket) parts.push(part as Buffer)
  assert.equal(String(Buffer.concat(parts)), 'answer')
})

test('a stream to our own address reaches our own services: built in, exposed, and of other programs', async () => {
  const [driver, server] = [await client(), await client()]
  await server.bind(5_030)
  for (const port of [7, 8_080]) {
    const connection = await driver.dial(a.ready.node.nodeId, port)
    driver.say({ kind: 'send', connection, data: Buffer.from('echo') })
    assert.equal(String(await driver.receive(connection, 4)), 'echo')
  }
  await driver.dial(a.ready.node.nodeId, 5_030)
  assert.equal((await server.take('accept')).remote.node, a.ready.node.nodeId)
  driver.say({ kind: 'dial', address: { network: 0, node: a.ready.node.nodeId }, port: 5_031 })
  assert.equal((await driver.take('error')).text, 'connection refused')
})

test('datagrams: to every client, on any port, confirmed or not; nothing for an unknown node', async () => {
  const [one, two, sender] = [await client(), await client(), await clientOfB()]
  for (const driver of [one, two]) await driver.ask('health') // it is served: what comes now goes to it
  const to = { address: { network: 0, node: a.ready.node.nodeId }, port: 4_000, data: Buffer.from('hello') }
  sender.say({ kind: 'send_to_confirm', ...to })
  await sender.take('confirmed')
  for (const driver of [one, two]) {
    const { source, port, data, sourcePort } = await driver.take('recv_from')
    assert.deepEqual([source.node, port, String(Buffer.from(data))], [b.ready.node.nodeId, 4_000, 'hello'])
    driver.say({ kind: 'send_to', address: source, port: sourcePort, data: Buffer.from('back') })
    assert.equal(String(Buffer.from((await sender.take('recv_from')).data)), 'back')
  }
  sender.say({ kind: 'send_to_confirm', ...to, address: { network: 0, node: 4_711 } })
  assert.equal((await sender.take('error')).text, 'sendto: resolve node 4711: registry: node 4711: node not found')
  sender.say({ kind: 'send_to_confirm', ...to, address: { network: 0, node: 0 } })
  assert.match((await sender.take('error')).text, /^sendto: resolve node 0/)
})

test('a dial is refused, cannot reach, or is cancelled: each has its text', async () => {
  const driver = await client()
  const dial = (node: number, port: number): void => driver.say({ kind: 'dial', address: { network: 0, node }, port })
  dial(b.ready.node.nodeId, 4_242)
  assert.equal((await driver.take('error')).text, 'connection refused')
  dial(4_711, 80)
  assert.equal((await driver.take('error')).text, 'resolve node 4711: registry: node 4711: node not found')
  driver.say({ kind: 'dial', address: { network: 0, node: 4_712 }, port: 80 }, { kind: 'cancel' })
  assert.equal((await driver.take('error')).text, 'context canceled')
})

test('trust: requested, waited for, listed, revoked', async () => {
  const driver = await client()
  const node = b.ready.node.nodeId
  const handshake = async (
    sub: 'trusted' | 'pending' | 'wait' | 'revoke' | 'request',
    waitMs?: number,
  ): Promise<unknown> => {
    const about = sub === 'trusted' || sub === 'pending' ? undefined : node
    driver.say({ kind: 'handshake', sub, node: about, text: '', ...(waitMs !== undefined && { waitMs }) })
    return JSON.parse((await driver.take('json', ({ to }) => to === 'handshake')).text)
  }
  assert.deepEqual(await handshake('wait', 1_000), { node_id: node, trusted: true })
  assert.deepEqual(await handshake('pending'), { pending: [] })
  const { trusted } = (await handshake('trusted')) as { trusted: { node_id: number; public_key: string }[] }
  assert.deepEqual(
    trusted.map((entry) => [entry.node_id, entry.public_key]),
    [[node, b.ready.node.publicKey]],
  )
  assert.deepEqual(await handshake('request'), { node_id: node, status: 'sent' })
  driver.say({ kind: 'handshake', sub: 'revoke', node: 4_711, text: '' })
  assert.equal((await driver.take('error')).text, 'handshake revoke: node 4711 was not trusted')
  driver.say({ kind: 'handshake', sub: 'wait', node: 4_711, text: '', waitMs: 100 })
  assert.deepEqual(JSON.parse((await driver.take('json')).text), { node_id: 4_711, trusted: false })
})

test('a private name is found, since we ask for it signed; envelopes are signed by one node and judged by another', async () => {
  const [driver, other] = [await client(), await clientOfB()]
  const found = await driver.ask('resolve_hostname', 'agent-b')
  assert.deepEqual([found['node_id'], found['public']], [b.ready.node.nodeId, false])
  const asked = { audience: 'example.org', body_b64: Buffer.from('hello').toString('base64') }
  const { envelope, signature } = await driver.ask('sign_envelope', JSON.stringify(asked))
  const judged = await other.ask('verify_envelope', JSON.stringify({ envelope, signature, check_standing: true }))
  assert.deepEqual(
    [judged['valid'], judged['node_id'], judged['trusted'], judged['network_member'], judged['online']],
    [true, a.ready.node.nodeId, true, true, true],
  )
  const altered = String(envelope).replace('example.org', 'example.com')
  assert.deepEqual(await other.ask('verify_envelope', JSON.stringify({ envelope: altered, signature })), {
    type: 'verify_envelope_ok',
    valid: false,
    reason: 'reqsig: signature verification failed',
  })
})

test('a hostname set by a driver is ours until the next start', async () => {
  const driver = await client()
  await driver.ask('set_hostname', 'agent-x')
  assert.equal((await a.status()).node.hostname, 'agent-x')
  await driver.ask('set_hostname', 'agent-a')
  assert.equal((await driver.ask('info'))['hostname'], 'agent-a')
})

test('status lists the sockets and their clients; an exposure takes a port from a client', async () => {
  const driver = await client()
  await driver.bind(5_020)
  const drivers = async (): Promise<NonNullable<StatusRecord['drivers']>> => (await a.status()).drivers!
  const mine = (await drivers()).clients.find(({ ports }) => ports.includes(5_020))
  assert.deepEqual([(await drivers()).sockets, mine?.streams], [[path], 0])
  const text = (await a.cli('status')).stdout
  assert.match(text, /^drivers +.*pilot\.sock$/m)
  assert.match(text, /^driver +\d+, since .*, 0 streams, on port 5020$/m)
  const { address } = await echo(stage)
  assert.equal((await a.cli('expose', `5020=${address}`)).code, 0)
  assert.equal(
    (await drivers()).clients.find(({ ports }) => ports.includes(5_020)),
    undefined,
  )
  const dialler = await clientOfB()
  const connection = await dialler.dial(a.ready.node.nodeId, 5_020)
  dialler.say({ kind: 'send', connection, data: Buffer.from('exposed') })
  assert.equal(String(await dialler.receive(connection, 7)), 'exposed')
})

test(
  'a client that does not read is disconnected after 10 s, and others do not notice',
  { timeout: 60_000 },
  async () => {
    const [deaf, driver] = [await client(), await client()]
    const connection = await deaf.dial(b.ready.node.nodeId, 80)
    deaf.socket.pause()
    deaf.say({ kind: 'send', connection, data: noise(1_000_000) })
    for (let i = 0; i < 20; i++) deaf.say({ kind: 'send', connection, data: noise(500_000) })
    const began = performance.now()
    const own = await driver.dial(b.ready.node.nodeId, 80)
    let rounds = 0
    while ((await a.status()).drivers!.clients.length > 0 && performance.now() - began < 40_000) {
      driver.say({ kind: 'send', connection: own, data: Buffer.from('still here') })
      assert.equal(String(await driver.receive(own, 10)), 'still here')
      rounds += 1
      if (await a.program.log('it is gone', isNotReading, { timeoutMs: 200 }).catch(() => undefined)) break
    }
    assert.ok(rounds > 5, `${rounds} rounds`)
    await a.program.log('it is gone', isNotReading)
    assert.ok(performance.now() - began > 9_000)
  },
)

test('1,024 clients are served, the next one is not', { timeout: 60_000 }, async () => {
  const others = (await a.status()).drivers!.clients.length
  const many: IpcClient[] = []
  while (many.length < 1_024 - others) many.push(await client())
  await eventually('all of them', async () => (await a.status()).drivers!.clients.length === 1_024 || undefined)
  const last = await client()
  await eventually('it is turned away', () => last.closed || undefined)
  assert.equal((await many.at(-1)!.ask('health'))['status'], 'ok')
  for (const { socket } of many) socket.destroy()
})

test('a live daemon is not replaced, nor is a file; a dead socket is', async () => {
  const start = async (socket: string, name: string): Promise<{ code: number | null; text: string }> => {
    const args = [
      'up',
      '--json',
      '--registry',
      '127.0.0.1:9',
      '--beacon',
      '127.0.0.1:9',
      '--state-dir',
      stage.path(name),
    ]
    const program = stage.start([...args, '--listen', '127.0.0.1:0', '--driver-socket', socket])
    const ended = program.ended().then(({ code }) => ({ code, text: program.stdout }))
    const ready = program.event('ready').then(
      () => ({ code: 0, text: '' }),
      () => ended,
    )
    const result = await Promise.race([ended, ready])
    await program.kill()
    return result
  }
  const taken = await start(path, 'second')
  assert.equal(taken.code, 6)
  assert.match(taken.text, /a daemon answers there/)
  const file = stage.path('file')
  writeFileSync(file, 'precious')
  assert.equal((await start(file, 'third')).code, 6)
  assert.ok(existsSync(file))
  const dead = stage.path('dead.sock')
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(stage.path('live.sock'), resolve))
  renameSync(stage.path('live.sock'), dead) // so that closing does not remove it
  await new Promise((resolve) => server.close(resolve))
  assert.ok(existsSync(dead))
  assert.equal((await start(dead, 'fourth')).code, 0)
})

const isNotReading = ({ msg }: { readonly msg: string }): boolean => msg.includes('has stopped reading')
