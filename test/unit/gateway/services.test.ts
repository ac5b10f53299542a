/** The table of services: what is touched by a change, in which order, and that a change that fails has not happened. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { PilotError } from '../../../src/base/errors.ts'
import { ServiceTable, difference } from '../../../src/gateway/services.ts'

interface Spec { readonly name: string, readonly port: number, readonly note?: string }

/** Ports of a machine: `busy` ones belong to others. */
function machine (busy: readonly number[] = []) {
  const bound = new Map<number, string>()
  const steps: string[] = []
  const table = new ServiceTable<Spec, { readonly name: string, readonly port: number }>('mapping', (spec) => ({
    record: { name: spec.name, port: spec.port },
    async start () {
      if (busy.includes(spec.port) || bound.has(spec.port)) throw new PilotError('PORT_IN_USE', `${spec.port} is in use`)
      bound.set(spec.port, spec.name)
      steps.push(`+${spec.name}:${spec.port}`)
    },
    stop () {
      if (bound.get(spec.port) !== spec.name) return
      bound.delete(spec.port)
      steps.push(`-${spec.name}:${spec.port}`)
    },
  }))
  return { table, bound, steps, take: () => steps.splice(0) }
}

const specs = (text: string): Spec[] => text.split(' ').filter((word) => word !== '').map((word) => ({ name: word.split(':')[0]!, port: Number(word.split(':')[1]) }))

test('what stays equal is not touched, by value and not by identity', async () => {
  const { table, take } = machine()
  await table.become(specs('a:1 b:2 c:3'))
  assert.deepEqual(take(), ['+a:1', '+b:2', '+c:3'])
  await table.become(specs('c:3 b:9 d:4'))
  assert.deepEqual(take(), ['+d:4', '-a:1', '-b:2', '+b:9'])
  assert.deepEqual(table.records, [{ name: 'c', port: 3 }, { name: 'b', port: 9 }, { name: 'd', port: 4 }])
  await table.become(specs('c:3 b:9 d:4'))
  assert.deepEqual(take(), [])
})

test('two may swap their ports, and a new name may take the port of one that goes', async () => {
  const { table, bound } = machine()
  await table.become(specs('a:1 b:2 c:3'))
  await table.become(specs('a:2 b:1 d:3'))
  assert.deepEqual([...bound].sort(), [[1, 'b'], [2, 'a'], [3, 'd']])
})

test('a port that is taken by others changes nothing, and stops nothing on the way', async () => {
  const { table, take } = machine([7])
  await table.become(specs('a:1 b:2'))
  take()
  await assert.rejects(table.become(specs('a:1 b:2 x:7')), { code: 'PORT_IN_USE' })
  assert.deepEqual(take(), [])
  await assert.rejects(table.become(specs('a:1 y:5 x:7')), { code: 'PORT_IN_USE' })
  assert.deepEqual(table.records, [{ name: 'a', port: 1 }, { name: 'b', port: 2 }])
  assert.deepEqual(take(), ['+y:5', '-b:2', '-y:5', '+b:2'])
})

test('what was done can be undone as a whole', async () => {
  const { table, bound } = machine()
  await table.become(specs('a:1 b:2'))
  const undo = await table.become(specs('b:3 c:1'))
  await undo()
  assert.deepEqual([...bound].sort(), [[1, 'a'], [2, 'b']])
  assert.deepEqual(table.specs, specs('a:1 b:2'))
})

test('one that drains stays in the table without its port, and listens again when told to', async () => {
  const { table, bound } = machine()
  await table.become(specs('a:1 b:2'))
  table.drain('a')
  assert.deepEqual(table.records, [{ name: 'a', port: 1, draining: true }, { name: 'b', port: 2 }])
  await table.become(specs('a:1 b:2 c:3'))
  assert.deepEqual([...bound.keys()].sort(), [2, 3])
  await table.resume('a')
  await table.resume('b')
  assert.deepEqual([...bound.keys()].sort(), [1, 2, 3])
  assert.throws(() => table.drain('x'), { code: 'NOT_FOUND' })
})

test('the difference goes by name, and compares specs whole', () => {
  const running: Spec[] = [{ name: 'a', port: 1 }, { name: 'b', port: 2 }, { name: 'c', port: 3 }]
  const wanted: Spec[] = [{ name: 'c', port: 3 }, { name: 'b', port: 2, note: 'x' }, { name: 'd', port: 4 }]
  assert.deepEqual(difference(running, wanted), { added: [{ name: 'd', port: 4 }], removed: [{ name: 'a', port: 1 }], changed: [{ name: 'b', port: 2, note: 'x' }] })
})
