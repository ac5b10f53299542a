/** A UDP address clients send to: on a wildcard, the answer comes from the address that was asked. */
import assert from 'node:assert/strict'
import { Socket, createSocket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { PilotError } from '../../../../src/base/errors.ts'
import { UdpListener } from '../../../../src/gateway/service/udp-listener.ts'

const ECHO = {
  onDatagram: (bytes: Buffer, client: { port: number; address: string }, via: { send: UdpListenerSend }): void =>
    via.send(bytes, client.port, client.address),
  onError: (error: Error): void => assert.fail(error),
}
type UdpListenerSend = (bytes: Uint8Array, port: number, address: string) => void

const OWN = Object.values(networkInterfaces()).flatMap((entries) => entries ?? [])

for (const [wildcard, families] of [
  ['0.0.0.0', ['IPv4']],
  ['::', ['IPv4', 'IPv6']],
] as const)
  test(`a client that asks ${wildcard} at any address of this machine is answered from that address`, async () => {
    const listener = await UdpListener.bind({ address: wildcard, port: 0 }, ECHO, { service: 'test' })
    for (const { address, family, scopeid } of OWN) {
      if (!families.some((name) => name === family) || (scopeid ?? 0) !== 0) continue
      assert.equal(await ask(address, listener.local.port), 'question')
    }
    listener.close()
  })

test('a wildcard port in use at one address counts as in use, and nothing stays bound', async () => {
  const holder = createSocket('udp4')
  await new Promise<void>((resolve) => holder.bind(0, '127.0.0.1', resolve))
  const { port } = holder.address()
  await assert.rejects(
    UdpListener.bind({ address: '0.0.0.0', port }, ECHO, { service: 'test' }),
    (error) => error instanceof PilotError && error.code === 'PORT_IN_USE',
  )
  holder.close()
  const listener = await UdpListener.bind({ address: '0.0.0.0', port }, ECHO, { service: 'test' })
  listener.close()
})

test('a datagram from port 0, which cannot be answered, is ignored', async (t) => {
  const on = t.mock.method(Socket.prototype, 'on')
  const listener = await UdpListener.bind({ address: '127.0.0.1', port: 0 }, ECHO, { service: 'test' })
  const taken = on.mock.calls.find((call) => String(call.arguments[0]) === 'message')!.arguments[1] as (
    bytes: Buffer,
    client: { port: number; address: string },
  ) => void
  taken(Buffer.from('x'), { port: 0, address: '127.0.0.1' }) // to answer it would throw, in the middle of other peers' events
  listener.close()
})

/** Sent by a connected socket, which receives only from that address. */
function ask(address: string, port: number): Promise<string> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  return new Promise((resolve) => {
    const late = setTimeout(() => done('nothing'), 1_000)
    const done = (heard: string): void => {
      clearTimeout(late)
      socket.close()
      resolve(heard)
    }
    socket.on('error', (error) => done(error.message))
    socket.once('message', (bytes) => done(bytes.toString()))
    socket.connect(port, address, () => socket.send('question'))
  })
}
