/**
 * The notations of the command line: a table of valid specs, a table of invalid ones, and format∘parse on random
 * values.
 */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  type ExposeSpec,
  formatExposeSpec,
  formatTarget,
  parseExposeSpec,
  parseTarget,
  type Target,
} from '../../../../src/gateway/model/expose-spec.ts'
import { parseListen, parsePort } from '../../../../src/gateway/model/listen.ts'
import { formatMapSpec, type MapSpec, parseMapSpec } from '../../../../src/gateway/model/map-spec.ts'
import { formatAddress, isHostname } from '../../../../src/base/address.ts'
import { PilotError } from '../../../../src/base/errors.ts'

/** A bare port means localhost, as in `ssh -L`. */
const LOCALHOST = { localAddress: '127.0.0.1' }

test('map specs are parsed from the right', () => {
  const cases: Record<string, Omit<MapSpec, 'protocol'>> = {
    'agent-b:80': { name: 'agent-b:80', peer: 'agent-b', port: 80, localPort: 80 },
    '8080:agent-b:80': { name: 'agent-b:80', peer: 'agent-b', port: 80, ...LOCALHOST, localPort: 8080 },
    '0:agent-b:80': { name: 'agent-b:80', peer: 'agent-b', port: 80, ...LOCALHOST, localPort: 0 },
    '127.0.0.1:8080:agent-b:80': {
      name: 'agent-b:80',
      peer: 'agent-b',
      port: 80,
      localAddress: '127.0.0.1',
      localPort: 8080,
    },
    '[::1]:8080:agent-b:80': { name: 'agent-b:80', peer: 'agent-b', port: 80, localAddress: '::1', localPort: 8080 },
    '[0:0000.0000.0004]:80': { name: '0:0000.0000.0004:80', peer: '0:0000.0000.0004', port: 80, localPort: 80 },
    '0:0000.0000.0004:80': { name: '0:0000.0000.0004:80', peer: '0:0000.0000.0004', port: 80, localPort: 80 },
    '8080:0:0000.0000.0004:80': {
      name: '0:0000.0000.0004:80',
      peer: '0:0000.0000.0004',
      port: 80,
      ...LOCALHOST,
      localPort: 8080,
    },
    '8080:[0:0000.0000.0004]:80': {
      name: '0:0000.0000.0004:80',
      peer: '0:0000.0000.0004',
      port: 80,
      ...LOCALHOST,
      localPort: 8080,
    },
    '127.0.0.1:0:0:0000.0000.0004:80': {
      name: '0:0000.0000.0004:80',
      peer: '0:0000.0000.0004',
      port: 80,
      localAddress: '127.0.0.1',
      localPort: 0,
    },
    '[::1]:8080:1:0001.0000.1A2B:443': {
      name: '1:0001.0000.1A2B:443',
      peer: '1:0001.0000.1A2B',
      port: 443,
      localAddress: '::1',
      localPort: 8080,
    },
    '7:80': { name: '7:80', peer: '7', port: 80, localPort: 80 },
    '8080:7:80': { name: '7:80', peer: '7', port: 80, ...LOCALHOST, localPort: 8080 },
    'agent-b:80/tcp': { name: 'agent-b:80', peer: 'agent-b', port: 80, localPort: 80 },
  }
  for (const [text, expected] of Object.entries(cases)) {
    assert.deepEqual(parseMapSpec(text), { ...expected, protocol: 'tcp' }, text)
  }
})

test('a malformed map spec is a usage error that shows the part', () => {
  const cases: Record<string, RegExp> = {
    '': /no colon/,
    'agent-b': /no colon/,
    'agent-b:': /"" after the last colon/,
    'agent-b:http': /"http" after the last colon/,
    'agent-b:0': /"0" after the last colon is not a port \(1 to 65535\)/,
    'agent-b:65536': /"65536"/,
    'agent-b:+80': /"\+80"/,
    'agent-b:0x50': /"0x50"/,
    '80:agent-b': /"agent-b" after the last colon/,
    ':80': /peer is missing/,
    ':agent-b:80': /local port before the first colon is missing/,
    'Agent-B:80': /"Agent-B".*lower-case/,
    'localhost:80': /"localhost"/,
    'agent b:80': /"agent b"/,
    '0:0000.0000.0004': /"0000\.0000\.0004" after the last colon/,
    '8080:0000.0000.0004:80': /"8080:0000\.0000\.0004" is not an address.*repeats the network/,
    '[::1]:0:7:0001.0000.0004:80': /"7:0001\.0000\.0004" is not an address/,
    'http:agent-b:80': /"http" is not a local port/,
    '65536:agent-b:80': /"65536" is not a local port/,
    'localhost:80:agent-b:80': /"localhost".*write 127\.0\.0\.1/,
    '*:80:agent-b:80': /0\.0\.0\.0, with --allow-lan/,
    '127.1:80:agent-b:80': /"127\.1" is not an IP address/,
    '::1:80:agent-b:80': /brackets: \[::1\]/,
    'agent-b:53/udp,path=direct': /direct cannot be combined with \/udp/,
    'agent-b:80/quic': /"\/quic" is not a protocol/,
    '[agent-b:80': /does not end with a peer/,
    'tag:CI:80': /"CI": a peer is a hostname/,
    'x:tag:ci:80': /"x" is not a local port/,
  }
  for (const [text, expected] of Object.entries(cases)) rejects(() => parseMapSpec(text), expected, text)
})

test('expose specs parse, with one target and any number of allowed peers', () => {
  const tcp = (port: number, scheme = 'tcp', host = '127.0.0.1'): Target => ({
    kind: 'tcp',
    host,
    port,
    text: `${scheme}://${host}:${port}`,
  })
  const cases: Record<string, Omit<ExposeSpec, 'protocol'>> = {
    '80=3000': { name: '80', port: 80, target: tcp(3000, 'tcp', 'localhost'), allow: ['trusted'] },
    '80=127.0.0.1:3000': { name: '80', port: 80, target: tcp(3000), allow: ['trusted'] },
    '80=http://127.0.0.1:3000/': { name: '80', port: 80, target: tcp(3000, 'http'), allow: ['trusted'] },
    '443=h2c://127.0.0.1:8080': { name: '443', port: 443, target: tcp(8080, 'h2c'), allow: ['trusted'] },
    '80/tcp=10.0.0.7:3000': { name: '80', port: 80, target: tcp(3000, 'tcp', '10.0.0.7'), allow: ['trusted'] },
    '5432=unix:/run/pg.sock': {
      name: '5432',
      port: 5432,
      target: { kind: 'unix', path: '/run/pg.sock', text: 'unix:/run/pg.sock' },
      allow: ['trusted'],
    },
    '80=3000,allow=agent-a,allow=0:0000.0000.0004': {
      name: '80',
      port: 80,
      target: tcp(3000, 'tcp', 'localhost'),
      allow: ['agent-a', '0:0000.0000.0004'],
    },
    '80=3000,identity=headers,allow=agent-a,identity=proxy-v2': {
      name: '80',
      port: 80,
      target: tcp(3000, 'tcp', 'localhost'),
      allow: ['agent-a'],
      identity: ['headers', 'proxy-v2'],
    },
    '80=3000,identity=proxy-v1,identity=proxy-v1': {
      name: '80',
      port: 80,
      target: tcp(3000, 'tcp', 'localhost'),
      allow: ['trusted'],
      identity: ['proxy-v1'],
    },
    '80=3000,allow=trusted': { name: '80', port: 80, target: tcp(3000, 'tcp', 'localhost'), allow: ['trusted'] },
    '80=3000,allow=7,allow=7,allow=[0:0000.0000.0004]': {
      name: '80',
      port: 80,
      target: tcp(3000, 'tcp', 'localhost'),
      allow: ['7', '0:0000.0000.0004'],
    },
  }
  for (const [text, expected] of Object.entries(cases))
    assert.deepEqual(parseExposeSpec(text), { ...expected, protocol: 'tcp' }, text)
  assert.deepEqual(parseTarget('[::1]:3000'), { kind: 'tcp', host: '::1', port: 3000, text: 'tcp://[::1]:3000' })
  assert.deepEqual(parseTarget('db.internal:5432'), {
    kind: 'tcp',
    host: 'db.internal',
    port: 5432,
    text: 'tcp://db.internal:5432',
  })
  assert.deepEqual(parseTarget('unix:///run/pg.sock'), {
    kind: 'unix',
    path: '/run/pg.sock',
    text: 'unix:/run/pg.sock',
  })
})

test('UDP, limits and expiry are part of the notation, and are formatted as they were parsed', () => {
  const map = { name: 'agent-b:53/udp', peer: 'agent-b', port: 53, protocol: 'udp' as const, localPort: 53 }
  assert.deepEqual(parseMapSpec('agent-b:53/udp'), map)
  assert.deepEqual(parseMapSpec('127.0.0.1:8053:agent-b:53/udp,path=prefer-direct'), {
    ...map,
    localAddress: '127.0.0.1',
    localPort: 8053,
    path: 'prefer-direct',
  })
  const target: Target = { kind: 'udp', host: '127.0.0.1', port: 5353, text: 'udp://127.0.0.1:5353' }
  for (const text of ['53/udp=127.0.0.1:5353', '53/udp=udp://127.0.0.1:5353'])
    assert.deepEqual(parseExposeSpec(text), { name: '53/udp', port: 53, protocol: 'udp', target, allow: ['trusted'] })
  const key = 'A'.repeat(43) + '='
  const text = `80=tcp://127.0.0.1:3000,allow=key:${key},allow=tag:ci,allow=net:7,max=100,max-per-peer=10,rate=50,rate-per-peer=5,bytes=1000000,bytes-per-peer=1000,for=90m,once`
  const spec = parseExposeSpec(text)
  assert.deepEqual(spec.allow, [`key:${key}`, 'tag:ci', 'net:7'])
  assert.deepEqual(spec.limits, {
    connections: 100,
    connectionsPerPeer: 10,
    newPerSecond: 50,
    newPerSecondPerPeer: 5,
    bytesPerSecond: 1_000_000,
    bytesPerSecondPerPeer: 1_000,
  })
  assert.deepEqual([spec.forMs, spec.once], [5_400_000, true])
  assert.equal(formatExposeSpec(spec), text)
  assert.equal(formatExposeSpec(parseExposeSpec('53/udp=53,for=120m')), '53/udp=udp://localhost:53,for=2h')
})

test('a malformed expose spec is a usage error that shows the part', () => {
  const cases: Record<string, RegExp> = {
    '': /no "="/,
    '80': /no "="/,
    '=3000': /"" before the "="/,
    '0=3000': /"0" before the "="/,
    'web=3000': /"web" before the "="/,
    '53/udp=unix:/x': /needs HOST:PORT/,
    '53/udp=http://127.0.0.1:53': /"http" cannot be used with/,
    '53=udp://127.0.0.1:53': /needs a \/udp port/,
    '53/udp=53,path=direct': /direct cannot be combined/,
    '80=': /"" is not HOST:PORT/,
    '80=host': /"host" is not HOST:PORT/,
    '80=127.0.0.1:0': /"0" is not a port/,
    '80=127.0.0.1:70000': /"70000" is not a port/,
    '80=::1:3000': /"::1:3000" is not HOST:PORT/,
    '80=https://127.0.0.1:443': /"https" is not a scheme/,
    '80=http://127.0.0.1:80/api': /"\/api".*no path/,
    '80=http://user@host:80': /not HOST:PORT/,
    '80=[nope]:3000': /"nope" is not an IPv6/,
    '80=unix:run/pg.sock': /begins with "\/"/,
    [`80=unix:/${'x'.repeat(107)}`]: /at most 107 bytes, this has 108/,
    '80=3000,deny=agent-a': /"deny=agent-a" is not an option/,
    '80=3000,allow=': /"allow=": allow takes/,
    '80=3000,allow=Tag:ci': /"allow=Tag:ci": allow takes/,
    '80=3000,allow=key:AAAA': /allow takes/,
    '80=3000,allow=net:70000': /allow takes/,
    '80=3000,max=0': /"max=0": a whole number/,
    '80=3000,for=2': /"for=2": a duration/,
    '80=3000,for=25d': /at most 24d/,
    '80=3000,once=1': /"once=1" is not an option/,
    '80=3000,': /"" is not an option/,
    '80=3000,identity=': /"identity=": headers, proxy-v1 or proxy-v2/,
    '80=3000,identity=header': /"identity=header"/,
    '80=3000,identity': /"identity" is not an option/,
    '80=3000,identity=proxy-v1,identity=proxy-v2': /exclude each other/,
  }
  for (const [text, expected] of Object.entries(cases)) rejects(() => parseExposeSpec(text), expected, text)
})

test('listen addresses are IP literals with a port, IPv6 in brackets', () => {
  assert.deepEqual(parseListen('0.0.0.0:0'), { address: '0.0.0.0', port: 0 })
  assert.deepEqual(parseListen('[::1]:65535'), { address: '::1', port: 65_535 })
  for (const text of [
    '',
    ':80',
    '127.0.0.1',
    'localhost:80',
    '[127.0.0.1]:80',
    '::1:80',
    '127.0.0.1:65536',
    '127.0.0.1:-1',
    '256.0.0.1:80',
  ])
    assert.equal(parseListen(text), undefined, text)
  assert.equal(parsePort('00080'), 80)
})

test('formatting and parsing a map spec is a round trip', () => {
  fc.assert(
    fc.property(
      peers,
      ports,
      fc.integer({ min: 0, max: 65_535 }),
      fc.option(ips, { nil: undefined }),
      (peer, port, localPort, localAddress) => {
        const spec: MapSpec = {
          name: `${peer}:${port}`,
          peer,
          port,
          protocol: 'tcp',
          ...(localAddress === undefined ? { localPort: port } : { localAddress, localPort }),
        }
        assert.deepEqual(parseMapSpec(formatMapSpec(spec)), spec)
      },
    ),
  )
})

test('formatting and parsing an expose spec and target is a round trip', () => {
  fc.assert(
    fc.property(
      ports,
      targets,
      fc.uniqueArray(fc.oneof(peers, fc.constant('trusted')), { minLength: 1, maxLength: 4 }),
      fc.subarray(['headers', 'proxy-v2'] as const),
      (port, target, allow, identity) => {
        assert.deepEqual(parseTarget(formatTarget(target)), target)
        const spec: ExposeSpec = {
          name: String(port),
          port,
          protocol: 'tcp',
          target,
          allow,
          ...(identity.length > 0 && { identity }),
        }
        assert.deepEqual(parseExposeSpec(formatExposeSpec(spec)), spec)
      },
    ),
  )
})

test('any string either parses or is a usage error, and a parsed one is stable under formatting', () => {
  const pieces = fc.array(
    fc.constantFrom(
      '0',
      '80',
      '8080',
      ':',
      '[',
      ']',
      '.',
      '=',
      ',',
      'allow=',
      'agent-b',
      '0:0000.0000.0004',
      '127.0.0.1',
      '::1',
      'unix:/',
      '/udp',
      '//',
      'h2c',
      ' ',
      'ä',
    ),
    { maxLength: 9 },
  )
  const texts = fc.oneof(
    fc.string(),
    pieces.map((parts) => parts.join('')),
  )
  fc.assert(
    fc.property(texts, (text) => {
      const map = attempt(() => parseMapSpec(text))
      if (map !== undefined) assert.deepEqual(parseMapSpec(formatMapSpec(map)), map)
      const expose = attempt(() => parseExposeSpec(text))
      if (expose !== undefined) assert.deepEqual(parseExposeSpec(formatExposeSpec(expose)), expose)
    }),
    { numRuns: 3000 },
  )
})

const hostnames = fc
  .stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/)
  .filter((text) => isHostname(text) && !/^\d+$/.test(text))
const addresses = fc
  .record({ network: fc.integer({ min: 0, max: 0xffff }), node: fc.integer({ min: 0, max: 0xffff_ffff }) })
  .map(formatAddress)
const peers = fc.oneof(hostnames, addresses, fc.integer({ min: 1, max: 0xffff_fffe }).map(String))
const ports = fc.integer({ min: 1, max: 65_535 })
const ips = fc.oneof(fc.ipV4(), fc.ipV6())
const targets = fc.oneof(
  fc
    .record({ scheme: fc.constantFrom('tcp', 'http', 'h2c'), host: fc.oneof(fc.ipV4(), fc.domain()), port: ports })
    .map(({ scheme, host, port }): Target => ({ kind: 'tcp', host, port, text: `${scheme}://${host}:${port}` })),
  fc
    .stringMatching(/^\/[a-z0-9./_-]{0,90}$/)
    .filter((path) => !path.startsWith('//'))
    .map((path): Target => ({ kind: 'unix', path, text: `unix:${path}` })),
)

function rejects(parse: () => unknown, expected: RegExp, text: string): void {
  assert.throws(
    parse,
    (error) => {
      assert.ok(error instanceof PilotError, `${text}: ${String(error)}`)
      assert.equal(error.code, 'USAGE', text)
      assert.match(error.message, expected, text)
      return true
    },
    `"${text}" was parsed`,
  )
}

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch (error) {
    assert.ok(error instanceof PilotError && error.code === 'USAGE', String(error))
    return undefined
  }
}

test('folders and commands are targets; a comma and a percent sign in them are escaped in a spec, and only there', () => {
  for (const [spec, target] of [
    ['80=folder:/srv/my site', { kind: 'folder', path: '/srv/my site', text: 'folder:/srv/my site' }],
    ['80=folder:/srv/a%2Cb %25', { kind: 'folder', path: '/srv/a,b %', text: 'folder:/srv/a,b %' }],
    ['1000=exec:A=1 echo "x%2C y"', { kind: 'exec', command: 'A=1 echo "x, y"', text: 'exec:A=1 echo "x, y"' }],
    ['1000=exec:date +%Y', { kind: 'exec', command: 'date +%Y', text: 'exec:date +%Y' }],
  ] as const) {
    const parsed = parseExposeSpec(`${spec},allow=agent-a`)
    assert.deepEqual([parsed.target, parsed.allow], [target, ['agent-a']], spec)
    assert.deepEqual(parseExposeSpec(formatExposeSpec(parsed)), parsed)
    assert.deepEqual(parseTarget(formatTarget(parsed.target)), parsed.target)
  }
  for (const [bad, why] of [
    ['80=folder:site', /begins with "\/"/],
    ['80=exec: ', /the command is missing/],
    [`80=exec:${'x'.repeat(4_097)}`, /at most 4096 characters/],
    ['53/udp=exec:cat', /a \/udp port needs HOST:PORT/],
    ['80=exec:cat,identity=headers', /identity cannot be combined with a command/],
    ['80=folder:/srv,host=rewrite', /host=rewrite cannot be combined with a folder/],
  ] as const)
    assert.throws(() => parseExposeSpec(bad), why, bad)
})

test('host=rewrite belongs to TCP, and is written back', () => {
  assert.equal(formatExposeSpec(parseExposeSpec('80=3000,host=rewrite')), '80=tcp://localhost:3000,host=rewrite')
  assert.equal(formatMapSpec(parseMapSpec('8080:agent-b:80,host=rewrite')), '8080:agent-b:80,host=rewrite')
  assert.throws(() => parseExposeSpec('53/udp=53,host=rewrite'), /cannot be combined with \/udp/)
  assert.throws(() => parseMapSpec('agent-b:53/udp,host=rewrite'), /cannot be combined with \/udp/)
  for (const parse of [parseExposeSpec, parseMapSpec])
    assert.throws(() => parse(parse === parseMapSpec ? 'a:80,host=x' : '80=80,host=x'), /rewrite, or leave it out/)
})
