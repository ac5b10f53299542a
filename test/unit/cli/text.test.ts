/** Numbers and tables as people read them. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { formatAge, formatBytes, formatNode, formatRtt, plural, table } from '../../../src/cli/text.ts'

test('bytes use decimal units', () => {
  assert.deepEqual([0, 999, 1000, 1_500_000, 999_999, 2e15].map(formatBytes), [
    '0 B',
    '999 B',
    '1.0 kB',
    '1.5 MB',
    '1.0 MB',
    '2000.0 TB',
  ])
})

test('durations show their two largest units', () => {
  assert.deepEqual([0, 250.4, 1_000, 61_000, 3_600_000, 90_061_000, 86_400_000].map(formatAge), [
    '0 ms',
    '250 ms',
    '1 s',
    '1 min 1 s',
    '1 h',
    '1 d 1 h',
    '1 d',
  ])
})

test('round trips, counts and nodes', () => {
  assert.deepEqual([0.4, 9.999, 12.34].map(formatRtt), ['0.40 ms', '10.00 ms', '12.3 ms'])
  assert.deepEqual(
    [plural(1, 'echo', 'echoes'), plural(2, 'echo', 'echoes'), plural(0, 'peer')],
    ['1 echo', '2 echoes', '0 peers'],
  )
  assert.equal(formatNode({ hostname: null, address: '0:0000.0000.0001', nodeId: 1 }), '0:0000.0000.0001')
  assert.equal(formatNode({ hostname: 'a', address: '', nodeId: 0 }), 'a (not registered yet)')
})

test('numbers are right-aligned, text is left-aligned, and no line ends in spaces', () => {
  assert.deepEqual(
    table(
      ['NAME', 'N'],
      [
        ['a', '5'],
        ['long', '100'],
      ],
      (text) => text,
    ),
    ['NAME    N', 'a       5', 'long  100'],
  )
  assert.deepEqual(
    table(['A', 'B'], [['x', 'y']], (text) => `*${text}*`),
    ['*A  B*', 'x  y'],
  )
})

test('a table that is wider than the terminal becomes blocks, without the values that say nothing', () => {
  const [head, rows] = [
    ['NAME', 'LOCAL', 'PEER'],
    [
      ['agent-b:80', '127.77.219.203:8080', 'agent-b'],
      ['other', '-', 'agent-c'],
    ],
  ]
  const bold = (text: string): string => `*${text}*`
  assert.deepEqual(table(head, rows, bold, 39), [
    '*NAME *  agent-b:80',
    '*LOCAL*  127.77.219.203:8080',
    '*PEER *  agent-b',
    '',
    '*NAME *  other',
    '*PEER *  agent-c',
  ])
  assert.equal(table(head, rows, bold, 40).length, 3, 'it fits exactly')
  assert.ok(table(head, rows, bold, 39).every((line) => line.replaceAll('*', '').length <= 39))
})

test('a column without any value is not aligned as numbers are', () => {
  assert.deepEqual(
    table(['TAGS', 'N'], [['-', '1']], (text) => text),
    ['TAGS  N', '-     1'],
  )
})
