/**
 * Flags, variables and a file go in, the options the gateway sees come out; nothing is read from the real environment.
 */
import { syncBuiltinESMExports } from 'node:module'
import os from 'node:os'
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { resolve as resolvePath } from 'node:path'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PilotError, type ErrorCode } from '../../../src/base/errors.ts'
import type { GatewayOptions } from '../../../src/gateway/model/options.ts'
import { parseConfig } from '../../../src/config/load.ts'
import type { Flags } from '../../../src/config/flags.ts'
import { resolveOptions } from '../../../src/config/options.ts'
import { resolveAdminSocket } from '../../../src/config/paths.ts'
import { idleVariables } from '../../../src/config/variables.ts'

const env = { HOME: '/home/ann' }
const fileOf = (text: string) => ({ config: parseConfig(`version: 1\n${text}`, 'g.yaml'), folder: '/etc/pilotgate' })

test('without any input, every option has its default', () => {
  assert.deepEqual(resolveOptions({ flags: {}, env }), {
    registry: '127.0.0.1:9000',
    beacon: '127.0.0.1:9001',
    transport: 'auto',
    listen: '0.0.0.0:0',
    public: false,
    stateDir: '/home/ann/.local/state/pilotgate',
    identityFile: '/home/ann/.local/state/pilotgate/identity.json',
    adminSocket: '/home/ann/.local/state/pilotgate/admin.sock',
    trust: [],
    pinned: {},
    maps: [],
    exposes: [],
    allowLan: false,
  })
})

test('a flag wins over a variable, a variable over the file, the file over the default', () => {
  const file = fileOf('node: { registry: "file:1", beacon: "file:2", listen: "127.0.0.1:3", hostname: file }')
  const options = resolveOptions({
    flags: { registry: 'flag:1' },
    env: { ...env, PILOTGATE_REGISTRY: 'env:1', PILOTGATE_BEACON: 'env:2', PILOTGATE_HOSTNAME: '' },
    file,
  })
  assert.deepEqual(
    [options.registry, options.beacon, options.listen, options.hostname],
    ['flag:1', 'env:2', '127.0.0.1:3', 'file'],
  )
})

test('public and allow-lan are read from variables as true or false, and a flag wins', () => {
  assert.equal(
    resolveOptions({ flags: {}, env: { ...env, PILOTGATE_PUBLIC: 'yes', PILOTGATE_ALLOW_LAN: '1' } }).public,
    true,
  )
  assert.equal(
    resolveOptions({ flags: {}, env: { ...env, PILOTGATE_PUBLIC: '0' }, file: fileOf('node: { public: true }') })
      .public,
    false,
  )
  assert.equal(resolveOptions({ flags: { public: true }, env: { ...env, PILOTGATE_PUBLIC: 'off' } }).public, true)
  rejects({}, 'USAGE', /PILOTGATE_PUBLIC "maybe": expected true or false/, { PILOTGATE_PUBLIC: 'maybe' })
})

test('networks to join are numbers, or have a token file next to the configuration; a daemon joins on its own', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pg-options-'))
  await writeFile(join(folder, 'net7.token'), 'secret\n')
  const file = {
    config: parseConfig('version: 1\nnode: { networks: [3, { id: 7, tokenFile: net7.token }] }', 'g.yaml'),
    folder,
  }
  assert.deepEqual(resolveOptions({ flags: {}, env, file }).networks, [
    { network: 3, token: undefined },
    { network: 7, token: 'secret' },
  ])
  assert.throws(
    () => resolveOptions({ flags: { daemon: '/run/pilot.sock' }, env, file }),
    /node\.networks cannot be combined with --daemon/,
  )
  await rm(folder, { recursive: true })
  assert.throws(
    () => resolveOptions({ flags: {}, env, file }),
    (error: unknown) =>
      error instanceof PilotError && error.code === 'USAGE' && /the token of network 7: ENOENT/.test(error.message),
  )
})

test('several peers cannot be combined with UDP, byte limits can be with headers', () => {
  assert.equal(
    resolveOptions({ flags: { expose: ['80=3000,identity=headers,bytes=1000'] }, env }).exposes[0]?.limits
      ?.bytesPerSecond,
    1_000,
  )
  for (const map of ['a|b:53/udp', 'tag:ci:53/udp'])
    assert.throws(() => resolveOptions({ flags: { map: [map] }, env }), /several peers cannot be combined with \/udp/)
})

test('probes can query the service itself; our own tags go to the registry, and are not available with a daemon', () => {
  const { maps, tags } = resolveOptions({
    flags: {},
    env,
    file: fileOf(
      'node: { tags: [ci, web, ci] }\nmap: [{ peer: ["tag:ci", b], port: 80, probe: { every: 5, http: /healthz } }, { peer: "tag:ci", port: 81, probe: { every: 9, grpc: "" } }]',
    ),
  })
  assert.deepEqual(
    maps.map(({ name, probe, check }) => [name, probe, check]),
    [
      ['tag:ci|b:80', 5, { kind: 'http', path: '/healthz' }],
      ['tag:ci:81', 9, { kind: 'grpc', service: '' }],
    ],
  )
  assert.deepEqual(tags, ['ci', 'web'])
  assert.throws(
    () => resolveOptions({ flags: { daemon: '/run/pilot.sock' }, env, file: fileOf('node: { tags: [ci] }') }),
    /node\.tags cannot be combined with --daemon/,
  )
  for (const bad of ['{ every: 5, http: /a, grpc: b }', '{ http: /a }', '{ every: 5, http: a }'])
    assert.throws(() => fileOf(`map: [{ peer: a, port: 80, probe: ${bad} }]`), PilotError, bad)
  assert.throws(() => fileOf('node: { tags: ["no tag"] }'), /a tag: lower-case/)
})

test('lists from all sources add up, and a peer listed twice is asked once', () => {
  const options = resolveOptions({
    flags: { trust: ['c', 'a'], map: ['8080:b:80'], expose: ['81=3001'] },
    env: {
      ...env,
      PILOTGATE_TRUST: 'b  c',
      PILOTGATE_MAP: 'b:443\n[0:0000.0000.0004]:80',
      PILOTGATE_EXPOSE: '82=3002,allow=a',
    },
    file: fileOf(
      'node: { trust: [a] }\nmap: [{ name: web, peer: a, port: 1, local: "127.0.0.1:0" }, { peer: a, ports: [2, "3-5"] }]\nexpose: [{ port: 80, target: "3000", allow: [a, "7", a] }]',
    ),
  })
  assert.deepEqual(options.trust, ['a', 'b', 'c'])
  assert.deepEqual(
    options.maps.map(({ name, localAddress, localPort }) => [name, localAddress, localPort]),
    [
      ['web', '127.0.0.1', 0],
      ['a:2', undefined, 2],
      ['a:3', undefined, 3],
      ['a:4', undefined, 4],
      ['a:5', undefined, 5],
      ['b:443', undefined, 443],
      ['0:0000.0000.0004:80', undefined, 80],
      ['b:80', '127.0.0.1', 8080],
    ],
  )
  assert.deepEqual(
    options.exposes.map(({ name, target, allow }) => [name, target.text, allow]),
    [
      ['80', 'tcp://localhost:3000', ['a', '7']],
      ['82', 'tcp://localhost:3002', ['a']],
      ['81', 'tcp://localhost:3001', ['trusted']],
    ],
  )
})

test('paths: ~ is the home folder, paths in the file are relative to it, the identity lives in the state folder', () => {
  const inFile = resolveOptions({
    flags: {},
    env,
    file: fileOf('node: { stateDir: state, identity: me.json }\nadmin: { socket: ~/a.sock }'),
  })
  assert.deepEqual(
    [inFile.stateDir, inFile.identityFile, inFile.adminSocket],
    ['/etc/pilotgate/state', '/etc/pilotgate/state/me.json', '/home/ann/a.sock'],
  )
  const flagged = resolveOptions({ flags: { stateDir: '~/s', identity: 'me.json' }, env })
  assert.deepEqual(
    [flagged.stateDir, flagged.identityFile, flagged.adminSocket],
    ['/home/ann/s', `${process.cwd()}/me.json`, '/home/ann/s/admin.sock'],
  )
  assert.equal(
    resolveOptions({ flags: {}, env: { ...env, XDG_STATE_HOME: '/var/state' } }).stateDir,
    '/var/state/pilotgate',
  )
  assert.equal(
    resolveOptions({ flags: {}, env: { ...env, XDG_STATE_HOME: 'relative' } }).stateDir,
    '/home/ann/.local/state/pilotgate',
  )
})

test('a command finds the socket by flag, variable, state folder or default', () => {
  assert.equal(
    resolveAdminSocket({ flags: { admin: '/a.sock' }, env: { ...env, PILOTGATE_ADMIN: '/b.sock' } }),
    '/a.sock',
  )
  assert.equal(resolveAdminSocket({ flags: {}, env: { ...env, PILOTGATE_ADMIN: '/b.sock' } }), '/b.sock')
  assert.equal(resolveAdminSocket({ flags: {}, env: { ...env, PILOTGATE_STATE_DIR: '/s' } }), '/s/admin.sock')
  assert.equal(resolveAdminSocket({ flags: {}, env }), '/home/ann/.local/state/pilotgate/admin.sock')
})

test('options that cannot work are refused by name before anything starts', () => {
  rejects({ registry: '9000' }, 'USAGE', /--registry "9000": expected a host and port/)
  rejects({ registry: 'rv:0' }, 'USAGE', /--registry "rv:0"/)
  rejects({ listen: 'localhost:0' }, 'USAGE', /--listen "localhost:0": expected an IP address/)
  rejects({ endpoint: '203.0.113.7:0' }, 'USAGE', /--endpoint/)
  rejects({ hostname: 'My_Host' }, 'USAGE', /--hostname "My_Host": expected a hostname/)
  rejects({}, 'USAGE', /PILOTGATE_BEACON "x": expected/, { PILOTGATE_BEACON: 'x' })
  rejects({ trust: ['Bob'] }, 'USAGE', /trust "Bob": a peer is/)
  rejects({ map: ['x'] }, 'USAGE', /map "x"/)
  rejects({ map: ['8080:a:80', '8080:a:80', '8080:a:80'] }, 'CONFLICT', /the mapping "8080:a:80" is given twice/)
  rejects({ observe: '9464' }, 'USAGE', /--observe "9464": expected an IP address and port/)
  rejects({ map: ['127.0.0.1:8080:a:80', '127.0.0.1:8080:b:80'] }, 'CONFLICT', /the local address "127\.0\.0\.1:8080"/)
  rejects({ expose: ['80=3000', '80=3001'] }, 'CONFLICT', /the exposure "80" is given twice/)
  assert.equal(
    resolveOptions({
      flags: { expose: ['53=53', '53/udp=53'], map: ['127.0.0.1:53:a:53', '127.0.0.1:53:a:53/udp'] },
      env: {},
    }).exposes.length,
    2,
  ) // TCP and UDP ports are different ones
  rejects({ admin: `/${'x'.repeat(107)}` }, 'USAGE', /at most 107 bytes, this has 108/)
  assert.throws(
    () =>
      resolveOptions({
        flags: { expose: ['80=1'] },
        env,
        file: fileOf('expose: [{ name: web, port: 80, target: "3000" }]'),
      }),
    /the overlay port "80" is given twice/,
  )
  assert.throws(
    () => resolveOptions({ flags: {}, env, file: fileOf('map: [{ peer: a, ports: ["1-65535"] }]') }),
    /65535 mappings were requested/,
  )
})

test('the same remote port on several local ports makes several mappings, named as written', () => {
  const { maps } = resolveOptions({ flags: { map: ['a:80', '8080:a:80', '127.0.0.1:8081:a:80'] }, env })
  assert.deepEqual(
    maps.map(({ name }) => name),
    ['a:80', '8080:a:80', '8081:a:80'],
  )
})

test('variables that change nothing are named, with the command that reads them', () => {
  const vars = {
    PILOTGATE_REGISTRY: 'x',
    PILOTGATE_REGISTY: 'x',
    PILOTGATE_STORE: '/s',
    PILOTGATE_HTTP: '127.0.0.1:1',
    PILOTGATE_MAP: 'a:1',
    PILOTGATE_EMPTY: '',
    PILOT_X: '1',
  }
  assert.deepEqual(idleVariables(vars, 'up'), [
    { variable: 'PILOTGATE_REGISTY', why: 'is it misspelt?' },
    { variable: 'PILOTGATE_STORE', why: 'only `pilotgate rendezvous` reads it' },
  ])
  assert.deepEqual(idleVariables(vars, 'rendezvous'), [
    { variable: 'PILOTGATE_REGISTY', why: 'is it misspelt?' },
    { variable: 'PILOTGATE_MAP', why: 'only `pilotgate up` reads it' },
  ])
})

test('front, proxy and DNS can be switched on without a file, and a flag leaves the rest of their section alone', () => {
  const bare = resolveOptions({
    flags: { http: '127.0.0.1:8088', dns: '127.0.0.1:5353' },
    env: { ...env, PILOTGATE_PROXY_LISTEN: '127.0.0.1:1080' },
  })
  assert.deepEqual(
    [bare.http, bare.proxy, bare.dns],
    [
      { address: '127.0.0.1', port: 8088 },
      { listen: '127.0.0.1:1080' },
      { listen: '127.0.0.1:5353', domain: 'pilot', ports: [80, 443] },
    ],
  )
  const file = fileOf(
    'http: { listen: "127.0.0.1:1", origins: ["http://x.example"] }\ndns: { listen: "127.0.0.1:2", ports: [] }',
  )
  const both = resolveOptions({ flags: { http: '127.0.0.1:0' }, env, file })
  assert.deepEqual(both.http, { address: '127.0.0.1', port: 0, origins: ['http://x.example'] })
  assert.deepEqual(both.dns, { listen: '127.0.0.1:2', domain: 'pilot', ports: [] })
  rejects({ http: '8088' }, 'USAGE', /--http "8088": expected an IP address and port/)
  rejects({ proxyListen: '192.0.2.1:1' }, 'USAGE', /proxy\.listen: 192\.0\.2\.1 is not a loopback address/)
})

test('services of the gateway itself are off; a flag opens them to every trusted peer, the file to some', () => {
  assert.equal(resolveOptions({ flags: {}, env }).serve, undefined)
  const flags = { serve: ['messages'] }
  assert.deepEqual(resolveOptions({ flags, env: { ...env, PILOTGATE_SERVE: 'events' } }).serve, {
    events: { allow: ['trusted'] },
    messages: { allow: ['trusted'] },
  })
  const file = fileOf(
    'serve: { messages: { allow: [alice, alice], inbox: ./in, hook: { exec: [run] } }, events: { allow: ["tag:ci"], topics: ["ci.*"] } }',
  )
  const { serve } = resolveOptions({ flags, env, file })
  assert.deepEqual(serve, {
    events: { allow: ['tag:ci'], topics: ['ci.*'] },
    messages: { allow: ['alice'], inbox: resolvePath(file.folder, 'in'), hook: { exec: ['run'] } },
  })
  rejects({ serve: ['mail'] }, 'USAGE', /--serve "mail": expected messages or events/)
})

test('what only shows when all entries are put together is reported with file, line and column', () => {
  const cases: readonly (readonly [string, ErrorCode, string])[] = [
    [
      'map: [{ name: x, peer: a, port: 1 }, { name: x, peer: b, port: 2 }]',
      'CONFLICT',
      '2:46: map[1].name: the mapping "x" is given twice',
    ],
    [
      'map: [{ peer: a, port: 1, local: 7000 },\n { peer: b, port: 2, local: 7000 }]',
      'CONFLICT',
      '3:29: map[1].local: the local address "127.0.0.1:7000"',
    ],
    [
      'map: [{ peer: a, port: 1, local: "10.0.0.1:1" }]',
      'USAGE',
      '2:34: map[0].local: map "10.0.0.1:1:a:1": 10.0.0.1 is not a loopback',
    ],
    [
      'expose: [{ name: a, port: 80, target: "1" }, { name: b, port: 80, target: "2" }]',
      'CONFLICT',
      '2:63: expose[1].port: the overlay port "80" is given twice',
    ],
    [
      'expose: [{ port: 80, target: "169.254.169.254:80" }]',
      'USAGE',
      '2:30: expose[0].target: exposure 80: tcp://169.254.169.254:80 is a link-local',
    ],
    ['dns: { listen: "192.0.2.1:53" }', 'USAGE', '2:16: dns.listen: dns.listen: 192.0.2.1 is not a loopback'],
  ]
  for (const [text, code, beginning] of cases) {
    const file = { ...fileOf(text), text: `version: 1\n${text}`, file: 'g.yaml' }
    assert.throws(
      () => resolveOptions({ flags: {}, env, file }),
      (error) => {
        assert.ok(error instanceof PilotError)
        assert.deepEqual([error.code, error.message.slice(0, 7 + beginning.length)], [code, `g.yaml:${beginning}`])
        return true
      },
    )
  }
  const fine = { ...fileOf('expose: [{ port: 80, target: "1" }]'), text: 'x', file: 'g.yaml' }
  assert.throws(() => resolveOptions({ flags: { expose: ['80=2'] }, env, file: fine }), {
    message: /^the exposure "80"/,
  }) // the flag is to blame
})

test('a bare port in the file means localhost', () => {
  const { maps } = resolveOptions({
    flags: {},
    env,
    file: fileOf('map: [{ peer: a, port: 80, local: 8080 }, { peer: b, port: 80, local: "127.0.0.1:0" }]'),
  })
  assert.deepEqual(
    maps.map(({ localAddress, localPort }) => [localAddress, localPort]),
    [
      ['127.0.0.1', 8080],
      ['127.0.0.1', 0],
    ],
  )
})

test('the HTTP front and the identity options come from the file; beyond loopback the front needs --allow-lan', () => {
  const inFile = (text: string, flags = {}): GatewayOptions => resolveOptions({ flags, env, file: fileOf(text) })
  assert.deepEqual(inFile('http: { listen: "127.0.0.1:8088" }').http, { address: '127.0.0.1', port: 8088 })
  assert.equal(inFile('admin: {}').http, undefined)
  assert.deepEqual(inFile('http: { listen: "0.0.0.0:0" }', { allowLan: true }).http, { address: '0.0.0.0', port: 0 })
  assert.throws(
    () => inFile('http: { listen: "0.0.0.0:0" }'),
    (error) =>
      error instanceof PilotError &&
      error.code === 'USAGE' &&
      /http\.listen: 0\.0\.0\.0 is not a loopback address/.test(error.message),
  )
  const { exposes } = inFile(
    'expose: [{ port: 1, target: "3000", identity: [headers, proxy-v2, headers] }, { port: 2, target: "3000", identity: [] }, { port: 3, target: "3000" }]',
    { expose: ['4=3000,identity=proxy-v1'] },
  )
  assert.deepEqual(
    exposes.map(({ identity }) => identity),
    [['headers', 'proxy-v2'], undefined, undefined, ['proxy-v1']],
  )
})

test('a listener beyond loopback needs --allow-lan', () => {
  rejects(
    { map: ['0.0.0.0:8080:a:80'] },
    'USAGE',
    /map "0\.0\.0\.0:8080:a:80": 0\.0\.0\.0 is not a loopback address.*--allow-lan/,
  )
  rejects({ map: ['[::]:8080:a:80'] }, 'USAGE', /:: is not a loopback address/)
  for (const map of ['127.9.9.9:8080:a:80', '[::1]:8080:a:80'])
    assert.equal(resolveOptions({ flags: { map: [map] }, env }).maps.length, 1)
  assert.equal(resolveOptions({ flags: { map: ['10.0.0.1:8080:a:80'], allowLan: true }, env }).allowLan, true)
})

test('a daemon brings its own identity, socket and visibility: naming them as well is a mistake', () => {
  assert.deepEqual(resolveOptions({ flags: { daemon: '~/pilot.sock' }, env }).daemon, {
    socket: '/home/ann/pilot.sock',
  })
  assert.deepEqual(
    resolveOptions({ flags: { daemon: '/a' }, env: { ...env, PILOTGATE_DAEMON: '/b', PILOTGATE_REGISTRY: 'rv:1' } })
      .daemon,
    { socket: '/a', registry: 'rv:1' },
  )
  assert.deepEqual(resolveOptions({ flags: {}, env: { ...env, PILOTGATE_DAEMON: '/b' } }).daemon, { socket: '/b' })
  assert.deepEqual(
    resolveOptions({
      flags: {},
      env,
      file: fileOf('node: { daemon: pilot.sock, registry: "rv:2", beacon: "127.0.0.1:9001" }'),
    }).daemon,
    { socket: '/etc/pilotgate/pilot.sock', registry: 'rv:2' },
  )
  assert.equal('daemon' in resolveOptions({ flags: {}, env }), false)
  const daemon = '/a'
  for (const flags of [
    { beacon: 'b:1' },
    { listen: '127.0.0.1:0' },
    { endpoint: '203.0.113.7:4000' },
    { hostname: 'x' },
    { public: true },
    { identity: 'me.json' },
  ] as const) {
    rejects({ daemon, ...flags }, 'USAGE', new RegExp(`--${Object.keys(flags)[0]!} cannot be combined with --daemon`))
  }
  rejects({ daemon }, 'USAGE', /PILOTGATE_LISTEN cannot be combined with --daemon/, { PILOTGATE_LISTEN: '127.0.0.1:1' })
  assert.throws(
    () => resolveOptions({ flags: { daemon }, env, file: fileOf('node: { hostname: me }') }),
    /node\.hostname cannot be combined with --daemon/,
  )
  const pinned = fileOf(
    `peers: { bob: { address: "0:0000.0000.0007", key: "${Buffer.alloc(32).toString('base64')}" } }`,
  )
  assert.throws(
    () => resolveOptions({ flags: { daemon }, env, file: pinned }),
    /peers cannot be combined with --daemon/,
  )
})

function rejects(flags: Flags, code: ErrorCode, expected: RegExp, more: Record<string, string> = {}): void {
  assert.throws(
    () => resolveOptions({ flags, env: { ...env, ...more } }),
    (error) => {
      assert.ok(error instanceof PilotError, String(error))
      assert.equal(error.code, code)
      assert.match(error.message, expected)
      return true
    },
  )
}

test('without HOME, for a user unknown to the system, the error points to --state-dir', () => {
  const { homedir } = os
  os.homedir = () => {
    throw Object.assign(new Error('uv_os_homedir returned ENOENT'), { code: 'ERR_SYSTEM_ERROR' })
  }
  syncBuiltinESMExports()
  try {
    assert.throws(
      () => resolveOptions({ flags: {}, env: {} }),
      (error) => error instanceof PilotError && error.code === 'USAGE' && /--state-dir/.test(error.hint),
    )
    assert.equal(resolveOptions({ flags: { stateDir: '/srv/pilotgate' }, env: {} }).stateDir, '/srv/pilotgate')
  } finally {
    os.homedir = homedir
    syncBuiltinESMExports()
  }
})
