/** Every mistake in a file is reported with its position: text with mistakes goes in, the exact lines come out. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PilotError } from '../../../src/base/errors.ts'
import { canBeFollowed, loadConfig, parseConfig } from '../../../src/config/load.ts'

test('the smallest file has every default', () => {
  assert.deepEqual(parseConfig('version: 1\n', 'g.yaml'), {
    version: 1,
    node: {
      registry: '127.0.0.1:9000',
      beacon: '127.0.0.1:9001',
      transport: 'auto',
      proxy: 'auto',
      listen: '0.0.0.0:0',
      public: false,
      networks: [],
      trust: [],
    },
    peers: {},
    map: [],
    expose: [],
    observe: {},
    driver: {},
    admin: {},
  })
})

test('compose-file idioms work: merge keys, x- keys, sections with all entries commented out', () => {
  const text = `version: 1
x-access: &access
  allow: [alice]
expose:
  - <<: *access
    port: 80
    target: "3000"
map:
  # - { peer: alice, port: 80 }
`
  const { expose, map } = parseConfig(text, 'g.yaml')
  assert.deepEqual([expose.length, expose[0]!.allow, map], [1, ['alice'], []])
})

test('a second document in the file is an error with its position, not silently ignored', () => {
  assert.throws(
    () => parseConfig('version: 1\n---\nexpose: []\n', 'g.yaml'),
    (error) => error instanceof PilotError && error.message.startsWith('g.yaml:2:1: '),
  )
})

test('a pipe is read once: it cannot be followed', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'pilotgate-config-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  const [file, pipe] = [join(folder, 'g.yaml'), join(folder, 'pipe')]
  await writeFile(file, 'version: 1\n')
  if (spawnSync('mkfifo', [pipe]).status !== 0) return context.skip('no named pipes here')
  assert.deepEqual([await canBeFollowed(file), await canBeFollowed(pipe)], [true, false])
})

test('the example loads', () => {
  const config = parseConfig(
    readFileSync(new URL('../../../config/gateway.example.yaml', import.meta.url), 'utf8'),
    'gateway.example.yaml',
  )
  assert.equal(config.map.length, 2)
  assert.equal(config.expose.length, 3)
})

const MISTAKES: readonly (readonly [what: string, text: string, ...messages: string[]])[] = [
  ['an empty file', '', 'g.yaml:1:1: version: missing; expected the number 1'],
  ['a list as the file', '- a', 'g.yaml:1:1: expected keys with values, found a list'],
  ['a wrong version', 'version: 2', 'g.yaml:1:10: version: expected the number 1, found the number 2'],
  [
    'broken syntax',
    'version: 1\nnode: { a: [ }',
    'g.yaml:2:14: not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
  ],
  [
    'an unknown key with a close match',
    'version: 1\nnode:\n  hostnam: a',
    'g.yaml:3:3: node.hostnam: no such key; did you mean "hostname"?',
  ],
  [
    'an unknown key with none',
    'version: 1\nadmin: { colour: red }',
    'g.yaml:2:10: admin.colour: no such key; expected one of socket',
  ],
  [
    'an invalid network',
    'version: 1\nnode: { networks: [0] }',
    'g.yaml:2:20: node.networks[0]: expected the number of a network from 1 to 65535, or { id, tokenFile }, found the number 0',
  ],
  [
    'two mutually exclusive values',
    'version: 1\nexpose: [{ port: 80, target: "80", identity: [proxy-v1, proxy-v2] }]',
    'g.yaml:2:46: expose[0].identity: expected proxy-v1 or proxy-v2, not both, found a list',
  ],
  [
    'a front without a listener',
    'version: 1\nhttp: {}',
    'g.yaml:2:7: http.listen: missing; expected an IP address and port as "127.0.0.1:8080"',
  ],
  [
    'an unknown identity option',
    'version: 1\nexpose: [{ port: 80, target: "80", identity: [headers, proxy] }]',
    'g.yaml:2:56: expose[0].identity[1]: expected headers, proxy-v1 or proxy-v2, found the string "proxy"',
  ],
  ['a key twice', 'version: 1\nnode: {}\nnode: {}', 'g.yaml:3:1: duplicate key'],
  [
    'a port in place of host:port',
    'version: 1\nnode: { registry: 9000 }',
    'g.yaml:2:19: node.registry: expected a host and port as "127.0.0.1:9000", or "tls://rv.example:9000", found the number 9000 (write it in quotes: "9000")',
  ],
  [
    'a hostname that YAML reads as a number',
    'version: 1\nnode: { hostname: 0012 }',
    'g.yaml:2:19: node.hostname: expected a hostname: lower-case letters, digits and inner hyphens, at most 63, found the number 12 (write it in quotes: "0012")',
  ],
  [
    'half an address that YAML reads as a number',
    'version: 1\nnode: { trust: [0000.0001] }',
    'g.yaml:2:17: node.trust[0]: expected a hostname, an address as "0:0000.0000.0004", or a node id, found the number 0.0001 (write it in quotes: "0000.0001")',
  ],
  [
    'yes for true',
    'version: 1\nnode: { public: yes }',
    'g.yaml:2:17: node.public: expected true or false, found the string "yes" (write true or false, without quotes)',
  ],
  [
    'a quoted port',
    'version: 1\nexpose: [{ port: "80", target: "3000" }]',
    'g.yaml:2:18: expose[0].port: expected a port from 1 to 65535, or "53/udp", or a range such as "8000-8010", found the string "80" (write it without quotes)',
  ],
  [
    'a port out of range',
    'version: 1\nexpose: [{ port: 0, target: "3000" }]',
    'g.yaml:2:18: expose[0].port: expected a port from 1 to 65535, or "53/udp", or a range such as "8000-8010", found the number 0',
  ],
  [
    'a missing key',
    'version: 1\nmap:\n  - port: 80',
    'g.yaml:3:5: map[0].peer: missing; expected a hostname, an address as "0:0000.0000.0004", a node id, or "tag:NAME", or a list of them, without repeats',
  ],
  [
    'an empty value',
    'version: 1\nnode:\n  listen:',
    'g.yaml:3:10: node.listen: expected an IP address and port as "127.0.0.1:8080", found nothing',
  ],
  [
    'neither port nor ports',
    'version: 1\nmap: [{ peer: a }]',
    'g.yaml:2:7: map[0].port: missing; expected `port`, or `ports` for several',
  ],
  [
    'port and ports',
    'version: 1\nmap: [{ peer: a, port: 1, ports: [2] }]',
    'g.yaml:2:34: map[0].ports: cannot be combined with `port`; give one of them',
  ],
  [
    'local with ports',
    'version: 1\nmap: [{ peer: a, ports: [2], local: "127.0.0.1:0" }]',
    'g.yaml:2:37: map[0].local: with `ports` it is an IP address alone, as in "127.0.0.1"; the ports are the same',
  ],
  [
    'a backward range',
    'version: 1\nmap: [{ peer: a, ports: ["9-8"] }]',
    'g.yaml:2:26: map[0].ports[0]: expected a port from 1 to 65535, or a range such as "8000-8010", optionally followed by "/udp", found the string "9-8"',
  ],
  [
    'a target that cannot be combined with UDP',
    'version: 1\nexpose: [{ port: "53/udp", target: "unix:/x" }]',
    'g.yaml:2:36: expose[0].target: target "unix:/x": a /udp port needs HOST:PORT; expected PORT, HOST:PORT, tcp://HOST:PORT, http://HOST:PORT, h2c://HOST:PORT, unix:/PATH, folder:/PATH or exec:COMMAND',
  ],
  [
    'an invalid limit',
    'version: 1\nexpose: [{ port: 80, target: "3000", limits: { connections: 0 } }]',
    'g.yaml:2:61: expose[0].limits.connections: expected a whole number from 1, found the number 0',
  ],
  [
    'an invalid duration',
    'version: 1\nexpose: [{ port: 80, target: "3000", for: "soon" }]',
    'g.yaml:2:43: expose[0].for: expected a duration such as 90s, 10m, 2h or 1d, at most 24d, found the string "soon"',
  ],
  [
    'a bad target',
    'version: 1\nexpose: [{ port: 80, target: "https://x:1" }]',
    'g.yaml:2:30: expose[0].target: target "https://x:1": "https" is not a scheme this version knows; tcp://HOST:PORT carries any bytes, TLS included; expected PORT, HOST:PORT, tcp://HOST:PORT, http://HOST:PORT, h2c://HOST:PORT, unix:/PATH, folder:/PATH or exec:COMMAND',
  ],
  [
    'an empty allow list',
    'version: 1\nexpose: [{ port: 80, target: "80", allow: [] }]',
    'g.yaml:2:43: expose[0].allow: expected at least one peer, or no `allow` at all, found a list',
  ],
  [
    'a bad pinned name',
    'version: 1\npeers: { Alice: { address: "0:0000.0000.0001", key: "" } }',
    'g.yaml:2:10: peers.Alice: expected a hostname-like name, found the string "Alice"',
  ],
  [
    'a short pinned key',
    'version: 1\npeers: { al: { address: "0:0000.0000.0001", key: "AAAA" } }',
    'g.yaml:2:50: peers.al.key: expected a base64 Ed25519 public key of 32 bytes, found the string "AAAA"',
  ],
  [
    'a duration, an address and a peer written as numbers',
    'version: 1\nobserve: { listen: 9464 }\nmap: [{ peer: 7, port: 1 }]\nexpose: [{ port: 1, target: "1", for: 60 }]',
    'g.yaml:2:20: observe.listen: expected an IP address and port as "127.0.0.1:8080", found the number 9464 (write it with its address: "127.0.0.1:9464")',
    'g.yaml:3:15: map[0].peer: expected a hostname, an address as "0:0000.0000.0004", a node id, or "tag:NAME", or a list of them, without repeats, found the number 7 (write it in quotes: "7")',
    'g.yaml:4:39: expose[0].for: expected a duration such as 90s, 10m, 2h or 1d, at most 24d, found the number 60 (write it with its unit: "60s")',
  ],
  [
    'a word where a list is expected',
    'version: 1\nexpose: [{ port: 1, target: "1", allow: agent-a, identity: headers }]',
    'g.yaml:2:41: expose[0].allow: expected a list, found the string "agent-a" (write it in brackets: [agent-a])',
    'g.yaml:2:60: expose[0].identity: expected a list, found the string "headers" (write it in brackets: [headers])',
  ],
  [
    'an address alone for one port',
    'version: 1\nmap: [{ peer: a, port: 1, local: "127.0.0.1" }]',
    'g.yaml:2:34: map[0].local: needs a port as well, as in "127.0.0.1:8080"',
  ],
  [
    'several mistakes, in the order of the file',
    'node: { registry: x }\nexpose: 7\nversion: 1\ncolour: red',
    'g.yaml:1:19: node.registry: expected a host and port as "127.0.0.1:9000", or "tls://rv.example:9000", found the string "x"',
    'g.yaml:2:9: expose: expected a list, found the number 7',
    'g.yaml:4:1: colour: no such key; expected one of version, node, peers, map, expose, observe, http, proxy, dns, driver, serve, admin',
  ],
  [
    'a duplicate key next to another mistake',
    'version: 1\nversion: 1\nnode: { public: 1 }',
    'g.yaml:2:1: duplicate key',
    'g.yaml:3:17: node.public: expected true or false, found the number 1',
  ],
]

for (const [what, text, ...messages] of MISTAKES) {
  test(`${what} is reported with its position`, () => {
    const error = thrown(() => parseConfig(text, 'g.yaml'))
    assert.equal(error.code, 'CONFIG_INVALID')
    assert.deepEqual(error.message.split('\n'), messages)
  })
}

test('a mistake inside an alias, and an alias bomb, are reported and terminate', () => {
  assert.match(
    thrown(() => parseConfig('version: 1\nmap:\n  - &a { peer: x, port: 0 }\n  - *a', 'g.yaml')).message,
    /g\.yaml:3:25: map\[0\]\.port: .*\n.*map\[1\]\.port/,
  )
  const bomb = Array.from(
    { length: 12 },
    (_, level) =>
      `k${level}: &k${level} [${
        level === 0
          ? 'x'
          : Array(9)
              .fill(`*k${level - 1}`)
              .join(',')
      }]`,
  ).join('\n')
  assert.equal(thrown(() => parseConfig(bomb, 'g.yaml')).code, 'CONFIG_INVALID')
})

test('a missing file is an invalid configuration and is named', async () => {
  await assert.rejects(
    loadConfig('/no/such/gateway.yaml'),
    (error) =>
      error instanceof PilotError &&
      error.code === 'CONFIG_INVALID' &&
      error.message === '/no/such/gateway.yaml: cannot be read (ENOENT)',
  )
})

function thrown(run: () => unknown): PilotError {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof PilotError, String(error))
    return error
  }
  throw new assert.AssertionError({ message: 'nothing was thrown' })
}
