import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clientFilter, isClientBlock } from '../../../../src/gateway/model/clients.ts'

test('addresses and blocks of both families parse, and nothing else does', () => {
  for (const good of ['10.0.0.0/8', '192.168.1.7', '0.0.0.0/0', 'fd00::/8', '::1', '::/0', '10.0.0.1/32'])
    assert.equal(isClientBlock(good), true, good)
  for (const bad of [
    '',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0/8',
    'agent-a',
    'fd00::/129',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
    '/8',
  ])
    assert.equal(isClientBlock(bad), false, bad)
})

test("a client matches or not, whatever the socket's family", () => {
  const isIn = clientFilter(['10.1.0.0/16', '192.168.1.7', 'fd00::/8'])
  for (const client of ['10.1.255.255', '192.168.1.7', 'fd12::1', '::ffff:10.1.2.3', 'fd12::1%eth0'])
    assert.equal(isIn(client), true, client)
  for (const client of ['10.2.0.0', '192.168.1.8', 'fe80::1', '::ffff:10.2.0.1', '', '127.0.0.1'])
    assert.equal(isIn(client), false, client)
  assert.equal(clientFilter(undefined)('203.0.113.1'), true)
})
