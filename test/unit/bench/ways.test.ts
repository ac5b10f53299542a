/** The measuring client against the benchmark's service, and against one that loses a byte: counts are exact. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { startService, stopListening } from '../../../bench/roles/service.ts'
import { connections, httpRequests, requests, roundTrips, setUps, transfer } from '../../../bench/roles/tcp-client.ts'
import { carry } from '../../../bench/micro/streams.ts'

after(() => stopListening())

test('every operation of the service answers with the bytes it owes, and ends', async () => {
  const { service, http } = await startService('127.0.0.1')
  const target = { host: '127.0.0.1', port: Number(service) }
  assert.equal((await setUps(target, 3, false)).length, 3)
  assert.equal((await roundTrips(target, 5, 1_024, false)).length, 5)
  for (const direction of ['down', 'up', 'both'] as const)
    assert.ok((await transfer(target, direction, 3, 3_000_001)) > 0, direction)
  assert.equal((await requests(target, 3, 100_000)).length, 3)
  assert.ok((await connections(target, 20, 4)).count >= 4)
  assert.ok((await httpRequests({ host: '127.0.0.1', port: Number(http) }, 20, 4)).count >= 4)
})

test('a variant that loses or adds a byte fails rather than being fast', async () => {
  for (const [extra, message] of [
    [-1, /with 1 bytes missing/],
    [1, /1 bytes too many/],
  ] as const) {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.end(Buffer.alloc(1_001 + extra)))
    })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    await assert.rejects(
      transfer({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }, 'down', 1, 1_000),
      message,
    )
    server.close()
  }
  await assert.rejects(setUps({ host: '127.0.0.1', port: 1 }, 1, false), /ECONNREFUSED/)
})

test('two stream machines in memory carry every byte, even with loss', () => {
  assert.ok(carry(1_000_000, 1_400, 0) >= 715)
  assert.ok(carry(1_000_000, 1_400, 50) > 715)
})
