/**
 * kill -9 of each part. The rendezvous: open connections continue, new ones work as soon as possible, nothing else
 * needs a restart. A gateway: the other one's clients are reset within the documented time, and everything works again
 * once it is back, as the same node at the same addresses. The tests run concurrently: they mostly wait.
 */
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { KEEPALIVE_MS, PEER_DEAD_MS } from '../../src/proto/node/constants.ts'
import { eventually, Gateway, pair, Stage } from './harness.ts'
import type { Address } from './harness.ts'
import { echo, ending, noise, open, serve, some, summaryOf, talk } from './servers.ts'
import type { Service } from './servers.ts'

/** docs/limits.md, "A peer that vanished: until its streams are reset". */
const VANISHED_MS = KEEPALIVE_MS + PEER_DEAD_MS
const SLACK_MS = 3_000 // of two busy cores

let stage: Stage
let service: Service

before(async () => {
  stage = await Stage.open()
  service = await echo(stage)
})
after(async () => stage.close())

describe('a kill -9', { concurrency: true }, () => {
  test('of the rendezvous, and then of both gateways: they find each other without it, with the same identities', async (t) => {
    const inner = await innerStage(t)
    const { rendezvous, a, b } = await pair(inner, { map: ['0:agent-b:80'] }, { expose: [`80=${service.address}`] })
    await works(a.local('agent-b:80'))
    for (const { stateDir } of [a, b]) {
      await eventually(
        "the peer's endpoint is on disk",
        async () =>
          /"node_id": \d/.test(await readFile(`${stateDir}/places.json`, 'utf8').catch(() => '')) || undefined,
      )
    }
    await rendezvous.program.kill()
    const before = [a, b].map(({ ready }) => [ready.node.nodeId, ready.udp])
    for (const gateway of [a, b]) await gateway.restart()
    await works(a.local('agent-b:80'))
    assert.deepEqual(
      await Promise.all([a, b].map(async (gateway) => [(await gateway.status()).node.nodeId, gateway.ready.udp])),
      before,
      'the same ids at the same ports',
    )
    for (const gateway of [a, b]) assert.equal((await gateway.status()).registry?.state, 'unreachable')
  })

  test('of the rendezvous affects neither open streams nor new connections between connected peers', async (t) => {
    // It is killed during a transfer; then a new connection is made; then it comes back on the same ports with its
    // store.
    const inner = await innerStage(t)
    const slow = await serve(inner, trickle)
    const { rendezvous, a, b } = await pair(
      inner,
      { map: ['0:agent-b:80', '0:agent-b:81'] },
      { expose: [`80=${service.address}`, `81=${slow.address}`], trust: ['agent-c'] },
    )
    const transfer = talk(inner, a.local('agent-b:81'), Buffer.from('go'), 30_000)
    await eventually('the transfer runs', () => slow.sockets.size === 1 || undefined)
    await rendezvous.program.kill()
    await works(a.local('agent-b:80'))
    assert.equal(summaryOf(await transfer), summaryOf(noise(TRICKLE_BYTES)))
    await a.program.log('the registry is gone', ({ code }) => code === 'REGISTRY_UNREACHABLE')
    await works(a.local('agent-b:80'))

    await rendezvous.restart()
    for (const gateway of [a, b])
      await eventually(
        `${gateway.setup.name} is registered again`,
        async () => (await gateway.status()).registry?.state === 'registered' || undefined,
      )
    await works(a.local('agent-b:80'))
    const { registry, beacon } = rendezvous
    const c = await Gateway.start(inner, {
      name: 'agent-c',
      registry,
      beacon,
      trust: ['agent-b'],
      map: ['0:agent-b:80'],
    })
    await Promise.all([c.trusts('agent-b'), b.trusts('agent-c')])
    await works(c.local('agent-b:80'))
    assert.deepEqual([a.program.exit, b.program.exit], [undefined, undefined])
  })

  test('of the rendezvous without a store: gateways register again and new connections work without restarting them', async (t) => {
    // The registry comes back empty and may assign other ids; both gateways still trust each other's keys.
    const inner = await innerStage(t)
    const { rendezvous, a, b } = await pair(inner, { map: ['0:agent-b:80'] }, { expose: [`80=${service.address}`] })
    await works(a.local('agent-b:80'))
    await rendezvous.program.kill()
    await rendezvous.forget()
    await rendezvous.restart()
    for (const gateway of [a, b])
      await eventually(
        `${gateway.setup.name} is registered again`,
        async () => (await gateway.status()).registry?.state === 'registered' || undefined,
      )
    await eventually(
      'a new connection works',
      async () =>
        await works(a.local('agent-b:80')).then(
          () => true,
          () => undefined,
        ),
      20_000,
    )
  })

  test(`of a gateway resets the other one's idle clients within ${VANISHED_MS / 1_000} s`, async (t) => {
    const inner = await innerStage(t)
    const { a, b } = await pair(inner, { map: ['0:agent-b:80'] }, { expose: [`80=${service.address}`] })
    const client = await opened(inner, a.local('agent-b:80'))
    await b.program.kill()
    const began = performance.now()
    assert.equal(await ending(client, VANISHED_MS + SLACK_MS), 'reset')
    t.diagnostic(`idle: reset after ${seconds(began)} s`)
    await a.program.log('PEER_UNREACHABLE', ({ code }) => code === 'PEER_UNREACHABLE')
    assert.deepEqual(await a.connections(), [])
  })

  test(`of a gateway resets sending clients within ${PEER_DEAD_MS / 1_000} s; it comes back as the same node`, async (t) => {
    // Identity, address, key and the local address on the other side are compared; a new connection works without a restart.
    const inner = await innerStage(t)
    const { a, b } = await pair(inner, { map: ['0:agent-b:80'] }, { expose: [`80=${service.address}`] })
    const client = await opened(inner, a.local('agent-b:80'))
    await b.program.kill()
    const began = performance.now()
    client.write('is anybody there?')
    assert.equal(await ending(client, PEER_DEAD_MS + SLACK_MS), 'reset')
    t.diagnostic(`sending: reset after ${seconds(began)} s`)
    await comesBackTheSame(b)
    await eventually(
      'a new connection works',
      async () =>
        await works(a.local('agent-b:80')).then(
          () => true,
          () => undefined,
        ),
    )
    t.diagnostic(`works again ${seconds(began)} s after the kill`)
    const mapping = (await a.mappings())[0]!
    assert.deepEqual([mapping.local, mapping.remote], [a.ready.mappings[0]!.local, `${b.ready.node.address}:80`])
  })

  test('of a gateway that restarts immediately resets clients much sooner', async (t) => {
    // The new process does not know the old streams and resets them as soon as a packet for them arrives.
    const inner = await innerStage(t)
    const { a, b } = await pair(inner, { map: ['0:agent-b:80'] }, { expose: [`80=${service.address}`] })
    const [idle, active] = [await opened(inner, a.local('agent-b:80')), await opened(inner, a.local('agent-b:80'))]
    const began = performance.now()
    await comesBackTheSame(b)
    active.write('still there?')
    assert.equal(await ending(active, QUICK_MS), 'reset')
    t.diagnostic(`active: reset ${seconds(began)} s after the kill`)
    assert.equal(await ending(idle, QUICK_MS), 'reset')
    t.diagnostic(`idle: reset ${seconds(began)} s after the kill`)
    await eventually(
      'a new connection works',
      async () =>
        await works(a.local('agent-b:80')).then(
          () => true,
          () => undefined,
        ),
    )
    t.diagnostic(`works again ${seconds(began)} s after the kill`)
  })

  test('of the gateway that maps: it comes back with the same local addresses, and the service sees a reset', async (t) => {
    const inner = await innerStage(t)
    const ended: Promise<string>[] = []
    const watched = await serve(inner, (socket) => {
      ended.push(ending(socket, VANISHED_MS + SLACK_MS))
      socket.pipe(socket)
    })
    const { a, b } = await pair(inner, { map: ['agent-b:20080'] }, { expose: [`20080=${watched.address}`] })
    await opened(inner, a.local('agent-b:20080'))
    const local = a.local('agent-b:20080')
    await comesBackTheSame(a)
    assert.deepEqual(a.local('agent-b:20080'), local)
    assert.match(local.host, /^127\.77\./)
    await works(local)
    assert.equal(await ended[0], 'reset')
    await eventually('nothing is left from before', async () => (await b.connections()).length === 0 || undefined)
  })
})

/** Its own stage: each of these tests kills what others would need. */
async function innerStage(t: { after(fn: () => Promise<void>): void }): Promise<Stage> {
  const inner = await Stage.open()
  t.after(async () => inner.close())
  return inner
}

async function comesBackTheSame(gateway: Gateway): Promise<void> {
  const { node, admin } = gateway.ready
  await gateway.restart()
  assert.deepEqual([gateway.ready.node, gateway.ready.admin], [node, admin])
}

async function opened(inner: Stage, to: Address): Promise<Socket> {
  const socket = await open(inner, to)
  socket.write('hello')
  assert.equal((await some(socket)).toString(), 'hello')
  return socket
}

async function works(to: Address): Promise<void> {
  assert.equal((await talk(stage, to, Buffer.from('works'))).toString(), 'works')
}

/** Sends some noise over two seconds: long enough to kill something meanwhile. */
function trickle(socket: Socket): void {
  const bytes = noise(TRICKLE_BYTES)
  let at = 0
  const timer = setInterval(() => {
    socket.write(bytes.subarray(at, at + TRICKLE_BYTES / 20))
    at += TRICKLE_BYTES / 20
    if (at < TRICKLE_BYTES) return
    clearInterval(timer)
    socket.end()
  }, 100)
  socket.once('close', () => clearInterval(timer))
}

function seconds(began: number): string {
  return ((performance.now() - began) / 1_000).toFixed(1)
}

const TRICKLE_BYTES = 4_000_000
/** How soon a restart of a gateway should be noticed. */
const QUICK_MS = 12_000
