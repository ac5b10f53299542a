/** Both servers together on loopback, and what persists after the process ends. */
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Rendezvous } from '../../../src/server/rendezvous.ts'
import { PilotError } from '../../../src/base/errors.ts'
import { parseEndpoint } from '../../../src/base/types.ts'
import { startRendezvous } from '../../../src/server/rendezvous.ts'
import {
  decodeBeaconMessage,
  encodeDiscover,
  RELAY_HEADER_BYTES,
  writeRelayHeader,
} from '../../../src/wire/beacon-messages.ts'
import { encodeRegistryFrame, RegistryFrameReader } from '../../../src/wire/registry-messages.ts'
import { newIdentity } from './registry/setting.ts'

const LOG = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
const ANYWHERE = { registry: '127.0.0.1:0', beacon: '127.0.0.1:0', log: LOG }

test('port 0 is reported as the port that was bound, and stop is idempotent', async () => {
  const rendezvous = await startRendezvous(ANYWHERE)
  assert.match(rendezvous.registry, /^127\.0\.0\.1:[1-9]\d*$/)
  assert.match(rendezvous.beacon, /^127\.0\.0\.1:[1-9]\d*$/)
  await Promise.all([rendezvous.stop(), rendezvous.stop()])
})

test('a port in use is an error that names the address and leaves nothing open', async () => {
  const first = await startRendezvous(ANYWHERE)
  for (const taken of [{ registry: first.registry }, { beacon: first.beacon }]) {
    const address = Object.values(taken)[0] ?? ''
    await assert.rejects(
      startRendezvous({ ...ANYWHERE, ...taken }),
      (error: unknown) =>
        error instanceof PilotError && error.code === 'PORT_IN_USE' && error.message.includes(address),
    )
  }
  await first.stop()
  for (const bad of ['9000', ':9000', 'example.com:9000', '1.2.3.4:99999']) {
    await assert.rejects(
      startRendezvous({ ...ANYWHERE, registry: bad }),
      (error: unknown) => error instanceof PilotError && error.code === 'USAGE',
    )
  }
})

test('the beacon answers and relays between two sockets', async () => {
  const rendezvous = await startRendezvous(ANYWHERE)
  const beacon = parseEndpoint(rendezvous.beacon)
  assert.ok(beacon)
  for (const number of [1, 2]) {
    const { publicKeyBase64 } = newIdentity(number)
    assert.equal((await ask(rendezvous, { type: 'register', public_key: publicKeyBase64 }))['node_id'], number)
  }
  const [alice, bob] = [createSocket('udp4'), createSocket('udp4')]
  for (const [socket, id] of [
    [alice, 1],
    [bob, 2],
  ] as const) {
    socket.send(encodeDiscover(id), beacon.port, beacon.address)
    const [bytes] = (await once(socket, 'message')) as [Uint8Array]
    const reply = decodeBeaconMessage(bytes)
    assert.ok(typeof reply === 'object' && reply.kind === 'discover_reply')
    assert.deepEqual(reply.endpoint, { address: '127.0.0.1', port: socket.address().port })
  }
  const relay = new Uint8Array(RELAY_HEADER_BYTES + 40_000).fill(7)
  writeRelayHeader(relay, 0, 1, 2)
  alice.send(relay, beacon.port, beacon.address)
  const [bytes] = (await once(bob, 'message')) as [Uint8Array]
  const delivered = decodeBeaconMessage(bytes)
  assert.ok(typeof delivered === 'object' && delivered.kind === 'relay_deliver')
  assert.deepEqual(
    [delivered.sender, delivered.frame.length, delivered.frame.every((byte) => byte === 7)],
    [1, 40_000, true],
  )
  assert.equal(rendezvous.counters().beacon.relayed, 1)
  alice.close()
  bob.close()
  await rendezvous.stop()
})

test('with a directory, a restarted rendezvous knows its nodes; without one, it does not', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'pilotgate-rendezvous-'))
  const register = {
    type: 'register',
    public_key: newIdentity(1).publicKeyBase64,
    hostname: 'agent',
    listen_addr: ':4000',
  }
  for (const [options, type] of [
    [{ ...ANYWHERE, storeDir: directory }, 'lookup_ok'],
    [ANYWHERE, 'error'],
  ] as const) {
    const first = await startRendezvous(options)
    assert.equal((await ask(first, register))['type'], 'register_ok')
    await first.stop()
    const second = await startRendezvous(options)
    assert.equal((await ask(second, { type: 'lookup', node_id: 1 }))['type'], type)
    await second.stop()
  }
  await rm(directory, { recursive: true })
})

async function ask(rendezvous: Rendezvous, request: object): Promise<Record<string, unknown>> {
  const endpoint = parseEndpoint(rendezvous.registry)
  assert.ok(endpoint)
  const socket = connect(endpoint.port, endpoint.address)
  socket.write(encodeRegistryFrame(request))
  const reader = new RegistryFrameReader()
  for (;;) {
    const [chunk] = (await once(socket, 'data')) as [Uint8Array]
    reader.push(chunk)
    const reply = reader.next()
    if (typeof reply !== 'object') continue
    socket.destroy()
    return { ...reply }
  }
}
