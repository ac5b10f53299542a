/** Where each value of the effective configuration comes from: flag, variable, line in the file, command, default. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfig } from '../../../src/config/load.ts'
import { OPTION_NAMES, OPTIONS, type OptionDefinition } from '../../../src/config/option-table.ts'
import type { Sources } from '../../../src/config/sources.ts'
import { settingsOf } from '../../../src/config/origins.ts'
import { parseMapSpec } from '../../../src/gateway/model/map-spec.ts'
import { run, testWorld } from '../cli/world.ts'

const TEXT = `version: 1
node:
  registry: rv.example:9000
  hostname: from-file
  trust: [ann]
map:
  - { peer: agent-b, ports: [80, 81] }
  - { name: db, peer: agent-b, port: 5432 }
dns:
  listen: "127.0.0.1:5353"
`
const SOURCES: Sources = {
  flags: { hostname: 'from-flag', map: ['8080:agent-c:80'], trust: ['bob'], serve: ['messages'] },
  env: { HOME: '/home/ann', PILOTGATE_BEACON: 'rv.example:9001', PILOTGATE_EXPOSE: '80=3000' },
  file: { config: parseConfig(TEXT, 'gateway.yaml'), folder: '/etc', text: TEXT, file: 'gateway.yaml' },
}

test('each value has its origin: a flag, a variable, a line in the file, or the default', () => {
  const of = originTable(SOURCES)
  assert.deepEqual(of('node.hostname'), ['from-flag --hostname'])
  assert.deepEqual(of('node.beacon'), ['rv.example:9001 PILOTGATE_BEACON'])
  assert.deepEqual(of('node.registry'), ['rv.example:9000 gateway.yaml:3'])
  assert.deepEqual(of('node.listen'), ['0.0.0.0:0 default'])
  assert.deepEqual(of('observe.listen'), ['null default'])
  assert.deepEqual(of('node.trust'), ['ann gateway.yaml:5', 'bob --trust'])
  assert.deepEqual(of('dns.listen'), ['127.0.0.1:5353 gateway.yaml:10'])
  assert.deepEqual(of('dns.domain'), ['pilot default'])
  assert.deepEqual(of('map'), [
    'agent-b:80 gateway.yaml:7',
    'agent-b:81 gateway.yaml:7',
    'agent-b:5432 (db) gateway.yaml:8',
    '8080:agent-c:80 --map',
  ])
  assert.deepEqual(of('expose'), ['80=tcp://localhost:3000 PILOTGATE_EXPOSE'])
})

test('every option of the table is among the settings, and its name in the table is its key', () => {
  const keys = new Set(settingsOf(SOURCES).map(({ key }) => key))
  for (const name of OPTION_NAMES.filter((each) => each !== 'config')) {
    const { key, flag }: OptionDefinition = OPTIONS[name]
    assert.ok(keys.has(key ?? flag), name)
  }
})

test('changes by command in the running gateway have a command as their origin', () => {
  const [removed] = ['agent-b:81'].map(parseMapSpec)
  const of = originTable(SOURCES, {
    maps: { added: [parseMapSpec('9000:agent-d:90')], removed: [removed!] },
    exposes: { added: [], removed: [] },
    sections: [
      { key: 'trust', value: ['eve'] },
      { key: 'dns', value: undefined },
    ],
  })
  assert.deepEqual(of('map'), [
    'agent-b:80 gateway.yaml:7',
    'agent-b:5432 (db) gateway.yaml:8',
    '8080:agent-c:80 --map',
    '9000:agent-d:90 command',
  ])
  assert.deepEqual(of('node.trust'), ['["eve"] command'])
  assert.deepEqual(of('dns.listen'), [])
})

test('a network token is not shown, only the file that holds it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pilotgate-show-'))
  try {
    writeFileSync(join(folder, 'token'), 'very-secret')
    chmodSync(join(folder, 'token'), 0o600)
    const file = join(folder, 'gateway.yaml')
    writeFileSync(file, 'version: 1\nnode:\n  networks: [{ id: 7, tokenFile: token }]\n')
    const { code, out } = await run(`config show -c ${file} --json`)
    assert.equal(code, 0)
    assert.ok(out.includes('"tokenFile":"token"') && !out.includes('very-secret'), out)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('config show queries the running gateway; with options of `up`, it shows their result', async () => {
  assert.match((await run('config show')).out, /^node\.registry +rv\.example:9000 +\/etc\/gateway\.yaml:3$/m)
  const local = await run('config show --registry other.example:9000', testWorld({ env: { PILOTGATE_PUBLIC: 'true' } }))
  assert.match(local.out, /^node\.registry +other\.example:9000 +--registry$/m)
  assert.match(local.out, /^node\.public +true +PILOTGATE_PUBLIC$/m)
  assert.match(local.out, /^node\.beacon +127\.0\.0\.1:9001 +default$/m)
})

function originTable(...args: Parameters<typeof settingsOf>): (key: string) => string[] {
  const settings = settingsOf(...args)
  return (wanted) =>
    settings
      .filter(({ key }) => key === wanted)
      .map(({ value, origin }) => {
        const text = typeof value === 'string' ? value : JSON.stringify(value)
        if (origin.kind === 'file') return `${text} ${origin.file}:${origin.line}`
        return `${text} ${'name' in origin ? origin.name : origin.kind}`
      })
}
