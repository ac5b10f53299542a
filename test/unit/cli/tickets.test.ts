/** `invite`, `expose PORT` and `map TICKET` at a gateway that runs; what needs processes is test/e2e/tickets.test.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PilotError } from '../../../src/base/errors.ts'
import { embeddedAddress } from '../../../src/cli/embedded.ts'
import { fakeControl } from '../admin/control.ts'
import { noGateway, run, testWorld } from './world.ts'

const TICKET = `pgt1_${'A'.repeat(120)}`

test('invite asks for ten minutes, or for what is said, and prints the ticket alone into a pipe', async () => {
  const calls: unknown[][] = []
  const world = testWorld({ control: fakeControl(calls) })
  await run('invite', world)
  await run('invite --service api --for 2h', world)
  assert.deepEqual(calls, [
    ['invite', undefined, 600_000],
    ['invite', 'api', 7_200_000],
  ])
  assert.equal(world.stdout.join(''), 'pgt1_AAAA\npgt1_AAAA\n')
  assert.match(world.stderr.join(''), /good on this machine only/)
})

test('in a terminal it is drawn, with the command for the other side; under --json it is the record', async () => {
  const { out } = await run('invite', testWorld({ terminal: true }))
  assert.match(out, /one node can use it, once, until 2026/)
  assert.match(out, /pilotgate map pgt1_AAAA/)
  assert.ok(out.split('\n').filter((line) => /^[█▀▄ ]+$/.test(line)).length > 10, out)
  assert.equal((JSON.parse((await run('invite --json')).out) as { data: { ticket: string } }).data.ticket, 'pgt1_AAAA')
})

test('times that make no sense are refused', async () => {
  for (const bad of ['9s', '8d', '10', 'm', '-1m', '1.5h', '']) {
    const { code, err } = await run(`invite --for=${bad}`)
    assert.equal(code, 2, bad)
    assert.match(err, /expected a time from 10s to 7d|argument missing/, bad)
  }
})

test('a port alone is exposed for holders of a ticket, and a ticket for it is printed', async () => {
  const calls: unknown[][] = []
  const { out } = await run('expose 3000', testWorld({ control: fakeControl(calls) }))
  assert.deepEqual(
    calls.map((call) => call.slice(0, 2)),
    [
      ['expose', '3000=3000,allow=invited'],
      ['invite', '80'],
    ],
  )
  assert.equal(out, 'pgt1_AAAA\n')
})

test('a ticket is used first, then its port is mapped where it was asked for', async () => {
  const calls: unknown[][] = []
  const world = testWorld({ control: fakeControl(calls) })
  await run(`map ${TICKET}`, world)
  await run(`map ${TICKET} 127.0.0.1:8080 --name web --save`, world)
  const edit = { name: undefined, save: undefined, ifVersion: undefined }
  assert.deepEqual(calls, [
    ['redeem', TICKET],
    ['map', '0:0000.0000.0002:80', edit],
    ['redeem', TICKET],
    ['map', '127.0.0.1:8080:0:0000.0000.0002:80', { ...edit, name: 'web', save: true }],
  ])
})

test('a refused ticket maps nothing, and where no gateway runs one that cannot be read starts none', async () => {
  const calls: unknown[][] = []
  const control = fakeControl(calls, {
    redeem: () => Promise.reject(new PilotError('TICKET_USED', 'somebody has used it')),
  })
  assert.equal((await run(`map ${TICKET}`, testWorld({ control }))).code, 4)
  assert.deepEqual(calls, [])
  const { code, err } = await run(`map ${TICKET}`, testWorld({ control: noGateway() }))
  assert.equal(code, 2)
  assert.match(err, /not a ticket, or only part/)
})

test('a second word without a ticket, and --lan without a port alone, are mistakes', async () => {
  assert.match((await run('map agent-b:80 8080')).err, /only behind a ticket/)
  assert.match(
    (await run('expose 80=3000 --lan', testWorld({ control: noGateway() }))).err,
    /--lan goes with a port alone/,
  )
})

test('--lan takes an address behind it and leaves a port alone', async () => {
  for (const line of [
    'expose --lan 3000',
    'expose --lan 192.0.2.7 3000',
    'expose 3000 --lan',
    'expose 3000 --lan 192.0.2.7',
  ]) {
    const calls: unknown[][] = []
    assert.equal((await run(line, testWorld({ control: fakeControl(calls) }))).code, 0, line)
    assert.deepEqual(calls[0]?.slice(0, 2), ['expose', '3000=3000,allow=invited'], line)
  }
  assert.match(
    (await run('expose --lan 80=3000', testWorld({ control: noGateway() }))).err,
    /--lan goes with a port alone/,
  )
})

test('where the embedded rendezvous listens', () => {
  assert.equal(embeddedAddress(undefined), '127.0.0.1')
  assert.equal(embeddedAddress('192.0.2.7'), '192.0.2.7')
  for (const bad of ['0.0.0.0', '::1', 'localhost', '3000']) assert.throws(() => embeddedAddress(bad), PilotError, bad)
})
