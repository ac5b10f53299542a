import { test } from 'node:test'
import assert from 'node:assert/strict'
import { overlayTarget, overlayTargetOf } from '../../../src/api/pilot-host.ts'
import { PilotError } from '../../../src/base/errors.ts'

test('a name under .pilot or .pilot.localhost, a bare name, an address and a node id are overlay hosts', () => {
  const hosts: Readonly<Record<string, string>> = {
    'alice.pilot': 'alice:80',
    'Alice.PILOT.': 'alice:80',
    'alice.pilot.localhost': 'alice:80',
    alice: 'alice:80',
    '5.pilot': '5:80',
    '5': '5:80',
    '[0:0000.0000.000A]': '0:0000.0000.000A:80',
    '0:0000.0000.000A': '0:0000.0000.000A:80',
  }
  for (const [host, target] of Object.entries(hosts)) assert.equal(overlayTarget(host, 80), target)
})

test('every other host is refused: nothing is looked up elsewhere', () => {
  for (const host of [
    '',
    'example.com',
    'localhost',
    '127.0.0.1',
    '[::1]',
    'a.b.pilot',
    '.pilot',
    'pilot.localhost.',
    'alice.pilot.example.com',
    'alice/../bob',
  ]) {
    assert.throws(
      () => overlayTarget(host, 80),
      (error) => error instanceof PilotError && error.code === 'USAGE',
      host,
    )
  }
})

test('the port of an authority follows its last colon, outside brackets', () => {
  assert.equal(overlayTargetOf('alice:50051', 80), 'alice:50051')
  assert.equal(overlayTargetOf('alice.pilot', 80), 'alice:80')
  assert.equal(overlayTargetOf('[0:0000.0000.0002]:7', 80), '0:0000.0000.0002:7')
  for (const authority of ['alice:', 'alice:port', 'alice:1:2', '0:0000.0000.0002:7', 'alice:123456', 'alice:50051/x'])
    assert.throws(() => overlayTargetOf(authority, 80), { code: 'USAGE' }, authority)
})
