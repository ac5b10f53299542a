/**
 * What every implementation of src/runtime/overlay.ts must do: run over two overlays that trust each other, in both
 * directions. Where a daemon is limited, the stream itself says so (`halfCloses`).
 */
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { PilotError } from '../../src/base/errors.ts'
import type { ErrorCode } from '../../src/base/errors.ts'
import { ConnectionTable } from '../../src/gateway/service/connections.ts'
import { AccessLog } from '../../src/gateway/http/access-log.ts'
import { Exposure } from '../../src/gateway/expose/tcp.ts'
import type { Incoming, Listener, Overlay, OverlayStream } from '../../src/runtime/overlay.ts'
import { HostAddresses } from '../../src/runtime/net/host-addresses.ts'
import { silentLogger } from '../../src/runtime/log.ts'
import { eventually, pause } from './harness.ts'
import { noise } from './servers.ts'

export interface OverlayPair {
  readonly a: Overlay
  readonly b: Overlay
  close(): Promise<void>
}

export interface ComplianceOptions {
  readonly skip?: string | false
  readonly largeBytes: number // of one echo
  readonly datagramPort: number // free on both sides
  /**
   * A driver takes the end of a request for the end of everything, and our node, as its daemon, passes it on: the peer is
   * another of our nodes, which ends one direction at a time. Other drivers (libpilot) answer after an end.
   */
  readonly endsBoth?: boolean
  /** Fails if no bytes arrive by then: real daemons are slow. */
  readonly patienceMs: number
}

export function overlayCompliance(name: string, open: () => Promise<OverlayPair>, options: ComplianceOptions): void {
  describe(name, { skip: options.skip ?? false, concurrency: false }, () => {
    let pair: OverlayPair
    before(async () => {
      pair = await open()
    })
    after(async () => pair.close())
    for (const [from, to] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      const way: Way = { ...options, way: `${from} to ${to}`, dialler: () => pair[from], server: () => pair[to] }
      for (const suite of [transfers, endings, waiting, services, standing]) suite(way)
    }
    lives(() => pair, options)
  })
}

/** One direction: dialler and listener. The overlays exist only once the tests run. */
interface Way extends ComplianceOptions {
  readonly way: string
  readonly dialler: () => Overlay
  readonly server: () => Overlay
}

function transfers({ way, dialler, server, largeBytes, patienceMs }: Way): void {
  test(`${largeBytes} bytes there and back arrive unchanged (${way})`, async () => {
    const { target, listener } = await serve(server(), (stream) => stream.pipe(stream))
    const sent = noise(largeBytes)
    const stream = quiet(await dialler().dial(target))
    stream.write(sent)
    const got = await take(stream, sent.length, patienceMs)
    assert.equal(sha256(got), sha256(sent))
    assert.deepEqual([stream.bytesRead, stream.bytesWritten], [sent.length, sent.length])
    stream.destroy()
    listener.close()
  })

  test(`50 streams at once stay separate (${way})`, async () => {
    const { target, listener } = await serve(server(), (stream) => stream.pipe(stream))
    const streams = await Promise.all(Array.from({ length: 50 }, async () => quiet(await dialler().dial(target))))
    await Promise.all(
      streams.map(async (stream, index) => {
        const sent = noise(20_000, index)
        stream.write(sent)
        assert.equal(sha256(await take(stream, sent.length, patienceMs)), sha256(sent))
      }),
    )
    for (const stream of streams) stream.destroy()
    listener.close()
  })

  test(`a port without a listener is refused, and an absent node is not reached (${way})`, async () => {
    await fails(dialler().dial(`${server().nodeId}:4242`), 'CONNECTION_REFUSED')
    await fails(dialler().dial('4711:80'), 'NOT_FOUND', 'PEER_UNREACHABLE', 'NOT_TRUSTED')
    await fails(dialler().dial('nonsense'), 'USAGE')
  })
}

function endings({ way, dialler, server, patienceMs, endsBoth }: Way): void {
  test(`the end arrives only after the last byte (${way})`, async () => {
    const sent = noise(300_000)
    const { target, listener } = await serve(server(), (stream) => {
      stream.resume()
      stream.end(sent)
    })
    for (let round = 0; round < 5; round++) {
      const stream = quiet(await dialler().dial(target))
      const got = await untilEnd(stream, patienceMs)
      assert.equal(sha256(got), sha256(sent), `round ${round}: ${got.length} of ${sent.length} bytes`)
      stream.end()
      stream.destroySoon()
    }
    listener.close()
  })

  test(`data written before destroySoon arrives, even while the reader keeps sending (${way})`, async () => {
    const sent = noise(300_000, 2)
    const { target, listener } = await serve(server(), (stream) =>
      stream.once('data', () => {
        stream.write(sent)
        stream.destroySoon()
      }),
    )
    const stream = quiet(await dialler().dial(target))
    stream.write('request')
    const got = await untilEnd(stream, patienceMs)
    assert.equal(sha256(got), sha256(sent), `${got.length} of ${sent.length} bytes`)
    stream.destroySoon()
    listener.close()
  })

  const skip = endsBoth === true && 'the driver ends both'
  test(`a client that ends its request first gets the whole answer (${way})`, { skip }, async () => {
    const answer = noise(300_000, 1)
    const { target, listener } = await serve(server(), (stream) =>
      stream.once('data', () => {
        setTimeout(() => stream.end(answer), 100)
      }),
    )
    const stream = quiet(await dialler().dial(target))
    stream.end('request')
    assert.equal(sha256(await untilEnd(stream, patienceMs)), sha256(answer))
    listener.close()
  })

  test(`an abandoned stream ends on the other side too (${way})`, async () => {
    const accepted: OverlayStream[] = []
    const { target, listener } = await serve(server(), (stream) => accepted.push(stream))
    const stream = quiet(await dialler().dial(target))
    stream.write('hello')
    const other = await eventually('the other side', () => accepted[0])
    const ended = ending(other)
    stream.resetAndDestroy()
    const how = await within(ended, patienceMs, 'the end of the other side')
    assert.ok(how === 'PEER_RESET' || !stream.halfCloses || !other.halfCloses, how)
    listener.close()
  })
}

function waiting({ way, dialler, server, patienceMs }: Way): void {
  test(`a reader that pauses delays only its own stream, and loses nothing (${way})`, async () => {
    const sent = noise(4_000_000, 2)
    const { target, listener } = await serve(server(), (stream) =>
      stream.once('data', (what: Buffer) => {
        if (what.toString() === 'much') stream.write(sent)
        else stream.pipe(stream).write(what)
      }),
    )
    const slow = quiet(await dialler().dial(target))
    slow.write('much')
    await once(slow, 'readable')
    await pause(500) // every buffer is full by now
    for (let round = 0; round < 3; round++) {
      const quick = quiet(await dialler().dial(target))
      quick.write('echo')
      assert.equal((await take(quick, 4, patienceMs)).toString(), 'echo')
      quick.destroy()
    }
    assert.equal(sha256(await take(slow, sent.length, patienceMs)), sha256(sent))
    slow.destroy()
    listener.close()
  })

  test(`a peer that does not read delays only its own stream (${way})`, async () => {
    // Both streams are accepted on one port: a daemon carries them on one connection.
    const { target, listener } = await serve(server(), (stream) =>
      stream.once('data', (what: Buffer) => {
        if (what.toString() === 'much') stream.write(noise(4_000_000, 3))
        else stream.pipe(stream).write(what)
      }),
    )
    const stuck = quiet(await dialler().dial(target))
    stuck.write('much')
    await pause(500)
    const quick = quiet(await dialler().dial(target))
    quick.write('echo')
    assert.equal((await take(quick, 4, patienceMs)).toString(), 'echo')
    for (const stream of [stuck, quick]) stream.destroy()
    listener.close()
  })
}

function services({ way, dialler, server, datagramPort, patienceMs }: Way): void {
  test(`an exposed service admits only allowed peers (${way})`, async () => {
    const service = createServer((socket) => socket.on('error', () => {}).end('secret'))
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
    const { port: local } = service.address() as AddressInfo
    const target = { kind: 'tcp', host: '127.0.0.1', port: local, text: `tcp://127.0.0.1:${local}` } as const
    const expose = async (allow: readonly string[]): Promise<Exposure> => {
      const port = freePort()
      const exposure = new Exposure(
        { name: String(port), port, protocol: 'tcp', target, allow },
        {
          node: server(),
          connections: new ConnectionTable(),
          hosts: new HostAddresses(),
          log: silentLogger,
          access: new AccessLog(silentLogger),
          stateDir: '/nonexistent',
          onTaken: () => {},
        },
      )
      await exposure.start()
      return exposure
    }
    const [open, closed] = [await expose(['trusted']), await expose(['4711'])]
    const stream = quiet(await dialler().dial(`${server().nodeId}:${open.spec.port}`))
    assert.equal((await untilEnd(stream, patienceMs)).toString(), 'secret')
    stream.destroySoon()
    // A daemon accepts before access is checked: the stream then ends without a byte.
    const refused = await dialler()
      .dial(`${server().nodeId}:${closed.spec.port}`)
      .then(
        async (late) => (await untilEnd(quiet(late), patienceMs)).toString(),
        (error: unknown) => (error as PilotError).code,
      )
    assert.ok(refused === '' || refused === 'CONNECTION_REFUSED', refused)
    for (const exposure of [open, closed]) exposure.stop()
    service.close()
  })

  test(`datagrams arrive at their port (${way})`, async () => {
    const got: string[] = []
    const taking = await server().datagrams(datagramPort, (bytes, node) =>
      got.push(`${node}:${Buffer.from(bytes).toString()}`),
    )
    const sending = await dialler().datagrams(datagramPort, () => {})
    await eventually(
      'a datagram',
      async () => {
        await sending.send(String(server().nodeId), datagramPort, Buffer.from('hello')) // as UDP: one may be lost
        await pause(50)
        return got[0]
      },
      patienceMs,
    )
    assert.equal(got[0], `${dialler().nodeId}:hello`)
    await fails(sending.send(String(server().nodeId), datagramPort, new Uint8Array(70_000)), 'DATAGRAM_TOO_LARGE')
    taking.close()
    sending.close()
  })
}

function standing({ way, dialler, server, patienceMs }: Way): void {
  test(`a port can be bound once, and again after it is closed (at the second: ${way})`, async () => {
    const port = freePort()
    const listener = await server().listen(port, (incoming) => incoming.refuse())
    await fails(
      server().listen(port, () => {}),
      'PORT_IN_USE',
    )
    listener.close()
    const again = await eventually(
      'the port is free',
      () =>
        server()
          .listen(port, () => {})
          .catch(() => undefined),
      patienceMs,
    )
    again.close()
  })

  test(`trust and our own identity are known (${way})`, async () => {
    assert.equal(await dialler().isTrusted(server().nodeId), true)
    assert.equal(await dialler().isTrusted(4711), false)
    assert.ok((await dialler().trusted()).some(({ nodeId }) => nodeId === server().nodeId))
    assert.equal(await dialler().approveTrust(4711), false)
    assert.equal(await dialler().revokeTrust(4711), false)
    assert.match(dialler().publicKey, /^[\w+/]{43}=$/)
    assert.equal(await dialler().resolve(String(server().nodeId)), server().nodeId)
    assert.equal(await dialler().whenRegistered(1_000), true)
    const { registry, daemon } = dialler().status
    assert.equal((registry === null) !== (daemon === null), true)
  })
}

function lives(pair: () => OverlayPair, { patienceMs }: ComplianceOptions): void {
  test('an aborted dial fails and leaves nothing open', async () => {
    const port = freePort()
    const accepted: Incoming[] = []
    const listener = await pair().b.listen(port, (incoming) => accepted.push(incoming)) // never answers
    const abort = new AbortController()
    const dialling = pair().a.dial(`${pair().b.nodeId}:${port}`, abort.signal)
    abort.abort()
    await fails(dialling, 'FAILED')
    listener.close()
  })

  test('after a stop every stream has ended', async () => {
    const port = freePort()
    const listener = await pair().b.listen(port, (incoming) => quiet(incoming.accept()).resume())
    const stream = quiet(await pair().a.dial(`${pair().b.nodeId}:${port}`))
    const ended = ending(stream)
    await pair().b.stop()
    await within(ended, patienceMs, 'the end of the stream')
    listener.close()
    await pair().a.stop()
    await assert.rejects(pair().a.dial(`${pair().b.nodeId}:1`, AbortSignal.timeout(500)))
  })
}

let lastPort = 20_000

function freePort(): number {
  return ++lastPort
}

async function serve(
  server: Overlay,
  handler: (stream: OverlayStream) => void,
): Promise<{ target: string; listener: Listener }> {
  const port = freePort()
  const listener = await server.listen(port, (incoming) => handler(quiet(incoming.accept())))
  return { target: `${server.nodeId}:${port}`, listener }
}

function quiet(stream: OverlayStream): OverlayStream {
  return stream.on('error', () => {})
}

async function take(stream: OverlayStream, bytes: number, patienceMs: number): Promise<Buffer> {
  const parts: Buffer[] = []
  let got = 0
  const all = new Promise<void>((resolve, reject) => {
    const onData = (part: Buffer): void => {
      parts.push(part)
      got += part.length
      if (got < bytes) return
      stream.off('data', onData)
      resolve()
    }
    stream.on('data', onData).once('close', () => reject(new Error(`closed after ${got} of ${bytes} bytes`)))
  })
  await within(all, patienceMs, `${bytes} bytes`, () => `${got} came`)
  return Buffer.concat(parts)
}

async function untilEnd(stream: OverlayStream, patienceMs: number): Promise<Buffer> {
  const parts: Buffer[] = []
  await within(
    new Promise<void>((resolve, reject) => {
      stream
        .on('data', (part: Buffer) => parts.push(part))
        .once('end', resolve)
        .once('error', reject)
        .once('close', () => resolve())
    }),
    patienceMs,
    'the end',
    () => `${Buffer.concat(parts).length} bytes came`,
  )
  return Buffer.concat(parts)
}

async function ending(stream: OverlayStream): Promise<string> {
  return await new Promise((resolve) => {
    stream
      .once('error', (error: Error) => resolve((error as PilotError).code))
      .once('end', () => resolve('end'))
      .once('close', () => resolve('close'))
    stream.resume()
  })
}

async function fails(work: Promise<unknown>, ...codes: ErrorCode[]): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof PilotError, String(error))
    assert.ok(codes.includes(error.code), `${error.code}: ${error.message}`)
    return true
  })
}

async function within<T>(work: Promise<T>, ms: number, what: string, more: () => string = () => ''): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what} ${more()}`)), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
