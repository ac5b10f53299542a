/** The service table: what a change affects, in which order, and that a failed change has no effect. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { PilotError } from '../../../../src/base/errors.ts'
import type { Service } from '../../../../src/gateway/service/table.ts'
import { ServiceTable, difference } from '../../../../src/gateway/service/table.ts'

interface Spec {
  readonly name: string
  readonly port: number
  readonly note?: string
}

type Record = { readonly name: string; readonly port: number }

/**
 * A machine's ports: `busy` ones belong to others. With `hands`, a port passes from one service to the next without a
 * gap.
 */
function machine(busy: readonly number[] = [], hands = false) {
  const bound = new Map<number, string>()
  const steps: string[] = []
  const owners = new Map<number, Service<Record>>()
  const table = new ServiceTable<Spec, Record>('mapping', (spec) => ({
    ...(hands && {
      takeOver(running: Service<Record>) {
        if (running.record.port !== spec.port || owners.get(spec.port) !== running) return false
        owners.set(spec.port, this)
        steps.push(`=${spec.name}:${spec.port}${spec.note ?? ''}`)
        return true
      },
    }),
    record: { name: spec.name, port: spec.port },
    async start() {
      if (busy.includes(spec.port) || bound.has(spec.port))
        throw new PilotError('PORT_IN_USE', `${spec.port} is in use`)
      bound.set(spec.port, spec.name)
      owners.set(spec.port, this)
      steps.push(`+${spec.name}:${spec.port}`)
    },
    stop() {
      if (bound.get(spec.port) !== spec.name || owners.get(spec.port) !== this) return
      bound.delete(spec.port)
      steps.push(`-${spec.name}:${spec.port}`)
    },
  }))
  return { table, bound, steps, take: () => steps.splice(0) }
}

const specs = (text: string): Spec[] =>
  text
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => ({ name: word.split(':')[0]!, port: Number(word.split(':')[1]) }))

test('equal entries are not touched, compared by value, not by identity', async () => {
  const { table, take } = machine()
  await table.become(specs('a:1 b:2 c:3'))
  assert.deepEqual(take(), ['+a:1', '+b:2', '+c:3'])
  await table.become(specs('c:3 b:9 d:4'))
  assert.deepEqual(take(), ['+d:4', '-a:1', '-b:2', '+b:9'])
  assert.deepEqual(table.records, [
    { name: 'c', port: 3 },
    { name: 'b', port: 9 },
    { name: 'd', port: 4 },
  ])
  await table.become(specs('c:3 b:9 d:4'))
  assert.deepEqual(take(), [])
})

test('two services may swap ports, and a new name may take the port of one being removed', async () => {
  const { table, bound } = machine()
  await table.become(specs('a:1 b:2 c:3'))
  await table.become(specs('a:2 b:1 d:3'))
  assert.deepEqual([...bound].sort(), [
    [1, 'b'],
    [2, 'a'],
    [3, 'd'],
  ])
})

test('a port taken by another program changes nothing, and stops nothing in the meantime', async () => {
  const { table, take } = machine([7])
  await table.become(specs('a:1 b:2'))
  take()
  await assert.rejects(table.become(specs('a:1 b:2 x:7')), { code: 'PORT_IN_USE' })
  assert.deepEqual(take(), [])
  await assert.rejects(table.become(specs('a:1 y:5 x:7')), { code: 'PORT_IN_USE' })
  assert.deepEqual(table.records, [
    { name: 'a', port: 1 },
    { name: 'b', port: 2 },
  ])
  assert.deepEqual(take(), ['+y:5', '-b:2', '-y:5', '+b:2'])
})

test('a change can be undone as a whole', async () => {
  const { table, bound } = machine()
  await table.become(specs('a:1 b:2'))
  const undo = await table.become(specs('b:3 c:1'))
  await undo()
  assert.deepEqual([...bound].sort(), [
    [1, 'a'],
    [2, 'b'],
  ])
  assert.deepEqual(table.specs, specs('a:1 b:2'))
})

test('a draining service stays in the table without its port, and listens again on request', async () => {
  const { table, bound } = machine()
  await table.become(specs('a:1 b:2'))
  table.drain('a')
  assert.deepEqual(table.records, [
    { name: 'a', port: 1, draining: true },
    { name: 'b', port: 2 },
  ])
  await table.become(specs('a:1 b:2 c:3'))
  assert.deepEqual([...bound.keys()].sort(), [2, 3])
  await table.resume('a')
  await table.resume('b')
  assert.deepEqual([...bound.keys()].sort(), [1, 2, 3])
  assert.throws(() => table.drain('x'), { code: 'NOT_FOUND' })
})

test('the difference is by name, and compares whole specs', () => {
  const running: Spec[] = [
    { name: 'a', port: 1 },
    { name: 'b', port: 2 },
    { name: 'c', port: 3 },
  ]
  const wanted: Spec[] = [
    { name: 'c', port: 3 },
    { name: 'b', port: 2, note: 'x' },
    { name: 'd', port: 4 },
  ]
  assert.deepEqual(difference(running, wanted), {
    added: [{ name: 'd', port: 4 }],
    removed: [{ name: 'a', port: 1 }],
    changed: [{ name: 'b', port: 2, note: 'x' }],
  })
})

test('a service that changes but keeps its port never stops listening; a failed change hands the port back', async () => {
  const { table, take, bound } = machine([7], true)
  await table.become(specs('a:1 b:2'))
  take()
  const changed = [
    { name: 'a', port: 1, note: '!' },
    { name: 'b', port: 3 },
  ]
  const undo = await table.become(changed)
  assert.deepEqual(take(), ['=a:1!', '-b:2', '+b:3'])
  await undo()
  assert.deepEqual(take(), ['=a:1', '-b:3', '+b:2'])
  await assert.rejects(
    table.become([
      { name: 'a', port: 1, note: '!' },
      { name: 'b', port: 7 },
    ]),
    { code: 'PORT_IN_USE' },
  )
  assert.deepEqual(take(), ['=a:1!', '-b:2', '=a:1', '+b:2'])
  assert.deepEqual(table.specs, specs('a:1 b:2'))
  table.drain('a')
  await table.become([
    { name: 'a', port: 1, note: '?' },
    { name: 'b', port: 2 },
  ])
  assert.deepEqual(
    [take(), [...bound.keys()].sort()],
    [
      ['-a:1', '+a:1'],
      [1, 2],
    ],
    'the stopped one listens again',
  )
})
