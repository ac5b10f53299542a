/** Which connections go through an HTTP proxy, and what is said to it. The proxy is a few lines of ours, on loopback. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { after, test } from 'node:test'
import { PilotError } from '../../../../src/base/errors.ts'
import { openTcp, parseProxy, proxyFor } from '../../../../src/runtime/net/proxy.ts'

const open: Server[] = []
after(() => {
  for (const server of open) server.close()
})

async function listening(onSocket: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    onSocket(socket)
  }).listen(0, '127.0.0.1')
  open.push(server)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const settings = (except: string) => ({ url: 'http://proxy.example:3128', except, isFromEnvironment: true })

test('NO_PROXY is read as curl and Go read it, and this machine needs no proxy', () => {
  for (const [except, host, port, isProxied] of [
    ['', 'rv.example', 443, true],
    ['', '127.0.0.1', 443, false],
    ['', '127.8.8.8', 443, false],
    ['', 'localhost', 443, false],
    ['', '::1', 443, false],
    ['*', 'rv.example', 443, false],
    ['rv.example', 'rv.example', 443, false],
    ['rv.example', 'a.rv.example', 443, false],
    ['rv.example', 'notrv.example', 443, true],
    ['RV.Example', 'rv.EXAMPLE', 443, false],
    ['.example', 'rv.example', 443, false],
    ['.rv.example', 'rv.example', 443, true],
    ['*.example', 'rv.example', 443, false],
    ['rv.example:9000', 'rv.example', 443, true],
    ['rv.example:9000', 'rv.example', 9_000, false],
    ['other.example, rv.example', 'rv.example', 443, false],
    ['10.0.0.0/8', '10.9.8.7', 443, false],
    ['10.0.0.0/8', '11.9.8.7', 443, true],
    ['10.0.0.1', '10.0.0.1', 443, false],
    ['2001:db8::/32', '2001:db8::5', 443, false],
    ['2001:db8::/32', '2001:db9::5', 443, true],
    ['10.0.0.0/99', '10.9.8.7', 443, true],
    ['nonsense/8', '10.9.8.7', 443, true],
  ] as const)
    assert.equal(proxyFor(settings(except), host, port) !== undefined, isProxied, `${except} ${host}:${port}`)
  assert.equal(proxyFor(undefined, 'rv.example', 443), undefined)
})

test('credentials are decoded for the proxy, and in nothing else', () => {
  const proxy = parseProxy('http://ann:p%40ss%3Aw%C3%B6rd@proxy.example:3128')
  assert.equal(proxy.authorization, `Basic ${Buffer.from('ann:p@ss:wörd').toString('base64')}`)
  assert.deepEqual(
    [proxy.shown, proxy.host, proxy.port, proxy.tls],
    ['proxy.example:3128', 'proxy.example', 3_128, false],
  )
  assert.deepEqual([parseProxy('proxy.example:3128').port, parseProxy('https://proxy.example').port], [3_128, 443])
  for (const bad of ['socks5://ann:s3cr3t@x:1', 'http://ann:s3cr3t@', 'ftp://ann:s3cr3t@x', ''])
    assert.throws(
      () => parseProxy(bad),
      (error) => error instanceof PilotError && error.code === 'USAGE' && !error.message.includes('s3cr3t'),
    )
})

test('it connects with CONNECT and credentials, and what follows the answer belongs to the connection', async () => {
  const target = await listening((socket) => void socket.write('hello'))
  let head = ''
  const port = await listening((client) => {
    client.once('data', (bytes: Buffer) => {
      head = bytes.toString('latin1')
      const onwards = connect(target, '127.0.0.1')
      onwards.once('data', (first: Buffer) => {
        // in two pieces, the second with bytes of the connection behind it
        client.write('HTTP/1.1 200 Connection esta')
        setTimeout(() => {
          client.write(Buffer.concat([Buffer.from('blished\r\nVia: x\r\n\r\n'), first]))
          onwards.pipe(client)
          client.pipe(onwards)
        }, 20)
      })
    })
  })
  const socket = openTcp('rv.example', 443, parseProxy(`http://ann:secret@127.0.0.1:${port}`), 5_000, () => {
    socket.on('data', (bytes: Buffer) => (got += bytes.toString()))
  })
  let got = ''
  await new Promise<void>((resolve) => {
    const look = setInterval(() => {
      if (got.length < 5) return
      clearInterval(look)
      resolve()
    }, 5)
  })
  assert.equal(got, 'hello')
  const authorization = Buffer.from('ann:secret').toString('base64')
  assert.equal(
    head,
    `CONNECT rv.example:443 HTTP/1.1\r\nHost: rv.example:443\r\nProxy-Authorization: Basic ${authorization}\r\n\r\n`,
  )
  socket.destroy()
})

test('what a proxy refuses, or a broken one says, ends the attempt with the reason', async () => {
  for (const [answer, reason] of [
    ['HTTP/1.1 407 Proxy Authentication Required\r\n\r\n', /refuses our credentials, or wants some \(407\)/],
    ['HTTP/1.1 403 Forbidden\r\n\r\n', /refuses to connect there \(403\)/],
    ['HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n', /it answers 302/],
    ['SSH-2.0-OpenSSH\r\n\r\n', /no answer in HTTP/],
    ['x'.repeat(20_000), /no answer in HTTP/],
    ['', /closed the connection/],
  ] as const) {
    const port = await listening((client) => {
      client.once('data', () => client.end(answer))
    })
    const proxy = parseProxy(`http://ann:secret@127.0.0.1:${port}`)
    const error = await new Promise<Error>((resolve) => {
      openTcp('2001:db8::1', 443, proxy, 5_000, () => assert.fail('connected')).once('error', resolve)
    })
    assert.match(error.message, reason)
    assert.doesNotMatch(error.message, /secret/)
  }
})
