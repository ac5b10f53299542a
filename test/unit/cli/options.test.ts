/** Options that take durations, and ranges of ports that are several changes in one command. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PilotError } from '../../../src/base/errors.ts'
import { durationOption } from '../../../src/cli/commands/numbers.ts'
import { STATUS, fakeControl } from '../admin/control.ts'
import { run, testWorld } from './world.ts'

test('durations have a unit; a number alone keeps the meaning that it had', () => {
  const timeout = durationOption('--timeout', 1, 60_000, 1)
  assert.deepEqual(['700', '500ms', '2s', '1m'].map(timeout), [700, 500, 2_000, 60_000])
  assert.throws(() => timeout('2m'), /expected a duration from 1ms to 1m/)
  assert.throws(() => timeout('soon'), PilotError)
  assert.throws(() => durationOption('--for', 1_000, 5_000)('3'), /expected a duration from 1s to 5s/)
})

test('ping and drain take durations, and their help shows the defaults as such', async () => {
  const calls: unknown[][] = []
  await run('ping agent-b --count 1 --timeout 2s', testWorld({ control: fakeControl(calls) }))
  assert.deepEqual(calls, [['ping', 'agent-b', 0, 2_000]])
  for (const [command, shown] of [
    ['ping', /\(default: 1s\)[^]*\(default: 5s\)/],
    ['bench', /\(default: 64M\)[^]*\(default: 5s\)/],
  ] as const)
    assert.match((await run(`${command} --help`)).out, shown)
  const busy = fakeControl([], { drain: async () => ({ state: 'draining', exposure: null, connections: 2 }) })
  const late = await run('drain --timeout 0s', testWorld({ control: busy }))
  assert.deepEqual([late.code, late.err.split(';')[0]], [124, 'error: 2 connections still open after 0s'])
})

test('a range of ports is mapped port by port, and not at all if one of them fails', async () => {
  const calls: unknown[][] = []
  const mapping = STATUS.mappings[0]!
  const control = fakeControl(calls, {
    map: async (spec, { name }) => {
      calls.push(['map', spec, name])
      if (spec.endsWith(':8002')) throw new PilotError('CONFLICT', 'taken')
      return { ...mapping, name: spec }
    },
  })
  const world = (): ReturnType<typeof testWorld> => testWorld({ control })
  const { code, out } = await run('map agent-b:8000-8001 --json', world())
  assert.equal(code, 0)
  assert.deepEqual(
    (JSON.parse(out) as { data: { name: string }[] }).data.map(({ name }) => name),
    ['agent-b:8000', 'agent-b:8001'],
  )
  calls.length = 0
  assert.equal((await run('map agent-b:8001-8002', world())).code, 6)
  assert.deepEqual(
    calls.map(([name, what]) => [name, what]),
    [
      ['map', 'agent-b:8001'],
      ['map', 'agent-b:8002'],
      ['unmap', 'agent-b:8001'],
    ],
  )
  calls.length = 0
  await run('map agent-b:80-81 --name web', world())
  assert.deepEqual(
    calls.map(([, , name]) => name),
    ['web:80', 'web:81'],
  )
  const one = await run('map agent-b:8000 --json', world())
  assert.ok(!Array.isArray((JSON.parse(one.out) as { data: unknown }).data), 'one port is one record, as before')
})
