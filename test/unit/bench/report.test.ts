/** Samples in; medians, ratios, tables, goals and charts out: the pure half of the benchmark. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { chart } from '../../../bench/chart.ts'
import { chartsOf } from '../../../bench/charts.ts'
import { readChoice } from '../../../bench/choice.ts'
import { judge } from '../../../bench/goals.ts'
import { formatValue, reportOf, tableOf } from '../../../bench/report.ts'
import { ratioOf, samplesOf, valueOf } from '../../../bench/results.ts'
import type { Results, TakenSample } from '../../../bench/results.ts'
import { PEERS, ROWS } from '../../../bench/rows.ts'
import { median, medianRatio, quantile, spread } from '../../../bench/stats.ts'
import { STEPS } from '../../../bench/steps.ts'
import { RELATIONS, brokenRelations, compare, tableOfLines } from '../../../bench/micro/verdict.ts'

const samples: TakenSample[] = [
  ...[1, 2, 9].map((value, round) => ({ row: 'one', peer: 'gateway' as const, round, value })),
  ...[2, 4, null].map((value, round) => ({ row: 'one', peer: 'tls-proxy' as const, round, value })),
  ...[3, 4, 5].map((value, round) => ({ row: 'sixteen', peer: 'gateway' as const, round, value })),
  { row: 'http', peer: 'tcp', round: 0, value: 12_345.6 },
  { row: 'cold', peer: 'gateway', round: 0, value: 30 },
]
const results: Results = {
  v: 1,
  date: '2026-11-28T00:00:00.000Z',
  mode: 'quick',
  only: [],
  commit: 'abc',
  seconds: 100,
  samples,
  machine: { cpus: '2 × X', memory: '8 GiB', system: 'Linux 6' },
  versions: { Node: 'v20' },
  skipped: [{ what: 'NATS', why: 'there is no nats-server on this machine' }],
  failures: [{ row: 'one', peer: 'tcp', why: '1 of 2 bytes arrived' }],
}

test('medians and quantiles cover the samples, and are NaN without any', () => {
  assert.deepEqual(
    [
      median([3, 1, 2]),
      median([4, 1, 2, 3]),
      quantile([1, 2, 3, 4], 0.99),
      quantile([5], 0),
      quantile([1, 2, 3, 4], 0.5),
    ],
    [2, 2.5, 4, 5, 2],
  )
  assert.deepEqual([median([]), quantile([], 0.5), medianRatio([1], [null])], [Number.NaN, Number.NaN, Number.NaN])
  assert.equal(spread([1, 2, 3]), 1)
})

test('a ratio is the median over the rounds that have both', () => {
  assert.equal(ratioOf(results, 'one', 'gateway', 'tls-proxy'), 0.5)
  assert.equal(ratioOf(results, 'one', 'gateway', 'tcp'), undefined)
  assert.deepEqual(samplesOf(results, 'one', 'tls-proxy'), [2, 4, null])
  assert.deepEqual([valueOf(results, 'one', 'tls-proxy'), valueOf(results, 'one', 'nats')], [3, undefined])
})

test('the table shows only rows and columns with figures, and names failures', () => {
  assert.deepEqual(tableOf(results, 'loopback'), [
    '',
    '## Loopback',
    '',
    '|  | TCP | TLS proxy pair | pilotgate | pilotgate ÷ TLS proxy pair |',
    '| --- | ---: | ---: | ---: | ---: |',
    '| connection set-up, cold, ms |  |  | **30.0** |  |',
    '| 64 KB messages, one stream, Gbit/s | failed | 3.00 | **2.00** | 0.50 |',
    '| 64 KB messages, 16 streams, Gbit/s |  |  | **4.00** |  |',
    '| HTTP requests, 32 keep-alive connections, /s | 12,346 |  |  |  |',
  ])
  assert.deepEqual(tableOf(results, 'veth'), [])
  const report = reportOf(results, [{ file: 'a.svg', title: 'A' }])
  for (const line of [
    '![A](a.svg)',
    '- NATS: there is no nats-server on this machine.',
    '- one, tcp: 1 of 2 bytes arrived',
    '- **TLS proxy pair**: two Node proxies',
  ])
    assert.ok(report.includes(line), line)
  assert.ok(!report.includes('**gRPC**'), 'a variant that was not measured is not explained')
})

test('numbers keep their significant digits', () => {
  assert.deepEqual(
    [formatValue(0.1234, 3), formatValue(12.34, 3), formatValue(123.4, 3), formatValue(1234.5, 0)],
    ['0.123', '12.3', '123', '1,235'],
  )
})

test('a goal is judged by the results, and left out without any', () => {
  assert.deepEqual(
    judge(results).map(({ what, found, met }) => [what, found, met]),
    [
      ['64 KB messages, one stream, ÷ TLS proxy pair', '0.500', false],
      ['16 streams ÷ one', '2.00', true],
      ['connection set-up, cold, ms', '30.0', false],
    ],
  )
})

test('a chart is well-formed, has a bar for each figure, and is readable on dark pages', () => {
  const svg = chart('<A & B>', [
    {
      title: 'one',
      hint: 'ms',
      bars: [
        { name: 'x', value: 2, text: '2.0', isOurs: true },
        { name: 'y', value: 1, text: '1.0', isOurs: false },
      ],
    },
  ])
  assert.ok(svg.includes('<title>&lt;A &amp; B&gt;</title>') && svg.includes('prefers-color-scheme:dark'))
  const widths = [...svg.matchAll(/<rect class="bar[^"]*" .*?width="(\d+)"/g)].map((match) => Number(match[1]))
  assert.equal(widths[0], widths[1]! * 2)
  for (const tag of ['svg', 'text', 'title', 'style', 'tspan'])
    assert.equal(
      svg.match(new RegExp(`<${tag}[ >]`, 'g'))?.length,
      svg.match(new RegExp(`</${tag}>`, 'g'))?.length,
      tag,
    )
  assert.deepEqual(
    chartsOf(results).map(({ file }) => file),
    ['throughput.svg'],
  )
  assert.deepEqual(chartsOf({ ...results, samples: [] }), [])
})

test('every row a step yields is known, and every row is yielded', () => {
  const yielded = new Set([...STEPS.flatMap(({ rows }) => rows), 'cold', 'restart', 'nat'])
  assert.deepEqual([...new Set(ROWS.map(({ id }) => id.split(':')[0]!))].sort(), [...yielded].sort())
  for (const { peers } of STEPS)
    for (const peer of peers)
      assert.ok(
        PEERS.some(({ id }) => id === peer),
        peer,
      )
})

test('--only accepts rows, variants and places, and names unknown ones', () => {
  const choice = readChoice(['--quick', '--only', 'one,gateway,tls-proxy,veth'])
  assert.deepEqual(
    [
      choice.scale.name,
      [...choice.peers],
      choice.hasPlace('loopback'),
      choice.hasPlace('veth-loss1'),
      choice.hasRows(['one', 'cpu']),
      choice.hasRows(['rtt']),
    ],
    ['quick', ['gateway', 'tls-proxy'], false, true, true, false],
  )
  const cold = readChoice(['--only', 'cold,nat'])
  assert.deepEqual(
    [cold.hasPlace('loopback'), cold.hasPlace('nat'), cold.hasRows(['cold']), cold.hasRows(['one'])],
    [true, true, true, false],
    'nat is a row',
  )
  assert.deepEqual(
    [readChoice([]).scale.name, readChoice([]).peers.size, readChoice(['--out=x']).out],
    ['full', PEERS.length, 'x'],
  )
  assert.throws(() => readChoice(['--only', 'one,two']), /there is no two; there are .*setup/)
  assert.throws(() => readChoice(['--fast']), /unknown option --fast/)
  assert.throws(() => readChoice(['--out']), /--out needs a value/)
})

test('machine-independent goals are checked without a baseline', () => {
  const good = Object.fromEntries(RELATIONS.flatMap(({ less, more }) => [[less, 1] as const, [more, 1] as const]))
  assert.deepEqual(brokenRelations(good), [])
  for (const { less } of RELATIONS) assert.equal(brokenRelations({ ...good, [less]: 100 }).length, 1, less)
  assert.equal(brokenRelations({}).length, RELATIONS.length, 'a goal that was not measured does not pass')
})

test('the micro benchmarks are judged by their change since the baseline', () => {
  const lines = compare({ a: 1, b: 3.1, c: 1, d: 1 }, { a: 1.2, b: 2, c: 1.6, e: 1 })
  assert.deepEqual(
    lines.map(({ name, verdict }) => [name, verdict]),
    [
      ['a', 'ok'],
      ['b', 'worse'],
      ['c', 'better'],
      ['d', 'new'],
      ['e', 'gone'],
    ],
  )
  assert.match(tableOfLines(lines), /^case +now +baseline +now ÷ baseline\na +1\.00 +1\.20 +0\.83 +ok\nb /)
})
