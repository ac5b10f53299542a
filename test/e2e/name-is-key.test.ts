/**
 * A name means a key, between real processes: namesakes of a trusted peer (a guest, a renamed peer, a stranger given
 * the name by the registry) get nothing, whatever the client uses; and a person's requests survive a restart.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { Resolver } from 'node:dns/promises'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import type { DoctorRecord, PendingTrustRecord, TrustRecord } from '../../src/gateway/model/records.ts'
import { address, eventually, Gateway, pause, Rendezvous, Stage } from './harness.ts'
import type { Address, GatewaySetup } from './harness.ts'
import { LyingRegistry } from './lying-registry.ts'

let stage: Stage
let rendezvous: Rendezvous
let service: string
let pages = 0 // answers from the service

before(async () => {
  stage = await Stage.open()
  rendezvous = await Rendezvous.start(stage)
  const server = createServer((request, response) => {
    pages += 1
    response.end(`you are ${String(request.headers['pilot-hostname'] ?? 'nobody')}`)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  stage.defer(async () => {
    server.close()
  })
  service = `127.0.0.1:${(server.address() as AddressInfo).port}`
})
after(async () => stage.close())

async function gateway(setup: Partial<GatewaySetup> & { readonly name: string }): Promise<Gateway> {
  const { registry, beacon } = rendezvous
  return await Gateway.start(stage, { registry, beacon, ...setup })
}

/** The body of the answer; undefined if the connection is reset or ends without one. */
async function get({ host, port }: Address, head: string): Promise<string | undefined> {
  const socket = connect({ host, port })
  let text = ''
  socket.on('data', (bytes) => (text += bytes.toString('latin1'))).write(`${head}\r\nConnection: close\r\n\r\n`)
  return await new Promise((resolve) => {
    socket.on('error', () => {}).once('close', () => resolve(text === '' ? undefined : text))
  })
}

const PAGE = 'GET / HTTP/1.1\r\nHost: x'

test('a guest named like a trusted peer gets the exposure on its ticket, and no other', async () => {
  const alice = await gateway({
    name: 'alice-1',
    trust: ['bob-1'],
    expose: [
      `80=${service},allow=bob-1`,
      `81=${service},allow=trusted`,
      `3000=${service},allow=invited,identity=headers`,
    ],
  })
  const { ticket } = await alice.json<{ ticket: string }>('invite', '--service', '3000')
  const guest = await gateway({
    name: 'bob-1',
    map: [`0:${alice.ready.node.address}:80`, `0:${alice.ready.node.address}:81`],
  })
  const { local } = await guest.json<{ local: string }>('join', ticket, '0')
  assert.match((await get(address(local), PAGE)) ?? '', /you are nobody/, 'it has no name here')
  await pause(6_000) // the registry would tell alice about the name by now
  for (const { local: other } of guest.ready.mappings) assert.equal(await get(address(other), PAGE), undefined)
  const [record] = await alice.json<TrustRecord[]>('trust', 'list')
  assert.deepEqual([record?.nameVerified, record?.publicKey], [false, guest.ready.node.publicKey])
  assert.match(record?.fingerprint ?? '', /^([0-9a-f]{4}-){4}[0-9a-f]{4}$/)
})

test('a trusted peer that renames itself keeps the name it was trusted under', async () => {
  const alice = await gateway({
    name: 'alice-2',
    trust: ['mallory-2'],
    expose: [`80=${service},allow=bob-2`, `81=${service},allow=mallory-2,identity=headers`],
  })
  const mallory = await gateway({ name: 'mallory-2', trust: ['alice-2'] })
  await alice.trusts('mallory-2')
  await mallory.program.kill()
  const renamed = await gateway({ name: 'bob-2', folder: 'mallory-2', map: ['0:alice-2:80', '0:alice-2:81'] })
  const [as80, as81] = renamed.ready.mappings
  await eventually('it is admitted', async () =>
    (await get(address(as81!.local), PAGE)) === undefined ? undefined : true,
  )
  assert.match((await get(address(as81!.local), PAGE)) ?? '', /you are mallory-2/)
  assert.equal(await get(address(as80!.local), PAGE), undefined)
  const peers = await alice.peers()
  assert.deepEqual(
    peers.map(({ hostname }) => hostname),
    ['mallory-2'],
  )
})

test('a name that the registry gives to another key fails with KEY_CHANGED: mapping, group, HTTP front, proxy and DNS', async () => {
  const lying = await LyingRegistry.before(stage, rendezvous.registry)
  const config = stage.path('alice-3.yaml')
  await writeFile(
    config,
    'version: 1\nhttp: { listen: "127.0.0.1:0" }\nproxy: { listen: "127.0.0.1:0" }\ndns: { listen: "127.0.0.1:0", ports: [8099] }\n',
  )
  const alice = await gateway({
    name: 'alice-3',
    registry: lying.endpoint,
    trust: ['bob-3'],
    map: ['0:bob-3:80', '0:bob-3|nobody-3:81'],
    args: ['-c', config],
  })
  const bob = await gateway({ name: 'bob-3', trust: ['alice-3'], expose: [`80=${service}`] })
  await alice.trusts('bob-3')
  assert.match((await get(alice.local('bob-3:80'), PAGE)) ?? '', /you are/)
  const eve = await gateway({ name: 'eve-3', args: ['--public'], expose: [`80=${service}`, `81=${service}`] })
  await bob.program.kill()
  lying.give('bob-3', eve.ready.node.nodeId, bob.ready.node.nodeId)
  await alice.restart() // it has the trust file and nothing else
  const { http, proxy, dns } = alice.ready
  const before = pages

  assert.equal(await get(alice.local('bob-3:80'), PAGE), undefined)
  await alice.program.log(
    'of the mapping',
    ({ level, ...line }) => level >= 40 && 'mapping' in line && line['code'] === 'KEY_CHANGED',
  )
  const group = alice.ready.mappings.find(({ peer }) => peer.includes('|'))
  assert.equal(await get(address(group!.local), PAGE), undefined)
  assert.match(
    (await get(address(http!), 'GET / HTTP/1.1\r\nHost: bob-3.pilot.localhost')) ?? '',
    / 502 [^]*KEY_CHANGED/,
  )
  assert.match(
    (await get(address(proxy!), 'CONNECT bob-3.pilot:80 HTTP/1.1\r\nHost: bob-3.pilot:80')) ?? '',
    /KEY_CHANGED/,
  )
  const resolver = new Resolver()
  resolver.setServers([dns!])
  const [at] = await resolver.resolve4('bob-3.pilot') // its local address, bound to the key
  const onDemand = await eventually('a port of bob is mapped on demand', async () =>
    (await alice.mappings()).find(({ local }) => local === `${at}:8099`),
  )
  assert.equal(await get(address(onDemand.local), PAGE), undefined)

  assert.equal(pages, before, 'eve received nothing')
  assert.equal(await eve.counter('connections_exposed'), 0)
  const trusted = await alice.json<TrustRecord[]>('trust', 'list')
  const fingerprint = trusted.find(({ hostname }) => hostname === 'bob-3')?.fingerprint ?? 'none'
  const { checks } = JSON.parse((await alice.cli('doctor', '--json')).stdout).data as DoctorRecord
  assert.ok(
    checks.some(({ name, text }) => name === 'name' && text.includes(fingerprint)),
    JSON.stringify(checks),
  )
  const ping = await alice.cli('ping', 'bob-3', '--count', '1', '--json')
  assert.equal(ping.code, 4)
  assert.match(ping.stdout, /KEY_CHANGED[^]*trust revoke/)
})

test('a trust request made by command survives a restart and is answered afterwards', async () => {
  const alice = await gateway({ name: 'alice-4' })
  await alice.json('trust', 'request', 'bob-4', 'it is me')
  const saved = JSON.parse(await readFile(`${alice.stateDir}/trust.json`, 'utf8')) as { requested: unknown }
  assert.deepEqual(saved.requested, [{ peer: 'bob-4', hostname: 'bob-4', reason: 'it is me' }])
  await alice.program.kill()
  const bob = await gateway({ name: 'bob-4' })
  await alice.restart()
  const request = await eventually(
    'the request is there',
    async () => (await bob.json<PendingTrustRecord[]>('trust', 'pending'))[0],
  )
  assert.deepEqual([request.hostname, request.nameVerified], ['alice-4', false])
  await alice.program.kill()
  await bob.json('trust', 'approve', 'alice-4')
  await alice.restart()
  await alice.trusts('bob-4')
  await eventually('the answer is on disk too', async () =>
    (await readFile(`${alice.stateDir}/trust.json`, 'utf8')).includes('"requested"') ? undefined : true,
  )
})
