/**
 * Many connections through one pair of gateways, in sequence and at once. Each sends its own bytes and must get exactly
 * those back; afterwards nothing may be left on either side.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { eventually, pair, Stage } from './harness.ts'
import type { Address, Pair } from './harness.ts'
import { echo, noise, open, some, talk } from './servers.ts'

const ONE_AFTER_ANOTHER = 1_000
const AT_ONCE = 500

let stage: Stage
let gateways: Pair
let local: Address

before(async () => {
  stage = await Stage.open()
  const service = await echo(stage)
  gateways = await pair(stage, { map: ['0:agent-b:80'] }, { expose: [`80=${service.address}`] })
  local = gateways.a.local('agent-b:80')
})
after(async () => stage.close())

test(`${ONE_AFTER_ANOTHER} short connections, one after another, are all answered correctly`, async (t) => {
  // Each sends 10 to 1,000 bytes, ends, and compares what comes back.
  const began = performance.now()
  for (let index = 0; index < ONE_AFTER_ANOTHER; index++) await roundTrip(index)
  const seconds = (performance.now() - began) / 1_000
  t.diagnostic(`${(ONE_AFTER_ANOTHER / seconds).toFixed(0)} connections a second`)
})

test(`${AT_ONCE} connections at once are all answered correctly`, async () => {
  // All clients connect and write before any of them ends: a first echo proves that each is open.
  const clients = await Promise.all(
    Array.from({ length: AT_ONCE }, async (_, index) => {
      const socket = await open(stage, local)
      socket.write(Buffer.from(`client ${index}`))
      assert.equal((await some(socket, 30_000)).toString(), `client ${index}`)
      return socket
    }),
  )
  const [a, b] = await Promise.all([gateways.a.connections(), gateways.b.connections()])
  assert.deepEqual([a.length, b.length], [AT_ONCE, AT_ONCE])
  await Promise.all(
    clients.map(async (socket) => {
      const over = new Promise((resolve) => {
        socket.once('close', resolve)
      })
      socket.end()
      await over
      assert.equal(socket.errored, null)
    }),
  )
  await Promise.all(Array.from({ length: AT_ONCE }, async (_, index) => roundTrip(index)))
})

test('afterwards no connection and no stream is left on either side', async () => {
  // Ended streams answer repeated FINs for a few seconds, so the last ones disappear a little after the connections.
  for (const gateway of [gateways.a, gateways.b]) {
    assert.deepEqual(await gateway.json('list', 'connections'), [])
    await eventually(
      `no streams at ${gateway.setup.name}`,
      async () => (await gateway.peers()).every((peer) => peer.streams === 0) || undefined,
      STREAMS_GONE_MS,
    )
    const status = await gateway.status()
    assert.equal(status.connections, 0)
    assert.equal(status.counters['connections_failed'], 0)
  }
  const [mapped, exposed] = await Promise.all([
    gateways.a.counter('connections_mapped'),
    gateways.b.counter('connections_exposed'),
  ])
  assert.deepEqual([mapped, exposed], [ONE_AFTER_ANOTHER + 2 * AT_ONCE, ONE_AFTER_ANOTHER + 2 * AT_ONCE])
})

async function roundTrip(index: number): Promise<void> {
  const sent = noise(10 + (index % 991), index % 251)
  const reply = await talk(stage, local, sent, 30_000)
  assert.ok(reply.equals(sent), `connection ${index}: ${reply.length} of ${sent.length} bytes, or others`)
}

/** TIME_WAIT_MS of proto/stream/constants.ts, plus a margin. */
const STREAMS_GONE_MS = 15_000
