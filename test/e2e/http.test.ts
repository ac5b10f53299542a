/**
 * The HTTP front and exposures with identity headers, between two gateways, with curl, `ws` and bare sockets.
 * agent-b exposes one web service twice: port 80 carries its bytes unchanged, port 8080 tells it who is calling.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { WebSocket } from 'ws'
import { address, eventually, pair, Stage } from './harness.ts'
import type { Address, Gateway } from './harness.ts'
import { bodyOf, EVENT_MS, httpBackend, pilot } from './http-backend.ts'
import type { Backend, Echoed } from './http-backend.ts'
import { findProgram } from './program.ts'
import { everything, noise, open, refusing, some, summaryOf, within } from './servers.ts'

let stage: Stage
let backend: Backend
let a: Gateway
let b: Gateway
let front: Address
before(async () => {
  stage = await Stage.open()
  backend = await httpBackend(stage)
  const config = stage.path('a.yaml')
  await writeFile(
    config,
    'version: 1\nhttp: { listen: "127.0.0.1:0" }\nmap:\n  - { name: App, peer: agent-b, port: 8080, local: "127.0.0.1:0" }\n  - { name: dead, peer: agent-b, port: 81, local: "127.0.0.1:0" }\n  - { name: raw, peer: agent-b, port: 80, local: "127.0.0.1:0" }\n  - { name: slow, peer: agent-b, port: 83, local: "127.0.0.1:0" }\n',
  )
  ;({ a, b } = await pair(
    stage,
    { args: ['-c', config] },
    {
      expose: [
        `80=http://${backend.address}`,
        `8080=http://${backend.address},identity=headers`,
        `81=http://${await refusing()},identity=headers`,
        `82=http://${backend.address},identity=headers,identity=proxy-v1`,
        `83=http://${backend.address},identity=headers,bytes=200000`,
      ],
    },
  ))
  front = address(a.ready.http!)
})
after(async () => stage.close())

test("a peer's name reaches its port 80, a mapping's name that mapping, in upper case too", async () => {
  for (const host of [
    'agent-b.pilot.localhost',
    'AGENT-B.pilot',
    'agent-b.pilot.localhost.',
    `${(await b.status()).node.nodeId}.pilot.localhost`,
  ]) {
    const { headers, method } = await echoed(host)
    assert.deepEqual([method, headers['host'], headers['pilot-node']], ['GET', `${host}:${front.port}`, undefined])
  }
  assert.equal((await echoed('app.pilot.localhost')).headers['pilot-hostname'], 'agent-a')
})

test("a service with identity headers learns its caller's node, address, key, hostname and path", async () => {
  const { node } = await a.status()
  const { headers } = await echoed('app.pilot.localhost')
  assert.deepEqual(pilot(headers), {
    'pilot-node': String(node.nodeId),
    'pilot-address': node.address,
    'pilot-key': node.publicKey,
    'pilot-hostname': 'agent-a',
    'pilot-path': 'direct',
  })
  assert.equal(headers['x-forwarded-for'], `fd70:696c:6f74::${node.nodeId.toString(16)}`)
})

test("a client's own identity headers never arrive: case, underscores, copies, Connection, trailers", async () => {
  // Also around the front, through a plain mapping: then only the exposing side can filter.
  const { node } = await a.status()
  for (const to of [front, a.local('App')]) {
    const socket = await open(stage, to)
    socket.write(
      [
        'POST /echo HTTP/1.1',
        'Host: app.pilot.localhost',
        'Pilot-Node: 666',
        'pilot_node: 667',
        'PILOT-NODE: 668',
        'Pilot--Key: x',
        '_pilot-node: 1',
        'Pilot.Hostname: root',
        'Pilot-Anything: y',
        'Connection: close, Pilot-Node, Pilot-Key',
        'X-Forwarded-For: 10.0.0.1',
        'X_Forwarded_For: 10.0.0.2',
        'Forwarded: for=10.0.0.3',
        'X-Real-IP: 10.0.0.4',
        'X-Own: kept',
        'Transfer-Encoding: chunked',
        'Trailer: Pilot-Node, X-Sum',
        '',
        '4',
        'body',
        '0',
        'Pilot-Node: 669',
        'pilot_key: z',
        'X-Sum: 7',
        '',
        '',
      ].join('\r\n'),
    )
    const echo = JSON.parse(bodyOf(await everything(socket))) as Echoed
    socket.destroy()
    assert.deepEqual(
      echo.raw
        .filter((name, index) => index % 2 === 0 && /pilot/i.test(name))
        .map((name) => name.toLowerCase())
        .sort(),
      ['pilot-address', 'pilot-hostname', 'pilot-key', 'pilot-node', 'pilot-path'],
    )
    assert.equal(echo.headers['pilot-node'], String(node.nodeId))
    assert.deepEqual(
      Object.entries(echo.headers)
        .filter(([name]) => /forwarded|real/.test(name))
        .map(([name]) => name)
        .sort(),
      ['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'],
    )
    assert.match(echo.headers['x-forwarded-for']!, /^fd70:/)
    assert.deepEqual([echo.headers['x-own'], echo.body, echo.trailers], ['kept', 'body', ['X-Sum', '7']])
  }
})

test("a request smuggled in another's body is not executed, however it is framed", async () => {
  const inner = 'GET /smuggled HTTP/1.1\r\nHost: x\r\nPilot-Node: 1\r\n\r\n'
  const size = inner.length.toString(16)
  const head = (method: string, ...lines: string[]): string =>
    [`${method} /echo HTTP/1.1`, 'Host: app.pilot.localhost', ...lines, '', ''].join('\r\n')
  const tries: readonly (readonly [string, RegExp])[] = [
    [`${head('DELETE', 'Transfer-Encoding: chunked', 'Connection: close')}${size}\r\n${inner}\r\n0\r\n\r\n`, / 200 /], // http-proxy would say content-length: 0
    [`${head('OPTIONS', 'Transfer-Encoding: chunked', 'Connection: close')}${size}\r\n${inner}\r\n0\r\n\r\n`, / 200 /],
    [`${head('POST', 'Transfer-Encoding: chunked', 'Content-Length: 4')}0\r\n\r\n${inner}`, / 400 /],
    [`${head('POST', 'Content-Length: 4', 'Content-Length: 0')}${inner}`, / 400 /],
    [
      `${head('POST', 'Transfer-Encoding: gzip, chunked', 'Connection: close')}${size}\r\n${inner}\r\n0\r\n\r\n`,
      / 400 /,
    ],
    [`${head('POST', 'Transfer-Encoding : chunked')}0\r\n\r\n${inner}`, / 400 /],
    [`${head('GET', 'Host: other.pilot.localhost')}`, / 400 /],
    [`${head('GET', 'Upgrade: h2c', 'Connection: Upgrade', `Content-Length: ${inner.length}`)}${inner}`, / 200 /],
    [
      `${head('GET', 'Connection: close, Content-Length, Transfer-Encoding', `Content-Length: ${inner.length}`)}${inner}`,
      / 200 /,
    ],
  ]
  for (const to of [front, a.local('App')]) {
    for (const [bytes, status] of tries) {
      const socket = await open(stage, to)
      socket.write(bytes)
      const reply = (await within(bytes, some(socket))).toString('latin1')
      assert.match(reply.slice(0, 20), status, bytes)
      socket.destroy()
    }
  }
  await echoed('app.pilot.localhost') // after all that, on kept-alive connections
  assert.deepEqual(
    backend.seen.filter((request) => request.includes('smuggled')),
    [],
  )
})

test('paths, repeated headers and trailers pass unchanged', async () => {
  for (const path of ['/a//b/../c?x=1?&y=%2F', '/?', '//double', '/%7Euser/%c3%a4'])
    assert.equal((await echoed('agent-b.pilot.localhost', path)).url, path)
  const curl = program('curl')
  for (const host of ['raw.pilot.localhost', 'app.pilot.localhost']) {
    const cookies = await stage.run(curl, ['-sS', '-i', `http://${host}:${front.port}/cookies`])
    assert.match(cookies.stdout, /Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Case: Kept/)
    const trailers = await stage.run(curl, ['-sS', '-i', `http://${host}:${front.port}/trailers`])
    assert.match(trailers.stdout, /Trailer: X-Sum\r\n[\s\S]*\r\n\r\npartX-Sum: forty-two\r\n$/)
  }
})

test('curl uploads with chunks and with a length, and every byte arrives; a truncated answer is not taken for complete', async () => {
  const curl = program('curl')
  const file = stage.path('upload.bin')
  const bytes = noise(9_000_000)
  await writeFile(file, bytes)
  for (const host of ['raw.pilot.localhost', 'app.pilot.localhost']) {
    for (const extra of [['-H', 'Transfer-Encoding: chunked'], ['-H', 'Expect: 100-continue'], []]) {
      const { stdout, stderr } = await stage.run(curl, [
        '-sS',
        ...extra,
        '--data-binary',
        `@${file}`,
        `http://${host}:${front.port}/upload`,
      ])
      assert.equal(stdout, summaryOf(bytes), stderr)
    }
    assert.equal((await stage.run(curl, ['-sS', `http://${host}:${front.port}/cut`])).code, 18) // CURLE_PARTIAL_FILE
  }
})

test('a byte rate limit also holds where requests are parsed: the body arrives complete, and no faster', async () => {
  const bytes = noise(600_000)
  const file = stage.path('paced.bin')
  await writeFile(file, bytes)
  const startedAt = performance.now()
  const { stdout, stderr } = await stage.run(program('curl'), [
    '-sS',
    '--data-binary',
    `@${file}`,
    `http://slow.pilot.localhost:${front.port}/upload`,
  ])
  assert.equal(stdout, summaryOf(bytes), stderr)
  const seconds = (performance.now() - startedAt) / 1_000
  assert.ok(seconds > 1.5, `${seconds} s for three seconds' worth, of which one passes at once`)
})

test('events arrive one by one, and abandoning an event stream ends it at the service', async () => {
  for (const host of ['raw.pilot.localhost', 'app.pilot.localhost']) {
    const socket = await open(stage, front)
    socket.write(`GET /events HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    let text = ''
    const times: number[] = []
    await within(
      'three events',
      new Promise<void>((resolve) => {
        socket.on('data', (part: Buffer) => {
          text += part.toString('latin1')
          if (/data: event/.test(part.toString('latin1'))) times.push(performance.now())
          if (text.includes('data: event 3')) resolve()
        })
      }),
    )
    assert.ok(times.length === 3 && times[2]! - times[0]! > EVENT_MS, `events came at ${times.join(', ')}`)
    const open_ = [...backend.connections].filter((connection) => !connection.destroyed).length
    socket.destroy()
    await eventually(
      'the service has one connection less',
      () => [...backend.connections].filter((connection) => !connection.destroyed).length < open_ || undefined,
    )
  }
})

test('a WebSocket client talks through front and exposure without noticing', async () => {
  for (const [host, node] of [
    ['raw.pilot.localhost', null],
    ['app.pilot.localhost', String((await a.status()).node.nodeId)],
  ] as const) {
    const socket = new WebSocket(`ws://127.0.0.1:${front.port}/ws`, {
      headers: { Host: `${host}:${front.port}`, 'Pilot-Node': '666' },
    })
    const messages: Buffer[] = []
    const got = async (count: number): Promise<void> =>
      within(
        `${count} messages`,
        eventually('messages', () => messages.length >= count || undefined).then(() => {}),
      )
    socket.on('message', (data: Buffer) => messages.push(data))
    await within(
      'an open WebSocket',
      new Promise((resolve, reject) => {
        socket.once('open', resolve)
        socket.once('error', reject)
      }),
    )
    await got(1)
    assert.deepEqual(JSON.parse(messages[0]!.toString()), { node, host: `${host}:${front.port}` })
    const big = noise(3_000_000)
    socket.send(big)
    socket.send('last')
    await got(3)
    assert.deepEqual([summaryOf(messages[1]!), messages[2]!.toString()], [summaryOf(big), 'last'])
    const closed = new Promise<number>((resolve) => {
      socket.once('close', resolve)
    })
    socket.close(4_001)
    assert.equal(await within('the close', closed), 4_001)
    await eventually(
      'nothing is left of it',
      async () => (await b.connections()).every(({ bytesIn }) => bytesIn < big.length) || undefined,
    )
  }
})

test('a failure is answered with status, code and hint, as text or JSON', async () => {
  const curl = program('curl')
  const ask = async (host: string, ...args: string[]): Promise<string> =>
    (await stage.run(curl, ['-sS', '-i', ...args, `http://${host}:${front.port}/`], { timeoutMs: 40_000 })).stdout
  assert.match(
    await ask('nobody.pilot.localhost'),
    /^HTTP\/1\.1 404 [\s\S]*Pilot-Error: NOT_FOUND[\s\S]*404 NOT_FOUND\n/,
  )
  assert.match(await ask('127.0.0.1', '-H', 'Host: 192.0.2.1'), /^HTTP\/1\.1 404 [\s\S]*end in \.pilot\.localhost/)
  assert.match(await ask('agent-b.pilot.localhost', '-H', 'Host: evil.example'), /^HTTP\/1\.1 404 /)
  assert.match(await ask('agent-b.pilot.localhost', '-H', 'Host: agent-a.pilot.localhost:1'), /^HTTP\/1\.1 [45]\d\d /) // ourselves
  const json = await ask('nobody.pilot.localhost', '-H', 'Accept: application/json')
  const { error } = JSON.parse(bodyOf(Buffer.from(json))) as { error: { code: string; hint: string } }
  assert.deepEqual([error.code, error.hint.length > 10], ['NOT_FOUND', true])
})

test('a refusing service is a 502 from the front, with a code that says which side refused', async () => {
  const curl = program('curl')
  const { stdout } = await stage.run(curl, ['-sS', '-i', '-H', 'Host: dead.pilot', `http://127.0.0.1:${front.port}/`])
  assert.match(stdout, /^HTTP\/1\.1 502 Bad Gateway\r\n[\s\S]*Pilot-Error: TARGET_UNREACHABLE\r\n[\s\S]*agent-b:81/)
  const upgrade = await stage.run(curl, [
    '-sS',
    '-i',
    '--http2',
    '-H',
    'Host: app.pilot',
    `http://127.0.0.1:${front.port}/`,
  ])
  assert.match(upgrade.stdout, /^HTTP\/1\.1 200 /) // Upgrade: h2c is ignored, and the request is served anyway
})

test('the log has a line per request: who, what, how much, how long, and no query string', async () => {
  const mark = b.mark()
  await echoed('app.pilot.localhost', '/echo?token=secret')
  const line = await b.program.log('the request', (entry) => entry.msg === 'request' && entry['http'] === 'expose', {
    from: mark,
  })
  const { node } = await a.status()
  assert.deepEqual(
    [
      line['service'],
      line['peer'],
      line['nodeId'],
      line['key'],
      line['method'],
      line['path'],
      line['status'],
      line['protocol'],
      line['via'],
    ],
    ['8080', 'agent-a', node.nodeId, node.publicKey, 'GET', '/echo', 200, 'HTTP/1.1', 'direct'],
  )
  assert.ok(Number(line['bytesOut']) > 100 && typeof line['ms'] === 'number')
  const own = await a.program.log(
    'the request',
    (entry) => entry.msg === 'request' && entry['service'] === 'App' && entry['path'] === '/echo',
  )
  assert.deepEqual([own['http'], own['peer'], own['status']], ['front', 'agent-b', 200])
})

test('whois tells a backend which peer is behind a connection, and a client which peer it talks to', async () => {
  const socket = await open(stage, a.local('App'))
  socket.write('GET /echo HTTP/1.1\r\nHost: x\r\n\r\n')
  const { from } = JSON.parse(bodyOf(await some(socket))) as Echoed
  const { node } = await a.status()
  const record = await b.json<Record<string, unknown>>('whois', from)
  assert.deepEqual(
    [
      record['local'],
      record['direction'],
      record['service'],
      record['nodeId'],
      record['address'],
      record['hostname'],
      record['publicKey'],
      record['path'],
    ],
    [from, 'expose', '8080', node.nodeId, node.address, 'agent-a', node.publicKey, 'direct'],
  )
  assert.equal(
    (await b.json<Record<string, unknown>>('whois', from.replace('127.0.0.1', '[::ffff:127.0.0.1]')))['nodeId'],
    node.nodeId,
  )
  const client = await a.json<Record<string, unknown>>('whois', `127.0.0.1:${socket.localPort ?? 0}`)
  assert.deepEqual([client['direction'], client['service'], client['hostname']], ['map', 'App', 'agent-b'])
  const asker = await open(stage, front)
  asker.write('GET /echo HTTP/1.1\r\nHost: app.pilot.localhost\r\n\r\n')
  await some(asker)
  const asked = await a.json<Record<string, unknown>>('whois', `127.0.0.1:${asker.localPort ?? 0}`)
  assert.deepEqual(
    [asked['direction'], asked['service'], asked['hostname'], asked['peer']],
    ['map', 'App', 'agent-b', 'agent-b'],
  )
  asker.destroy()
  const unknown = await b.cli('whois', '127.0.0.1:1', '--json')
  assert.deepEqual([unknown.code, (JSON.parse(unknown.stdout) as { code: string }).code], [5, 'NOT_FOUND'])
  assert.equal((await b.cli('whois', 'nonsense')).code, 2)
  socket.destroy()
})

test('a client keeps its own unshared connection to a service, and is notified when the service closes it', async () => {
  const made = async (): Promise<number> => (await a.status()).counters['connections_mapped'] ?? 0
  const before = await made()
  const clients = await Promise.all([open(stage, front), open(stage, front)])
  for (let round = 0; round < 10; round++) {
    for (const client of clients) {
      client.write('GET /echo HTTP/1.1\r\nHost: agent-b.pilot.localhost\r\n\r\n')
      assert.match((await some(client)).toString(), /^HTTP\/1\.1 200 OK/)
    }
  }
  assert.equal((await made()) - before, 2, 'one connection for each client, ten requests each')
  const ends = clients.map((client) => everything(client))
  for (const socket of backend.connections) socket.destroy() // as a service that restarts
  await echoed('agent-b.pilot.localhost')
  for (const client of clients) client.destroy()
  await Promise.all(ends)
})

test('a client that half-closes after a complete request gets the answer', async () => {
  for (const to of [front, a.local('App')]) {
    for (const request of [
      'GET /echo HTTP/1.1\r\nHost: app.pilot.localhost\r\n\r\n',
      'POST /echo HTTP/1.1\r\nHost: app.pilot.localhost\r\nContent-Length: 4\r\n\r\nbody',
      'GET /echo HTTP/1.0\r\nHost: app.pilot.localhost\r\n\r\n',
    ]) {
      const client = await open(stage, to)
      const reply = everything(client)
      client.end(request)
      assert.match((await within(request, reply)).toString(), /^HTTP\/1\.[01] 200 OK[\s\S]*"headers"/)
    }
  }
})

test('pages from other origins can neither change anything nor open a WebSocket through the front', async () => {
  const evil = 'Origin: https://evil.example'
  const socket = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='
  for (const [first, rest, status] of [
    ['POST', evil, 403],
    ['GET', `${evil}\r\n${socket}`, 403],
    ['POST', `Origin: http://app.pilot.localhost:${front.port}`, 200],
    ['GET', evil, 200],
  ] as const) {
    const client = await open(stage, front)
    client.write(
      `${first} /echo HTTP/1.1\r\nHost: app.pilot.localhost:${front.port}\r\nContent-Length: 0\r\n${rest}\r\n\r\n`,
    )
    assert.match((await some(client)).toString(), new RegExp(`^HTTP/1.1 ${status} `), `${first} ${rest}`)
    client.destroy()
  }
})

test('an exposure resumed after a drain keeps connections as before', async () => {
  assert.equal((await b.cli('drain', '--exposure', '8080', '--timeout', '30')).code, 0)
  assert.equal((await b.cli('resume', '--exposure', '8080')).code, 0)
  const client = await open(stage, a.local('App'))
  for (let index = 0; index < 2; index++) {
    client.write('GET /echo HTTP/1.1\r\nHost: x\r\n\r\n')
    assert.match((await some(client)).toString(), /^HTTP\/1\.1 200 OK\r\n(?![\s\S]*Connection: close)/)
  }
  client.destroy()
})

test('a stopping gateway lets requests finish and does not wait for idle connections', async () => {
  const idle = await open(stage, front)
  let answer = ''
  idle.on('data', (chunk: Buffer) => {
    answer += chunk.toString()
  })
  idle.write('GET /echo HTTP/1.1\r\nHost: app.pilot.localhost\r\n\r\n')
  await eventually('the whole answer', async () => {
    const [, length, body] = /Content-Length: (\d+)[\s\S]*?\r\n\r\n([\s\S]*)/.exec(answer) ?? []
    return body?.length === Number(length) || undefined
  })
  const busy = await open(stage, front)
  const uploads = (): number => backend.seen.filter((request) => request === 'POST /upload').length
  const before = uploads()
  busy.write('POST /upload HTTP/1.1\r\nHost: app.pilot.localhost\r\nContent-Length: 6\r\n\r\nabc')
  await eventually('the service has seen the upload', () => uploads() > before || undefined)
  const reply = everything(busy)
  for (const gateway of [b, a]) gateway.program.signal('SIGTERM')
  assert.equal((await within('the idle one closes', everything(idle))).length, 0)
  busy.write('def')
  assert.match(
    (await reply).toString(),
    /^HTTP\/1\.1 200 [\s\S]*Connection: close[\s\S]*bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721/,
  )
  for (const gateway of [a, b]) assert.deepEqual(await gateway.program.ended(8_000), { code: 0, signal: null })
})

test('a peer that is gone is a 504', async () => {
  const curl = program('curl')
  await a.restart()
  const { host, port } = address(a.ready.http!)
  const { stdout } = await stage.run(curl, ['-sS', '-i', '-H', 'Host: app.pilot', `http://${host}:${port}/`], {
    timeoutMs: 60_000,
  })
  assert.match(stdout, /^HTTP\/1\.1 504 Gateway Timeout\r\n[\s\S]*Pilot-Error: PEER_UNREACHABLE/)
})

async function echoed(host: string, path = '/echo'): Promise<Echoed> {
  const curl = program('curl')
  const { stdout, stderr } = await stage.run(curl, [
    '-sS',
    '--path-as-is',
    '-H',
    `Host: ${host}:${front.port}`,
    `http://127.0.0.1:${front.port}${path}`,
  ])
  assert.ok(stdout.startsWith('{'), stdout + stderr)
  return JSON.parse(stdout) as Echoed
}

function program(name: string): string {
  const path = findProgram(name)
  if (path === undefined) throw new Error(`no ${name} on this machine`)
  return path
}
