/** Single edits to the text of a file: additions parse as intended, and everything else is unchanged. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { withExposure, withMapping, without } from '../../../src/config/edit.ts'
import { parseConfig } from '../../../src/config/load.ts'
import { exposesOf, mapsOf } from '../../../src/config/options.ts'
import { STARTER } from '../../../src/config/starter.ts'
import { parseExposeSpec } from '../../../src/gateway/model/expose-spec.ts'
import { parseMapSpec } from '../../../src/gateway/model/map-spec.ts'

const FILE = `# ours
version: 1   # always

map:
  # the first
  - { name: one, peer: agent-b, port: 80, local: "127.0.0.1:8080" }   # stays
  - peer: agent-b
    ports: [1, "5-6"]
  - { peer: agent-c, port: 80 }
  - { peer: agent-c, port: 80, local: 81 }
`

test('an added entry parses back to its spec', () => {
  for (const text of [
    'agent-b:80',
    '8080:agent-b:80',
    '0:agent-b:80',
    '127.0.0.1:1:agent-b:2',
    '[::1]:1:agent-b:2',
    '[0:0000.0000.0004]:80',
    '7:80',
    '127.0.0.1:5353:agent-b:53/udp',
    '80:agent-b|agent-c:80,balance=least-connections,probe=5',
    'tag:ci:80,probe=5,probe-http=/healthz',
    '80:tag:ci|agent-b:80,probe=5,probe-grpc=',
    '8080:agent-b:80,host=rewrite',
    '0.0.0.0:80:agent-b:80,path=direct,client=10.0.0.0/8,client=fd00::/8',
  ]) {
    const spec = parseMapSpec(text)
    assert.deepEqual(mapsOf(parseConfig(withMapping('version: 1\n', spec, false), 'x')), [spec], text)
    assert.deepEqual(
      mapsOf(parseConfig(withMapping(FILE, { ...spec, name: 'mine' }, true), 'x')).at(-1),
      { ...spec, name: 'mine' },
      text,
    )
  }
  for (const text of [
    '80=3000,host=rewrite',
    '80=folder:/srv/a%2Cb',
    '1000=exec:echo a%2C b %25',
    '80=3000',
    '80=h2c://127.0.0.1:3000,allow=agent-a',
    '5432=unix:/run/pg.sock,allow=0:0000.0000.0004,allow=trusted',
    '53/udp=127.0.0.1:5353',
    '80=3000,path=direct,identity=proxy-v2,max=5,rate-per-peer=2',
    '80=3000,for=2h,once',
  ]) {
    const spec = parseExposeSpec(text)
    assert.deepEqual(exposesOf(parseConfig(withExposure(FILE, spec, false), 'x')), [spec], text)
  }
})

test('comments, blank lines and the rest of the file are kept', () => {
  const after = withMapping(FILE, parseMapSpec('agent-d:80'), false)
  for (const line of ['# ours', 'version: 1   # always', '  # the first', '    ports: [1, "5-6"]'])
    assert.ok(
      after.replaceAll(/ +#/g, ' #').includes(line.replaceAll(/ +#/g, ' #').replace('[1, "5-6"]', '[ 1, "5-6" ]')) ||
        after.includes(line),
      `${line}\n${after}`,
    )
  assert.match(after, /agent-d/)
  assert.equal(parseConfig(withMapping(STARTER, parseMapSpec('a:1'), false), 'x').map.length, 1)
})

test('only the lines of the entry change, however the author writes the rest', () => {
  const before = `version: 1
node: {trust: [agent-b],   hostname: x}   # odd spaces
map:
    # the first
    - {peer: agent-b, port: 80}      # web
    # the last
    - peer: agent-c
      port: 81

expose: [ {port: 1, target: "2"} ]
`
  const added = withMapping(before, parseMapSpec('agent-d:82'), false)
  assert.equal(added, before.replace('      port: 81\n', '      port: 81\n    - { peer: agent-d, port: 82 }\n'))
  assert.equal(without(added, 'map', 'agent-d:82'), before)
  assert.equal(without(before, 'map', 'agent-b:80'), before.replace('    - {peer: agent-b, port: 80}      # web\n', ''))
  const bare = 'version: 1\nnode: {trust: [agent-b]}'
  assert.equal(withMapping(bare, parseMapSpec('a:1'), false), `${bare}\n\nmap:\n  - { peer: a, port: 1 }\n`)
  // A list in flow style has no lines of its own: the whole file is rewritten, with the same meaning.
  const flow = 'version: 1\nmap: [{peer: a, port: 1}]\n'
  assert.equal(mapsOf(parseConfig(withMapping(flow, parseMapSpec('b:2'), false), 'g.yaml')).length, 2)
})

test('an entry is removed by its resulting name; an entry with several ports is not split', () => {
  assert.ok(!without(FILE, 'map', 'one').includes('8080'))
  assert.deepEqual(mapsOf(parseConfig(without(FILE, 'map', '81:agent-c:80'), 'x')).at(-1)?.localPort, 80)
  assert.throws(() => without(FILE, 'map', 'agent-b:5'), { code: 'USAGE', message: /entry with several ports/ })
  assert.throws(() => without(FILE, 'map', 'nothing'), { code: 'NOT_FOUND' })
  assert.throws(() => without(FILE, 'expose', 'one'), { code: 'NOT_FOUND' })
  assert.equal(without('version: 1\nmap: [{ peer: a, port: 1 }]\n', 'map', 'a:1'), 'version: 1\n')
})

test('the starter file is valid as it is, and with its comments uncommented', () => {
  assert.equal(parseConfig(STARTER, 'x').map.length, 0)
  const whole = parseConfig(STARTER.replaceAll(/^#(?! )/gm, '').replaceAll(/^#( {2})/gm, '$1'), 'x')
  assert.deepEqual(
    [whole.map.length, whole.expose.length, whole.observe.listen, whole.node.hostname],
    [2, 2, '127.0.0.1:9464', 'my-gateway'],
  )
})
