/** Peers by name: dig and the resolver, curl and SOCKS clients, resolve; only trusted peers are ever reached. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { encode } from 'dns-packet'
import { SocksClient } from 'socks'
import { address, pair, Stage } from './harness.ts'
import type { Pair } from './harness.ts'
import { findProgram } from './program.ts'
import type { HostRecord, ResolveRecord } from '../../src/gateway/model/records.ts'

let stage: Stage
let both: Pair
let web: number
let proxy: string
let dns: string
const ports = { onDemand: 0, mapped: 0 }

before(async () => {
  stage = await Stage.open()
  const server = createServer((request, response) =>
    response.end(`you asked ${request.headers.host ?? ''} for ${request.url ?? ''}`),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  stage.defer(async () => {
    server.close()
  })
  web = (server.address() as AddressInfo).port
  const echo = createSocket('udp4').on('message', (bytes, from) => echo.send(bytes, from.port, from.address))
  await new Promise<void>((resolve) => {
    echo.bind(0, '127.0.0.1', resolve)
  })
  stage.defer(async () => {
    echo.close()
  })
  ports.onDemand = await freePort()
  ports.mapped = await freePort()
  const config = stage.path('gateway.yaml')
  await writeFile(
    config,
    `version: 1\nproxy: { listen: "127.0.0.1:0" }\ndns: { listen: "127.0.0.1:0", ports: [${ports.onDemand}] }\n`,
  )
  both = await pair(
    stage,
    { map: [`agent-b:${ports.mapped}`], args: ['-c', config] },
    { expose: [`80=127.0.0.1:${web}`, `${ports.onDemand}=127.0.0.1:${web}`, `7/udp=127.0.0.1:${echo.address().port}`] },
  )
  const ready = both.a.ready as unknown as { readonly proxy: string; readonly dns: string }
  proxy = ready.proxy
  dns = ready.dns
})
after(async () => stage.close())

test('curl reaches a peer by every form of its name, through SOCKS5 and as plain HTTP', async (t) => {
  const curl = findProgram('curl')
  if (curl === undefined) return t.skip('not installed: curl')
  for (const host of [
    'agent-b',
    'agent-b.pilot',
    'agent-b.pilot.localhost',
    'AGENT-B.Pilot',
    both.a.local(`agent-b:${ports.mapped}`).host,
  ]) {
    for (const scheme of ['socks5h', 'http']) {
      const through = ['--noproxy', '', '--proxy', `${scheme}://${proxy}`, `http://${host}/x`]
      const { code, stdout, stderr } = await stage.run(curl, ['-sS', ...through])
      assert.deepEqual([code, stdout.toLowerCase()], [0, `you asked ${host.toLowerCase()} for /x`], scheme + stderr)
    }
  }
})

test('curl reaches a peer through HTTP CONNECT', async (t) => {
  const curl = findProgram('curl')
  if (curl === undefined) return t.skip('not installed: curl')
  const { code, stdout, stderr } = await stage.run(curl, [
    '-sS',
    '--noproxy',
    '',
    '-p',
    '-x',
    `http://${proxy}`,
    'http://agent-b.pilot/y',
  ])
  assert.deepEqual([code, stdout], [0, 'you asked agent-b.pilot for /y'], stderr)
})

test('the proxy connects only to trusted peers, and refuses others as each protocol defines', async () => {
  // The web server listens on this machine: an open proxy would reach it.
  for (const host of ['127.0.0.1', 'localhost', '127.77.255.1', '192.0.2.1', 'example.com', 'a.b.pilot']) {
    assert.equal(await socksReply(host, web), 2, host)
    assert.match(await say(`CONNECT ${host}:${web} HTTP/1.1\r\nHost: ${host}\r\n\r\n`), /^HTTP\/1\.1 403 /, host)
  }
  assert.equal(await socksReply('nobody', 80), 4)
  for (const host of [String(both.b.ready.node.nodeId), both.b.ready.node.address])
    assert.equal(await socksReply(host, 81), 5, host)
  assert.equal(await socksReply('agent-b', 81), 5)
  assert.match(await say('CONNECT nobody:80 HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 404 [^]*"code":"NOT_FOUND"/)
  assert.match(await say('CONNECT agent-b:81 HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 502 [^]*"code":"CONNECTION_REFUSED"/)
  const plain = (host: string): Promise<string> =>
    say(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
  assert.match(await plain(`127.0.0.1:${web}`), /^HTTP\/1\.1 404 /)
  assert.match(await plain('agent-b.pilot:81'), /^HTTP\/1\.1 502 [^]*CONNECTION_REFUSED/)
  assert.match(await plain('agent-b.pilot'), /^HTTP\/1\.1 200 /)
  assert.match(await say('GET / HTTP/1.1\r\nHost: agent-b.pilot\r\n\r\n'), /^HTTP\/1\.1 405 [^]*Allow: CONNECT/)
  assert.match(await say('\x16\x03\x01nonsense\r\n\r\n'), /^HTTP\/1\.1 400 /)
  assert.match(await say(`CONNECT ${'x'.repeat(20_000)}`), /^HTTP\/1\.1 431 /)
  assert.equal((await both.a.status()).connections, 0)
})

test('bytes sent along with the handshake are not lost, and a handshake that arrives byte by byte is understood', async () => {
  const greeting = Buffer.from([5, 1, 0, 5, 1, 0, 3, 7, ...Buffer.from('agent-b'), 0, 80])
  const call = Buffer.from('GET /z HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
  const whole = await say(Buffer.concat([greeting, call]))
  assert.match(whole, /you asked h for \/z$/)
  const dribbled = await say(
    [...greeting].map((byte) => Buffer.from([byte])),
    call,
  )
  assert.equal(dribbled.replace(/Date: .*/, ''), whole.replace(/Date: .*/, ''))
})

test('UDP ASSOCIATE carries datagrams to a peer and back, and ends with its connection', async () => {
  const { host, port } = address(proxy)
  const client = new SocksClient({
    proxy: { host, port, type: 5 },
    command: 'associate',
    destination: { host: '0.0.0.0', port: 0 },
  })
  const relay = await new Promise<{ host: string; port: number }>((resolve, reject) => {
    client
      .once('established', ({ remoteHost }) => resolve(remoteHost as { host: string; port: number }))
      .once('error', reject)
    client.connect()
  })
  const socket = createSocket('udp4')
  const heard = new Promise<Buffer>((resolve) => {
    socket.once('message', resolve)
  })
  socket.send(
    SocksClient.createUDPFrame({ remoteHost: { host: 'agent-b.pilot', port: 7 }, data: Buffer.from('ping') }),
    relay.port,
    '127.0.0.1',
  )
  const { data, remoteHost } = SocksClient.parseUDPFrame(await heard)
  assert.deepEqual([data.toString(), remoteHost], ['ping', { host: 'agent-b.pilot', port: 7 }])
  socket.close()
})

test('dig resolves peers over UDP and TCP, and maps their usual ports', async (t) => {
  const dig = findProgram('dig')
  if (dig === undefined) return t.skip('not installed: dig')
  const ask = async (...args: readonly string[]): Promise<string> => {
    const { host, port } = address(dns)
    const { code, stdout } = await stage.run(dig, [`@${host}`, '-p', String(port), '+time=5', '+tries=1', ...args])
    assert.equal(code, 0, stdout)
    return stdout
  }
  const local = both.a.local(`agent-b:${ports.mapped}`).host
  assert.equal((await ask('+short', 'agent-b.pilot', 'A')).trim(), local)
  assert.equal((await ask('+short', '+tcp', 'Agent-B.pilot.localhost', 'A')).trim(), local)
  assert.equal((await ask('+short', '-x', local)).trim(), 'agent-b.pilot.')
  assert.match(await ask('agent-b.pilot', 'AAAA'), /status: NOERROR[^]*ANSWER: 0[^]*SOA/)
  assert.deepEqual(
    (await ask('+short', 'agent-b.pilot', 'SRV')).trim().split('\n').sort(),
    [ports.mapped, ports.onDemand].map((port) => `0 0 ${port} agent-b.pilot.`).sort(),
  )
  assert.equal(
    (await ask('+short', `_${ports.onDemand}._tcp.agent-b.pilot`, 'SRV')).trim(),
    `0 0 ${ports.onDemand} agent-b.pilot.`,
  )
  assert.match(await ask('+short', 'agent-b.pilot', 'TXT'), new RegExp(`"address=${both.b.ready.node.address}"`))
  for (const name of ['nobody.pilot', 'example.com', 'www.agent-b.pilot', '_http._udp.agent-b.pilot'])
    assert.match(await ask(name), /status: NXDOMAIN/, name)
  assert.doesNotMatch(await ask('example.com'), /flags:[^;]* ra/)
  const curl = findProgram('curl')
  if (curl !== undefined)
    assert.match(
      (await stage.run(curl, ['-sS', '--noproxy', '*', `http://${local}:${ports.onDemand}/`])).stdout,
      /^you asked/,
    )
})

test('malformed questions are dropped and counted, and the next one is answered', async () => {
  const { host, port } = address(dns)
  const socket = createSocket('udp4')
  for (let length = 0; length < 60; length += 3) socket.send(Buffer.alloc(length, 0xc0), port, host)
  const heard = new Promise<Buffer>((resolve, reject) => {
    socket.once('message', resolve)
    setTimeout(() => reject(new Error('no answer')), 10_000).unref()
  })
  socket.send(encode({ type: 'query', id: 0x1234, questions: [{ type: 'A', name: 'agent-b.pilot' }] }), port, host)
  assert.equal((await heard).readUInt16BE(0), 0x1234)
  socket.close()
  assert.ok((await both.a.counter('dns_malformed')) >= 15)
})

test('resolve shows what a name means, and prints hosts file lines', async () => {
  const local = both.a.local(`agent-b:${ports.mapped}`).host
  for (const name of ['agent-b', 'agent-b.pilot', local]) {
    const record = await both.a.json<ResolveRecord>('resolve', name)
    assert.deepEqual(
      [record.peer, record.nodeId, record.address, record.dnsName, record.local],
      ['agent-b', both.b.ready.node.nodeId, both.b.ready.node.address, 'agent-b.pilot', local],
    )
    assert.ok(
      record.ports.some((mapped) => mapped.port === ports.mapped && mapped.local === `${local}:${ports.mapped}`),
    )
  }
  assert.deepEqual(await both.a.json<readonly HostRecord[]>('resolve', '--hosts'), [
    { address: local, names: ['agent-b.pilot', 'agent-b.pilot.localhost'] },
  ])
  assert.equal((await both.a.cli('resolve', '--hosts')).stdout, `${local}\tagent-b.pilot agent-b.pilot.localhost\n`)
  assert.equal((await both.a.cli('resolve', 'nobody')).code, 5)
})

/** The reply code of a SOCKS5 CONNECT. */
async function socksReply(host: string, port: number): Promise<number> {
  const name = Buffer.from(host)
  const isIp = /^\d+(\.\d+){3}$/.test(host)
  const target = isIp ? [1, ...host.split('.').map(Number)] : [3, name.length, ...name]
  const heard = await say(Buffer.from([5, 1, 0, 5, 1, 0, ...target, port >> 8, port & 0xff]))
  return heard.charCodeAt(3)
}

/** Sends these to the proxy in turn, and reads until it ends. */
async function say(first: string | Buffer | readonly Buffer[], then: Buffer = Buffer.alloc(0)): Promise<string> {
  const { host, port } = address(proxy)
  const socket: Socket = connect({ host, port, noDelay: true })
  let heard = ''
  socket.on('data', (bytes) => {
    heard += bytes.toString('latin1')
  })
  const ended = new Promise<void>((resolve, reject) => socket.once('close', () => resolve()).once('error', reject))
  for (const piece of Array.isArray(first) ? (first as readonly Buffer[]) : [first as Buffer]) {
    socket.write(piece)
    if (Array.isArray(first))
      await new Promise((resolve) => {
        setTimeout(resolve, 2)
      })
  }
  if (then.length > 0) socket.write(then)
  await ended
  return heard
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => {
    server.close(resolve)
  })
  return port
}
