/** UDP through a mapping and an exposure: real sockets on both ends, DNS by dig, a game's worth of datagrams. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { decode, encode } from 'dns-packet'
import { eventually, pair, pause, Stage } from './harness.ts'
import type { Address, Pair } from './harness.ts'
import { findProgram } from './program.ts'
import { noise } from './servers.ts'

let stage: Stage
before(async () => {
  stage = await Stage.open()
})
after(async () => stage.close())

test('dig asks a DNS server behind a UDP mapping; the sessions are listed, with their bytes', async (t) => {
  // Our own DNS server answers for one name; dig asks it through 53/udp of agent-b.
  const dig = findProgram('dig')
  if (dig === undefined) return t.skip('not installed: dig')
  const server = await serve((bytes, answer) => {
    const { id, questions = [] } = decode(Buffer.from(bytes))
    answer(
      encode({
        type: 'response',
        id: id!,
        flags: 0x400,
        questions,
        answers: [{ type: 'A', name: questions[0]!.name, ttl: 5, data: '192.0.2.7' }],
      }),
    )
  })
  const { a, b } = await mapped('53/udp', server)
  const { host, port } = a.local('agent-b:53/udp')
  const { code, stdout } = await stage.run(dig, [
    '+short',
    '+tries=3',
    '+time=2',
    `@${host}`,
    '-p',
    String(port),
    'www.example',
    'A',
  ])
  assert.deepEqual([code, stdout.trim()], [0, '192.0.2.7'])
  const [session] = await a.connections()
  assert.deepEqual(
    [session!.protocol, session!.direction, session!.service, session!.state],
    ['udp', 'map', 'agent-b:53/udp', 'open'],
  )
  assert.ok(session!.bytesIn > 20 && session!.bytesOut > 20)
  const [exposed] = await b.connections()
  assert.deepEqual(
    [exposed!.protocol, exposed!.direction, exposed!.peer, exposed!.bytesIn, exposed!.bytesOut],
    ['udp', 'expose', 'agent-a', session!.bytesOut, session!.bytesIn],
  )
})

test('every local client has its own session, and answers reach the client that asked', async () => {
  // Forty sockets send their number; each receives only its own.
  const { a } = await mapped('7777/udp', await serve((bytes, answer) => answer(bytes)))
  await Promise.all(
    Array.from({ length: 40 }, async (_, index) => {
      const text = Buffer.from(`client ${index}`)
      const heard = await exchange(a.local('agent-b:7777/udp'), [text], 1)
      assert.deepEqual(heard.map(String), [String(text)])
    }),
  )
  assert.equal((await a.connections()).length, 40)
})

test('bursts of 1,000 datagrams of 1,100 bytes come back with few losses', async () => {
  // As with games or QUIC: one burst, echoed; drops by the kernel or a queue are counted and must be few.
  const { a } = await mapped('4433/udp', await serve((bytes, answer) => answer(bytes)))
  const local = a.local('agent-b:4433/udp')
  await exchange(local, [Buffer.from('first')], 1) // the tunnel is up
  const burst = Array.from({ length: 1_000 }, (_, index) => numbered(index))
  const heard = await exchange(local, burst, burst.length, 3_000)
  const intact = heard.filter((bytes) => bytes.equals(numbered(bytes.readUInt32BE(0))))
  assert.equal(intact.length, heard.length)
  console.log(`# of 1,000 datagrams in one burst ${heard.length} came back`)
  assert.ok(heard.length >= 900, `only ${heard.length} of 1,000`)
})

test('a datagram too large for the path is dropped and counted, the next one passes', async () => {
  const { a } = await mapped('4434/udp', await serve((bytes, answer) => answer(bytes)))
  const heard = await exchange(
    a.local('agent-b:4434/udp'),
    [Buffer.from('before'), noise(60_000), Buffer.from('after')],
    2,
  )
  assert.deepEqual(heard.map(String), ['before', 'after'])
  assert.equal(await a.counter('datagrams_too_large'), 1)
})

test('a peer not on the allow list gets nothing, and the service never sees it', async () => {
  let asked = 0
  const server = await serve((bytes, answer) => {
    asked += 1
    answer(bytes)
  })
  const { a, b } = await mapped('4435/udp', server, ',allow=somebody-else')
  assert.deepEqual(await exchange(a.local('agent-b:4435/udp'), [Buffer.from('hello')], 1, 1_000), [])
  await eventually('the denial is counted', async () => (await b.counter('connections_denied')) === 1 || undefined)
  assert.equal(asked, 0)
})

test('an absent peer causes a warning, and the mapping keeps working', async () => {
  const inner = await Stage.open()
  stage.defer(async () => inner.close())
  const { a } = await pair(inner, { map: ['0:nobody:53/udp'] }, {})
  assert.deepEqual(await exchange(a.local('nobody:53/udp'), [Buffer.from('hello')], 1, 1_000), [])
  await a.program.until(
    () => a.program.logs.some((line) => JSON.stringify(line).includes('a datagram was dropped')) || undefined,
    'the warning',
  )
  assert.equal((await a.connections()).length, 0)
})

async function mapped(port: string, target: string, allow = ''): Promise<Pair> {
  const inner = await Stage.open()
  stage.defer(async () => inner.close())
  return await pair(inner, { map: [`0:agent-b:${port}`] }, { expose: [`${port}=${target}${allow}`] })
}

/** A UDP server. @returns its host and port. */
async function serve(onDatagram: (bytes: Uint8Array, answer: (bytes: Uint8Array) => void) => void): Promise<string> {
  const socket = await open()
  socket.on('message', (bytes, from) => onDatagram(bytes, (answer) => socket.send(answer, from.port, from.address)))
  stage.defer(async () => {
    socket.close()
  })
  return `127.0.0.1:${socket.address().port}`
}

/** Sends from its own socket, and receives up to `count` answers within `patienceMs`. */
async function exchange(
  { host, port }: Address,
  datagrams: readonly Uint8Array[],
  count: number,
  patienceMs = 10_000,
): Promise<Buffer[]> {
  const socket = await open()
  const heard: Buffer[] = []
  socket.on('message', (bytes) => heard.push(bytes))
  for (const bytes of datagrams)
    await new Promise<void>((resolve, reject) => {
      socket.send(bytes, port, host, (error) => (error === null ? resolve() : reject(error)))
    })
  for (const until = performance.now() + patienceMs; heard.length < count && performance.now() < until;) await pause(20)
  socket.close()
  return heard
}

async function open(): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4_194_304, sendBufferSize: 4_194_304 })
  await new Promise<void>((resolve) => {
    socket.bind(0, '127.0.0.1', resolve)
  })
  return socket
}

function numbered(index: number): Buffer {
  const bytes = Buffer.alloc(1_100, index & 0xff)
  bytes.writeUInt32BE(index)
  return bytes
}
