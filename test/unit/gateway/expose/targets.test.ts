/** How the local service behind an exposure is found: both families of localhost, and a service that moves. */
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { connectTarget, type DialledTarget } from '../../../../src/gateway/expose/connect-target.ts'
import { UdpTarget } from '../../../../src/gateway/expose/udp-target.ts'
import { parseTarget } from '../../../../src/gateway/model/expose-spec.ts'
import { GiveUp } from '../../../../src/runtime/giving-up.ts'
import { HostAddresses } from '../../../../src/runtime/net/host-addresses.ts'

test('a bare port and localhost mean both families; an address means only itself', () => {
  const host = (text: string): string => (parseTarget(text) as { host: string }).host
  assert.deepEqual(['80', 'localhost:80', '127.0.0.1:80', '[::1]:80'].map(host), [
    'localhost',
    'localhost',
    '127.0.0.1',
    '::1',
  ])
})

for (const address of ['127.0.0.1', '::1'])
  test(`a TCP service on ${address} only is found by a bare port`, async () => {
    const server = createServer((socket) => socket.on('error', () => {}).end('here'))
    await new Promise<void>((resolve) => server.listen(0, address, resolve))
    const { port } = server.address() as AddressInfo
    const socket = await connectTarget(parseTarget(String(port)) as DialledTarget, new HostAddresses(), new GiveUp())
    assert.equal(socket.remoteAddress, address)
    socket.destroy()
    server.close()
  })

test('a connection that every address refuses fails with all their errors; an abandoned one ends immediately', async () => {
  const hosts = new HostAddresses(async () => ['127.0.0.1', '::1'])
  const closed = await freePort()
  const target = { kind: 'tcp', host: 'service.test', port: closed, text: '' } as const
  await assert.rejects(connectTarget(target, hosts, new GiveUp()), {
    message: /127\.0\.0\.1.*; .*::1/,
    code: 'ECONNREFUSED', // by which the HTTP front knows whose fault it is
  })
  const giveUp = new GiveUp()
  const given = connectTarget(target, new HostAddresses(() => new Promise(() => {})), giveUp)
  giveUp.abort()
  const outcome = await Promise.race([given.then(String, String), Promise.resolve('waiting')])
  assert.equal(outcome, 'waiting') // for the name; the dialled address is checked below
  const later = new GiveUp()
  const lookedUp = connectTarget(target, new HostAddresses(async () => ['127.0.0.1']), later)
  later.abort()
  await assert.rejects(lookedUp, /no longer wanted/)
})

for (const address of ['127.0.0.1', '::1'])
  test(`a UDP service on ${address} only is found by localhost and gets every datagram`, async () => {
    const heard: string[] = []
    const service = await udpService(address, 0, heard)
    const { target, next } = await udpTarget('localhost', service.address().port, new HostAddresses())
    for (const text of ['one', 'two']) target.send(Buffer.from(text))
    assert.deepEqual([await next(), await next()], ['re: one', 're: two'])
    assert.deepEqual(heard, ['one', 'two'])
    target.close()
    service.close()
  })

test('a UDP service that moves is found again, at the latest when the old address refuses', async () => {
  let addresses = ['127.0.0.1']
  let now = 0
  const hosts = new HostAddresses(
    async () => addresses,
    () => now,
  )
  const old = await udpService('127.0.0.1', 0)
  const { port } = old.address()
  const { target, next, troubles } = await udpTarget('service.test', port, hosts)
  target.send(Buffer.from('one'))
  assert.equal(await next(), 're: one')
  old.close()
  const moved = await udpService('127.0.0.2', port)
  addresses = ['127.0.0.2']
  const answer = next()
  const sending = setInterval(() => target.send(Buffer.from('two')), 20)
  assert.equal(await answer, 're: two')
  clearInterval(sending)
  assert.ok(troubles.length <= 1)
  // If the old address stays silent: the name is looked up periodically.
  const third = await udpService('127.0.0.3', port)
  addresses = ['127.0.0.3']
  now += 10_000
  await target.follow()
  const last = next('re: three')
  target.send(Buffer.from('three'))
  assert.equal(await last, 're: three')
  for (const socket of [moved, third]) socket.close()
  target.close()
})

test('an unreachable UDP address is an error that says so, not an undefined port', async () => {
  const target = new UdpTarget({ host: '255.255.255.255', port: 9 }, new HostAddresses(), {
    onAnswer: () => {},
    onUnreachable: () => {},
  })
  await assert.rejects(target.open(), /EACCES|ENETUNREACH|EPERM/)
  target.close()
})

async function udpService(address: string, port: number, heard: string[] = []): Promise<Socket> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  socket.on('message', (bytes, from) => {
    heard.push(bytes.toString())
    socket.send(`re: ${bytes.toString()}`, from.port, from.address)
  })
  await new Promise<void>((resolve) => socket.bind(port, address, resolve))
  return socket
}

async function udpTarget(host: string, port: number, hosts: HostAddresses) {
  const answers: string[] = []
  const troubles: string[] = []
  const waiting: (() => void)[] = []
  const target = new UdpTarget({ host, port }, hosts, {
    onAnswer: (bytes) => {
      answers.push(Buffer.from(bytes).toString())
      for (const tell of waiting.splice(0)) tell()
    },
    onUnreachable: (error) => troubles.push(error.message),
  })
  await target.open()
  /** The next answer, or the next one that is `wanted`. */
  const next = async (wanted?: string): Promise<string> => {
    for (;;) {
      const answer = answers.shift()
      if (answer !== undefined && (wanted === undefined || answer === wanted)) return answer
      if (answer === undefined) await new Promise<void>((resolve) => waiting.push(resolve))
    }
  }
  return { target, next, troubles }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
