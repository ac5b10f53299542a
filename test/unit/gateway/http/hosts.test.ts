import { test } from 'node:test'
import assert from 'node:assert/strict'
import { PilotError } from '../../../../src/base/errors.ts'
import { destinationOf } from '../../../../src/gateway/http/hosts.ts'

const MAPPINGS = [
  { name: 'Model', peer: 'alice', port: 50_051 },
  { name: 'bob', peer: 'carol', port: 8080 },
  { name: 'alice:80', peer: 'alice', port: 80 },
]

const NAMES: readonly (readonly [host: string, service: string, peer: string, port: number])[] = [
  ['alice.pilot.localhost', 'alice:80', 'alice', 80],
  ['alice.pilot.localhost:8088', 'alice:80', 'alice', 80],
  ['Alice.PILOT', 'alice:80', 'alice', 80],
  ['alice.pilot.localhost.:8088', 'alice:80', 'alice', 80],
  ['model.pilot.localhost:8088', 'Model', 'alice', 50_051],
  ['bob.pilot', 'bob', 'carol', 8080], // the mapping of that name comes before the peer
  ['7.pilot.localhost', '7:80', '7', 80],
]
for (const [host, service, peer, port] of NAMES)
  test(`${host} is ${service}`, () =>
    assert.deepEqual(destinationOf(host, MAPPINGS, 'pilot'), {
      service,
      peer,
      port,
      ...(!service.includes(':') && { mapping: service }),
    }))

for (const host of [
  undefined,
  '',
  'localhost:8088',
  '127.0.0.1:8088',
  'pilot.localhost',
  '.pilot',
  'alice.example',
  'alice.pilot.example',
  'a.b.pilot',
  'al ice.pilot',
  'alice.pilot.localhost.example',
  '-.pilot',
]) {
  test(`${host ?? 'no host'} names no peer`, () =>
    assert.throws(
      () => destinationOf(host, MAPPINGS, 'pilot'),
      (error) => error instanceof PilotError && error.code === 'NOT_FOUND',
    ))
}

test('a custom domain is used, and the default one then means nothing', () => {
  assert.equal(destinationOf('alice.corp.localhost:8088', MAPPINGS, 'corp').peer, 'alice')
  assert.throws(() => destinationOf('alice.pilot', MAPPINGS, 'corp'), { code: 'NOT_FOUND' })
})

test('for a client that uses us as its proxy, the bare name of a peer means that peer', () => {
  const peerOutside = (host: string): string | undefined => (host === 'alice' ? 'alice' : undefined)
  const asProxy = (host: string) => destinationOf(host, MAPPINGS, 'pilot', peerOutside)
  assert.deepEqual(asProxy('Alice:8080'), { service: 'alice:80', peer: 'alice', port: 80 })
  assert.equal(asProxy('model.pilot').service, 'Model')
  assert.throws(() => asProxy('alice.example'), { code: 'NOT_FOUND' })
})
