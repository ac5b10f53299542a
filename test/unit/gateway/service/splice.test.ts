/** The splice on a real loopback socket, with a plain Duplex in place of the overlay stream. */
import assert from 'node:assert/strict'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { splice } from '../../../../src/gateway/service/splice.ts'
import type { OverlayStream } from '../../../../src/runtime/overlay.ts'

/** The socket a gateway would hold, and the client at its other end. */
async function sockets(): Promise<{ held: Socket; client: Socket; close(): void }> {
  const server = createServer({ allowHalfOpen: true })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
  client.on('error', () => {})
  return {
    held: await accepted,
    client,
    close: () => {
      client.destroy()
      server.close()
    },
  }
}

function peerSending(pieces: readonly Buffer[]): OverlayStream {
  const left = [...pieces]
  const stream = new Duplex({
    read() {
      this.push(left.shift() ?? null)
    },
    write(_chunk, _encoding, done) {
      done()
    },
  })
  return Object.assign(stream, { resetAndDestroy: () => stream.destroy() }) as unknown as OverlayStream
}

test('the end follows the last bytes to a slow client, even if they wait below the high-water mark', async () => {
  const { held, client, close } = await sockets()
  client.pause()
  // More than the kernel holds, in pieces whose last ones are smaller than any high-water mark.
  const pieces = [
    ...Array.from({ length: 200 }, () => Buffer.alloc(65_536, 1)),
    ...Array.from({ length: 40 }, () => Buffer.alloc(100, 2)),
  ]
  splice(held, peerSending(pieces), () => {})
  await new Promise((resolve) => setTimeout(resolve, 100)) // everything that fits is written: the rest waits
  let got = 0
  const ended = new Promise<boolean>((resolve) => {
    client.on('data', (chunk: Buffer) => {
      got += chunk.length
    })
    client.once('end', () => resolve(true))
    setTimeout(() => resolve(false), 5_000).unref()
  })
  client.resume()
  assert.equal(await ended, true, 'no end within 5 s')
  assert.equal(got, 200 * 65_536 + 40 * 100)
  close()
  held.destroy()
})

test('a broken overlay stream resets the client instead of ending it', async () => {
  const { held, client, close } = await sockets()
  const stream = peerSending([Buffer.from('half an ans')])
  const fate = new Promise<string>((resolve) => {
    client.on('end', () => resolve('end'))
    client.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)))
  })
  client.resume()
  stream.destroy(new Error('broken'))
  splice(held, stream, () => {})
  stream.emit('error', new Error('broken'))
  assert.equal(await fate, 'ECONNRESET')
  close()
})

test('a client that ended without a byte before the splice started ends the stream and still gets the answer', async () => {
  const { held, client, close } = await sockets()
  client.end()
  held.pause()
  held.read(0) // as map/tcp.ts does while the peer is dialled
  await new Promise((resolve) => held.once('end', resolve))
  let isEnded = false
  const answer = peerSending([Buffer.from('nothing came')])
  splice(
    held,
    Object.assign(answer, {
      end: () => {
        isEnded = true
      },
    }),
    () => {},
  )
  assert.equal(isEnded, true)
  const got: Buffer[] = []
  client.on('data', (chunk: Buffer) => got.push(chunk))
  await new Promise((resolve) => client.once('end', resolve))
  assert.equal(Buffer.concat(got).toString(), 'nothing came')
  close()
  held.destroy()
})
