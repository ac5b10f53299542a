import { test } from 'node:test'
import assert from 'node:assert/strict'
import { ConnectionTable } from '../../../../src/gateway/service/connections.ts'
import { descriptorBudget, descriptorLimit, registryConnections } from '../../../../src/runtime/net/descriptors.ts'
import { PilotError } from '../../../../src/base/errors.ts'

test("a reserve is kept from others' use, and each kind has a share", () => {
  assert.deepEqual(descriptorBudget(128), { connections: 48, clients: 16 })
  assert.deepEqual(descriptorBudget(1_024), { connections: 720, clients: 240 })
  assert.deepEqual(descriptorBudget(65_536), { connections: 16_384, clients: 4_096 })
  assert.deepEqual(descriptorBudget(Infinity), { connections: 16_384, clients: 4_096 })
  assert.deepEqual(descriptorBudget(10), { connections: 12, clients: 4 })
  assert.ok(descriptorLimit() >= 64)
})

test('a rendezvous of its own takes as many nodes as files may be open, one beside a gateway leaves them to it', () => {
  const nodes = (isAlone: boolean): number[] => [64, 1_024, 262_144].map((limit) => registryConnections(isAlone, limit))
  assert.deepEqual(nodes(true), [16, 896, 262_016])
  assert.deepEqual(nodes(false), [16, 128, 4_096])
  assert.equal(registryConnections(true, Infinity), Infinity)
})

test('one peer has at most half of the connections to our exposures, and may reuse those it releases', () => {
  const table = new ConnectionTable({ connections: 10, clients: 1 })
  const open = (nodeId: number, direction: 'expose' | 'map' = 'expose'): ReturnType<ConnectionTable['add']> =>
    table.add({ direction, service: 's', protocol: 'tcp', peer: `p${nodeId}`, nodeId, local: '', remote: '' }, () => {})
  const own = Array.from({ length: 5 }, () => open(1))
  assert.throws(() => open(1), isTooMany)
  for (let index = 0; index < 3; index++) open(2)
  table.remove(own[0]!)
  open(1)
  for (let index = 0; index < 2; index++) open(1, 'map')
  assert.throws(() => open(3), isTooMany, 'all are in use')
})

function isTooMany(error: unknown): boolean {
  return error instanceof PilotError && error.code === 'TOO_MANY'
}
