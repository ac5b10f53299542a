/** The record of connections: what is reported when one opens and ends, how it ended, and what is kept. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { PilotError } from '../../../../src/base/errors.ts'
import { ConnectionTable } from '../../../../src/gateway/service/connections.ts'
import type { Connection } from '../../../../src/gateway/service/connections.ts'
import type { EndedConnectionRecord } from '../../../../src/gateway/model/records.ts'

const TRAFFIC = { bytesRead: 10, bytesWritten: 20 }

function table(): {
  connections: ConnectionTable
  seen: string[]
  add: (direction: 'map' | 'expose', abort?: () => void) => Connection
} {
  const connections = new ConnectionTable({ connections: 1_000, clients: 1_000 })
  const seen: string[] = []
  connections.watch({
    opened: ({ id, state }) => seen.push(`${id} ${state}`),
    ended: ({ id, cause }) => seen.push(`${id} ${cause}`),
  })
  const add = (direction: 'map' | 'expose', abort = (): void => {}): Connection =>
    connections.add(
      { direction, service: '80', protocol: 'tcp', peer: 'agent-b', nodeId: 2, label: 'bob', local: 'l', remote: 'r' },
      abort,
    )
  return { connections, seen, add }
}

test('a connection is reported when it opens and when it ends, with its bytes and its label', () => {
  const { connections, seen, add } = table()
  const connection = add('expose')
  assert.deepEqual(seen, [], 'it is not established yet')
  connections.opened(connection, TRAFFIC)
  connections.remove(connection)
  connections.remove(connection)
  assert.deepEqual(seen, ['1 open', '1 ended'], 'once each')
  const [{ endedAt, durationMs, ...record }] = connections.recent as [EndedConnectionRecord]
  assert.ok(Date.parse(endedAt) > 0 && durationMs >= 0)
  assert.deepEqual(record, {
    id: 1,
    direction: 'expose',
    service: '80',
    protocol: 'tcp',
    peer: 'agent-b',
    nodeId: 2,
    label: 'bob',
    local: 'l',
    remote: 'r',
    bytesIn: 10,
    bytesOut: 20,
    cause: 'ended',
    code: null,
  })
})

test('how it ended: in order, reset by either side, failed with a code, left before it was open, or ended by us', () => {
  const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
  const cases = [
    [undefined, true, 'ended', null],
    [new PilotError('PEER_RESET', ''), true, 'peer_reset', null],
    [reset, true, 'local_reset', null],
    [new PilotError('TIMED_OUT', ''), true, 'failed', 'TIMED_OUT'],
    [new PilotError('TARGET_UNREACHABLE', ''), false, 'failed', 'TARGET_UNREACHABLE'],
    [undefined, false, 'peer_reset', null],
  ] as const
  for (const [error, opens, cause, code] of cases) {
    const { connections, add } = table()
    const connection = add('expose')
    if (opens) connections.opened(connection, TRAFFIC)
    connections.remove(connection, error)
    assert.deepEqual([connections.recent[0]!.cause, connections.recent[0]!.code], [cause, code], String(error))
  }
  const { connections, add } = table()
  connections.remove(add('map')) // the local program left while the peer was dialled
  const one = add('expose', () => connections.remove(one, new PilotError('PEER_RESET', '')))
  connections.opened(one, TRAFFIC)
  connections.abortOf('expose', '80')
  assert.deepEqual(
    connections.recent.map(({ cause }) => cause),
    ['local_reset', 'stopped'],
  )
})

test('the last 200 are kept, however many there were', () => {
  const { connections, add } = table()
  for (let index = 0; index < 1_000; index++) connections.remove(add('expose'))
  const { recent } = connections
  assert.deepEqual([recent.length, recent[0]!.id, recent.at(-1)!.id], [200, 801, 1_000])
})

test('traffic counts what is open and what has ended', () => {
  const { connections, add } = table()
  const [first, second] = [add('expose'), add('map')]
  for (const each of [first, second]) connections.opened(each, TRAFFIC)
  connections.remove(first)
  assert.deepEqual(connections.traffic, { bytesIn: 20, bytesOut: 40, connections: 1 })
})
