/** Ranges of ports, on the command line and in the file. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { parseConfig } from '../../../src/config/load.ts'
import { resolveOptions } from '../../../src/config/options.ts'

const env = { HOME: '/home/ann' }
const fileOf = (text: string) => ({ config: parseConfig(`version: 1\n${text}`, 'g.yaml'), folder: '/etc/pilotgate' })

test('a range of ports makes one mapping or exposure for each, on local ports that count up', () => {
  const maps = (...map: string[]) => resolveOptions({ flags: { map, allowLan: true }, env }).maps
  assert.deepEqual(
    maps('agent-b:8000-8002').map(({ name, localAddress, localPort }) => [name, localAddress, localPort]),
    [
      ['agent-b:8000', undefined, 8000],
      ['agent-b:8001', undefined, 8001],
      ['agent-b:8002', undefined, 8002],
    ],
  )
  for (const spec of ['10.0.0.1:9000:[0:0000.0000.0004]:80-81/udp', '10.0.0.1:9000-9001:0:0000.0000.0004:80-81/udp'])
    assert.deepEqual(
      maps(spec).map((map) => [map.peer, map.port, map.protocol, map.localAddress, map.localPort]),
      [
        ['0:0000.0000.0004', 80, 'udp', '10.0.0.1', 9000],
        ['0:0000.0000.0004', 81, 'udp', '10.0.0.1', 9001],
      ],
    )
  const exposes = (...expose: string[]) => resolveOptions({ flags: { expose }, env }).exposes
  assert.deepEqual(
    exposes('80-81=127.0.0.1:3000,allow=agent-a', '53/udp=53').map(({ name, target, allow }) => [
      name,
      target.text,
      allow,
    ]),
    [
      ['80', 'tcp://127.0.0.1:3000', ['agent-a']],
      ['81', 'tcp://127.0.0.1:3001', ['agent-a']],
      ['53/udp', 'udp://localhost:53', ['trusted']],
    ],
  )
  for (const [flags, message] of [
    [{ map: ['a:9-8'] }, /"9-8" is not a range of ports/],
    [{ map: ['1-3:a:80-81'] }, /as many ports/],
    [{ map: ['a:1-5000'] }, /at most 1024 ports/],
    [{ expose: ['80-81=unix:/x1'] }, /has no port that could count up/],
  ] as const)
    assert.throws(() => resolveOptions({ flags, env }), { code: 'USAGE', message })
})

test('a file has ranges on one address, and names for each of their ports', () => {
  const file = fileOf(
    'map: [{ name: web, peer: a, ports: ["80-81"], local: 127.0.0.2 }]\nexpose: [{ name: api, port: "90-91", target: "3000" }]',
  )
  const { maps, exposes } = resolveOptions({ flags: {}, env, file })
  assert.deepEqual(
    maps.map(({ name, localAddress, localPort }) => [name, localAddress, localPort]),
    [
      ['web:80', '127.0.0.2', 80],
      ['web:81', '127.0.0.2', 81],
    ],
  )
  assert.deepEqual(
    exposes.map(({ name, port, target }) => [name, port, target.text]),
    [
      ['api:90', 90, 'tcp://localhost:3000'],
      ['api:91', 91, 'tcp://localhost:3001'],
    ],
  )
})
