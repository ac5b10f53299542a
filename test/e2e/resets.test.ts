/**
 * Abrupt ends stay abrupt, and unreachable targets are reported immediately: by a reset to the client, and by a log
 * line with the code that docs/errors.md explains.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { eventually, Gateway, pair, Stage } from './harness.ts'
import type { Address, Pair } from './harness.ts'
import type { LogLine } from './program.ts'
import { ending, fate, noise, open, passive, refusing, serve, some } from './servers.ts'
import type { Service } from './servers.ts'

const DIRECTIONS = [
  ['a', 'agent-b'],
  ['b', 'agent-a'],
] as const
const AT_ONCE_MS = 1_500
const ROUNDS = 10

let stage: Stage
let gateways: Pair
let quiet: Service
let hasty: (socket: Socket) => void = () => {}

before(async () => {
  stage = await Stage.open()
  quiet = await passive(stage)
  const expose = [
    `80=${quiet.address}`,
    `81=${await refusing()}`,
    `82=unix:${stage.path('nobody.sock')}`,
    `84=${(await serve(stage, (socket) => hasty(socket))).address}`,
  ]
  const peers = [
    '0:agent-b:80',
    '0:agent-b:81',
    '0:agent-b:82',
    '0:agent-b:83',
    '0:agent-b:84',
    '0:no-such-agent:80',
    '0:4000:80',
    '0:agent-c:80',
  ]
  gateways = await pair(stage, { map: peers, expose, trust: ['agent-c'] }, { map: ['0:agent-a:80'], expose })
})
after(async () => stage.close())

for (const [from, to] of DIRECTIONS) {
  test(`a reset by the client becomes a reset at a service of ${to}`, async () => {
    // On an idle connection, after both sides have sent.
    const { client, server } = await both(gateways[from].local(`${to}:80`))
    await greet(client, server)
    client.resetAndDestroy()
    assert.equal(await ending(server), 'reset')
  })

  test(`a reset by a service of ${to} becomes a reset at its client`, async () => {
    const { client, server } = await both(gateways[from].local(`${to}:80`))
    await greet(client, server)
    server.resetAndDestroy()
    assert.equal(await ending(client), 'reset')
  })

  test(`a reset in the middle of a transfer to or from ${to} never looks like a clean end`, async () => {
    // One side sends 8 MB and resets once the other has read some of it, ten times each way: no reader may see a clean
    // end.
    for (let round = 0; round < ROUNDS; round++) {
      for (const who of ['client', 'server'] as const) {
        const { client, server } = await both(gateways[from].local(`${to}:80`))
        const [sender, reader] = who === 'client' ? [client, server] : [server, client]
        sender.write(noise(8_000_000, round))
        await some(reader)
        sender.resetAndDestroy()
        assert.equal(await ending(reader), 'reset', `round ${round}: the ${who} was reset`)
      }
    }
  })
}

test('a reset after the last byte sent never looks like a clean end', async () => {
  // The reset comes once the kernel has taken all bytes and the gateway has read them; ten times each way.
  for (let round = 0; round < ROUNDS; round++) {
    for (const who of ['client', 'server'] as const) {
      const { client, server } = await both(gateways.a.local('agent-b:80'))
      const [sender, reader] = who === 'client' ? [client, server] : [server, client]
      await new Promise((resolve) => {
        sender.write(noise(10_000, round), resolve)
      })
      sender.resetAndDestroy()
      assert.equal(await ending(reader), 'reset', `round ${round}: the ${who} was reset`)
    }
  }
})

test('a service that resets every connection on accept brings down no gateway', async () => {
  // 200 clients in twenty rounds: the reset follows the accept at once, or a few bytes later.
  hasty = (socket) => socket.resetAndDestroy()
  for (let round = 0; round < 2 * ROUNDS; round++) {
    if (round === ROUNDS) hasty = (socket) => void socket.write('x', () => socket.resetAndDestroy())
    const fates = await Promise.all(Array.from({ length: 10 }, () => fate(stage, gateways.a.local('agent-b:84'))))
    for (const { ending } of fates) assert.equal(ending, 'reset')
  }
  assert.deepEqual([gateways.a.program.exit, gateways.b.program.exit], [undefined, undefined])
})

for (const [port, what] of [
  [81, 'port'],
  [82, 'Unix socket'],
] as const) {
  test(`a service whose ${what} refuses the connection resets the client immediately`, async () => {
    // The exposing side logs what it tried; the caller, which has access, learns that the service is down, and nothing else.
    const marks = [gateways.a.mark(), gateways.b.mark()] as const
    const { ending, ms } = await fate(stage, gateways.a.local(`agent-b:${port}`))
    assert.equal(ending, 'reset')
    assert.ok(ms < AT_ONCE_MS, `after ${ms} ms`)
    const line = await gateways.b.program.log('TARGET_UNREACHABLE', hasCode('TARGET_UNREACHABLE'), { from: marks[1] })
    assert.match(String(line['target']), port === 81 ? /^tcp:\/\/127\.0\.0\.1:\d+$/ : /^unix:.*nobody\.sock$/)
    const seen = await gateways.a.program.log('TARGET_UNREACHABLE', hasCode('TARGET_UNREACHABLE'), { from: marks[0] })
    assert.doesNotMatch(JSON.stringify(seen), /127\.0\.0\.1:\d+|nobody\.sock/)
  })
}

test('a port that the peer does not expose resets the client immediately, with CONNECTION_REFUSED in the log', async () => {
  const mark = gateways.a.mark()
  const { ending, ms } = await fate(stage, gateways.a.local('agent-b:83'))
  assert.equal(ending, 'reset')
  assert.ok(ms < AT_ONCE_MS, `after ${ms} ms`)
  const line = await gateways.a.program.log('CONNECTION_REFUSED', hasCode('CONNECTION_REFUSED'), { from: mark })
  assert.deepEqual([line['mapping'], line['peer'], line['port']], ['agent-b:83', 'agent-b', 83])
  assert.ok(String(line['hint']).length > 0)
})

test('an unknown peer resets the client immediately, with NOT_FOUND in the log', async () => {
  // By name and by node id.
  for (const peer of ['no-such-agent', '4000']) {
    const mark = gateways.a.mark()
    const { ending, ms } = await fate(stage, gateways.a.local(`${peer}:80`))
    assert.equal(ending, 'reset')
    assert.ok(ms < AT_ONCE_MS, `after ${ms} ms`)
    const line = await gateways.a.program.log(
      `a reset because of ${peer}`,
      (entry) => entry['mapping'] === `${peer}:80`,
      { from: mark },
    )
    assert.equal(line.code, 'NOT_FOUND', JSON.stringify(line))
  }
})

test('a peer that is registered but does not run resets the client within 6 s with PEER_UNREACHABLE in the log', async () => {
  // agent-c registers, becomes trusted and is killed; agent-a never had a tunnel to it.
  const { registry, beacon } = gateways.rendezvous
  const third = await Gateway.start(stage, { name: 'agent-c', registry, beacon, trust: ['agent-a'] })
  await Promise.all([third.trusts('agent-a'), gateways.a.trusts('agent-c')])
  await third.program.kill()
  const mark = gateways.a.mark()
  const { ending, ms } = await fate(stage, gateways.a.local('agent-c:80'))
  assert.equal(ending, 'reset')
  assert.ok(ms < 6_000, `after ${ms} ms`)
  await gateways.a.program.log(
    'PEER_UNREACHABLE',
    (entry) => entry.code === 'PEER_UNREACHABLE' && entry['mapping'] === 'agent-c:80',
    { from: mark },
  )
})

test('nothing is left of all these connections', async () => {
  for (const gateway of [gateways.a, gateways.b]) {
    await eventually(
      `no connections at ${gateway.setup.name}`,
      async () => (await gateway.connections()).length === 0 || undefined,
    )
  }
})

function hasCode(code: string): (line: LogLine) => boolean {
  return (line) => line.code === code
}

async function greet(client: Socket, server: Socket): Promise<void> {
  client.write('hello')
  assert.equal((await some(server)).toString(), 'hello')
  server.write('welcome')
  assert.equal((await some(client)).toString(), 'welcome')
}

async function both(to: Address): Promise<{ readonly client: Socket; readonly server: Socket }> {
  const server = quiet.next()
  const client = await open(stage, to)
  return { client, server: await server }
}
