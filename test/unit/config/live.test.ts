/** The live configuration on a recording gateway: what is computed, in what order, and what is refused. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { PilotError } from '../../../src/base/errors.ts'
import { LiveConfig, adminControl } from '../../../src/config/live.ts'
import { loadConfig } from '../../../src/config/load.ts'
import type { Flags } from '../../../src/config/flags.ts'
import { resolveOptions } from '../../../src/config/options.ts'
import { difference } from '../../../src/gateway/service/table.ts'
import type { Changes, GatewayEvent } from '../../../src/gateway/model/events.ts'
import type { Desired } from '../../../src/gateway/model/options.ts'
import { STATUS, fakeControl } from '../admin/control.ts'

test('changes by command go on top of the file: reloads keep them, and the file wins for its own names', async (t) => {
  const { live, names, write } = await setting(t, 'map: [{ name: one, peer: b, port: 1 }]', { map: ['b:9'] })
  assert.deepEqual(names(), ['one', 'b:9'])
  await live.map('b:2', { name: 'two' })
  await live.unmap('one', {})
  assert.deepEqual(names(), ['b:9', 'two'])
  await write('map: [{ name: one, peer: b, port: 1 }, { name: three, peer: b, port: 3 }]')
  await live.reload()
  assert.deepEqual(names(), ['three', 'b:9', 'two'], 'one stays removed')
  await write('map: [{ name: one, peer: b, port: 7 }, { name: two, peer: b, port: 8 }]')
  await live.reload()
  assert.deepEqual(names(), ['one', 'two', 'b:9'], 'its entry has changed, so it is back; two comes from the file')
  assert.equal(live.config().mappings.find(({ name }) => name === 'two')?.port, 8)
})

test('a version is one applied change; stale versions are refused, and a no-op makes none', async (t) => {
  const { live, events } = await setting(t, '', {})
  assert.equal(live.config().version, 1)
  await live.reload()
  assert.equal(live.config().version, 1)
  await live.map('b:1', { ifVersion: 1 })
  await assert.rejects(live.map('b:2', { ifVersion: 1 }), { code: 'CONFLICT' })
  await assert.rejects(live.replace(1, { map: [] }), { code: 'CONFLICT' })
  assert.equal(
    (await live.replace(2, { map: [{ peer: 'b', port: 5 }], expose: [{ port: 80, target: '3000' }] })).version,
    3,
  )
  assert.deepEqual(
    live.config().exposures.map(({ name }) => name),
    ['80'],
  )
  await assert.rejects(live.replace(3, { map: [{ peer: 'b' }] }), { code: 'CONFIG_INVALID' })
  assert.deepEqual(events.filter(({ event }) => event === 'reloaded').length, 2)
})

test('a file that cannot be applied changes nothing and reports why until it can', async (t) => {
  const { live, names, write, gateway, logged } = await setting(t, 'map: [{ name: one, peer: b, port: 1 }]', {})
  for (const [text, code, why] of [
    ['colour: red', 'CONFIG_INVALID', /colour: no such key/],
    [
      'node: { public: true, hostname: other }',
      'RESTART_NEEDED',
      /^node\.hostname, node\.public: cannot change|^node\.public, node\.hostname: cannot change/,
    ],
    ['map: [{ name: x, peer: b, port: 1 }, { name: x, peer: b, port: 2 }]', 'CONFLICT', /"x" is given twice/],
  ] as const) {
    await write(text)
    for (let twice = 0; twice < 2; twice++) await assert.rejects(live.reload(), { code })
    assert.match(live.status().config!.error!, why)
    assert.deepEqual(names(), ['one'])
  }
  gateway.fail = new PilotError('PORT_IN_USE', 'taken')
  await write('map: [{ name: two, peer: b, port: 2 }]')
  await assert.rejects(live.reload(), { code: 'PORT_IN_USE' })
  gateway.fail = undefined
  assert.equal(logged(), 4, 'each message once')
  await live.reload()
  assert.deepEqual([live.status().config!.error, names()], [null, ['two']])
})

test('save applies before it writes, and writes nothing that was not applied', async (t) => {
  const { live, file, write, gateway } = await setting(t, '# ours\nmap: [{ name: one, peer: b, port: 1 }]', {})
  const before = await readFile(file, 'utf8')
  gateway.fail = new PilotError('PORT_IN_USE', 'taken')
  await assert.rejects(live.map('b:2', { save: true }), { code: 'PORT_IN_USE' })
  gateway.fail = undefined
  assert.equal(await readFile(file, 'utf8'), before)
  await live.map('b:2', { save: true })
  assert.match(await readFile(file, 'utf8'), /^version: 1\n# ours\n.*peer: b, port: 2/s)
  await live.reload()
  assert.equal(live.config().version, 2, 'the watch finds nothing new')
  await write('map: []')
  await assert.rejects(live.map('b:3', { save: true }), { code: 'CONFLICT' }, 'the file is just being edited')
})

test('without a file there is nothing to reload or save to', async () => {
  const { live } = bare({})
  await assert.rejects(live.reload(), { code: 'USAGE', message: /without a configuration file/ })
  await assert.rejects(live.map('b:1', { save: true }), { code: 'USAGE' })
  await live.expose('80=3000', { name: 'web' })
  await assert.rejects(live.expose('81=3000', { name: 'web' }), { code: 'CONFLICT' })
  await assert.rejects(live.expose('80=3000', { name: 'other' }), { code: 'CONFLICT', message: /overlay port "80"/ })
  await assert.rejects(live.unexpose('80', {}), { code: 'NOT_FOUND' })
})

test('listener sections change like the rest: all or nothing, and only what differs', async (t) => {
  const { live, write, gateway } = await setting(t, 'http: { listen: "127.0.0.1:8088" }', {})
  await write('proxy: { listen: "127.0.0.1:1080" }\nobserve: { listen: "127.0.0.1:9464" }')
  const { changes } = await live.diff('x', 'version: 1\nobserve: { listen: "127.0.0.1:9464" }')
  assert.deepEqual([changes.sections, gateway.desired.observe], [['http', 'observe'], undefined])
  assert.deepEqual((await live.reload()).changes.sections, ['http', 'proxy', 'observe'])
  const after = { maps: [], exposes: [], trust: [], proxy: { listen: '127.0.0.1:1080' }, observe: '127.0.0.1:9464' }
  assert.deepEqual(gateway.desired, after)
  gateway.fail = new PilotError('PORT_IN_USE', 'taken')
  await write('observe: { listen: "127.0.0.1:9465" }')
  await assert.rejects(live.reload(), { code: 'PORT_IN_USE' })
  assert.deepEqual(gateway.desired, after)
  gateway.fail = undefined
  await write('map: [{ peer: a, port: 1 }]\nproxy: { listen: "127.0.0.1:1080" }\nobserve: { listen: "127.0.0.1:9464" }')
  assert.deepEqual((await live.reload()).changes.sections, [], 'these are unchanged')
})

test('a replacement is the whole live document; omitted sections stay, null removes them', async (t) => {
  const { live, write, gateway } = await setting(t, 'http: { listen: "127.0.0.1:8088" }\nnode: { trust: [ann] }', {})
  await live.replace(1, { map: [{ peer: 'b', port: 1 }] })
  assert.deepEqual([gateway.desired.http?.port, gateway.desired.trust], [8088, ['ann']], "today's shape")
  await live.replace(2, {
    trust: ['bob'],
    http: null,
    proxy: { listen: '127.0.0.1:1080' },
    dns: { listen: '127.0.0.1:5353', domain: 'corp' },
    observe: { listen: '127.0.0.1:9464' },
  })
  const { file } = live.config()
  assert.deepEqual(live.config(), {
    version: 3,
    file,
    error: null,
    mappings: [],
    exposures: [],
    trust: ['bob'],
    proxy: { listen: '127.0.0.1:1080' },
    dns: { listen: '127.0.0.1:5353', domain: 'corp', ports: [80, 443] },
    observe: '127.0.0.1:9464',
  })
  await assert.rejects(live.replace(3, { http: { listen: 'here' } }), { code: 'CONFIG_INVALID' })
  await assert.rejects(
    live.replace(3, { http: { listen: '10.0.0.7:80' } }),
    { code: 'USAGE' },
    'not without --allow-lan',
  )
  await write('http: { listen: "127.0.0.1:9999" }\nnode: { trust: [ann] }')
  await live.reload()
  assert.deepEqual(
    [gateway.desired.http?.port, gateway.desired.trust, gateway.desired.observe],
    [9999, ['bob'], '127.0.0.1:9464'],
    'a new value for a section in the file takes effect',
  )
})

test('the socket offers the methods of both, each on its own owner', async () => {
  const { live } = bare({})
  const control = adminControl(fakeControl([]), live)
  assert.equal(control.status().config?.version, 1)
  assert.equal(control.peers().length, 1)
  assert.equal((await control.map('b:1', {})).name, 'b:1')
})

async function setting(t: { after(fn: () => Promise<void>): void }, text: string, flags: Flags) {
  const file = join(await mkdtemp(join(tmpdir(), 'pilotgate-live-')), 'gateway.yaml')
  t.after(() => rm(dirname(file), { recursive: true }))
  const write = (content: string): Promise<void> => writeFile(file, `version: 1\n${content}\n`)
  await write(text)
  return { ...bare(flags, { file: await loadConfig(file), path: file }), file, write }
}

/** Listeners are only names here; `fail` is the error on binding. */
function bare(flags: Flags, given?: { readonly file: Awaited<ReturnType<typeof loadConfig>>; readonly path: string }) {
  const sources = { flags, env: { HOME: '/home/ann' }, file: given?.file }
  const events: GatewayEvent[] = []
  let logged = 0
  const { maps, exposes, trust, http } = resolveOptions(sources)
  const gateway = {
    desired: { maps, exposes, trust, ...(http && { http }) } as Desired,
    fail: undefined as PilotError | undefined,
    status: () => STATUS,
    mappings: () =>
      gateway.desired.maps.map(({ name, peer, port }) => ({
        name,
        local: '',
        peer,
        remote: `${peer}:${port}`,
        protocol: 'tcp' as const,
      })),
    exposures: () =>
      gateway.desired.exposes.map(({ name, port, target, allow }) => ({
        name,
        port,
        target: target.text,
        allow,
        protocol: 'tcp' as const,
      })),
    changes: (wanted: Desired): Changes => {
      const names = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name)
      const [map, expose] = [
        difference(gateway.desired.maps, wanted.maps),
        difference(gateway.desired.exposes, wanted.exposes),
      ]
      return {
        mapped: names(map.added),
        unmapped: names(map.removed),
        remapped: names(map.changed),
        exposed: names(expose.added),
        unexposed: names(expose.removed),
        reexposed: names(expose.changed),
        trust: [],
        sections: SECTIONS.filter((key) => !isDeepStrictEqual(gateway.desired[key], wanted[key])),
      }
    },
    apply: async (wanted: Desired): Promise<Changes> => {
      if (gateway.fail !== undefined) throw gateway.fail
      const changes = gateway.changes(wanted)
      gateway.desired = wanted
      return changes
    },
  }
  const log = {
    info() {},
    error() {
      logged += 1
    },
  }
  const live = new LiveConfig({
    gateway,
    sources,
    file: given?.path,
    log,
    onEvent: (event) => events.push(event),
    onDown() {},
  })
  return {
    live,
    gateway,
    events,
    logged: () => logged,
    names: () => gateway.desired.maps.map(({ name }) => name),
  }
}

const SECTIONS = ['http', 'proxy', 'dns', 'observe'] as const
