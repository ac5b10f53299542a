/**
 * Nothing leaves in the clear. Every UDP datagram between the gateways, and between each of them and the beacon, passes
 * a tap that records it (the gateways are registered at the taps' addresses); no datagram may contain the recognisable
 * payload or the magic of a plaintext frame. If tcpdump is allowed to run, it checks the same from outside.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { address, eventually, Gateway, pair, Rendezvous, Stage } from './harness.ts'
import type { Address } from './harness.ts'
import { findProgram } from './program.ts'
import { echo, noise, open, some, talk, within } from './servers.ts'
import { Tap } from './tap.ts'
import type { Datagram } from './tap.ts'

const MARKER = 'pilotgate-marker-3f9c1d7a'
const HOST = 'secret-host.example'
const SECRETS = [MARKER, HOST].map((text) => Buffer.from(text))
const PAYLOAD_BYTES = 2_000_000
/** Tunnel frame magics that may appear: sealed, key exchange, hole punch. PILT would be a plaintext packet. */
const FRAMES = ['PILS', 'PILA', 'PILP']
const RELAY_HEADER_BYTES = 9
const RELAY_DELIVER_HEADER_BYTES = 5

let stage: Stage
before(async () => {
  stage = await Stage.open()
})
after(async () => stage.close())

test('the search through recorded datagrams finds a known marker', async () => {
  // The tap in front of a plain socket: a marker sent through it is found, so a search that finds none means something.
  const tap = await Tap.open(stage, { host: '127.0.0.1', port: 9 })
  const socket = createSocket('udp4')
  const { host, port } = address(tap.address)
  socket.send(Buffer.from(`..${MARKER}..`), port, host)
  await eventually('the datagram is recorded', () => tap.datagrams.length > 0 || undefined)
  socket.close()
  assert.deepEqual(found(tap.datagrams), [MARKER])
})

test('over a direct path no datagram holds the payload, the name of the host, or a plaintext frame', async () => {
  const taps = await tapped('direct')
  await exchange(taps, 'direct')
  const path = (await taps.a.peers())[0]?.path
  assert.equal(path?.kind, 'direct')
  const direct = [...taps.inFrontOfA.datagrams, ...taps.inFrontOfB.datagrams]
  assert.ok(taps.inFrontOfA.bytes + taps.inFrontOfB.bytes > 2 * PAYLOAD_BYTES, 'the traffic did not pass the taps')
  for (const { bytes } of direct)
    assert.ok(FRAMES.includes(magic(bytes)), `a datagram begins with ${bytes.subarray(0, 4).toString('hex')}`)
  assert.deepEqual(found([...direct, ...taps.beacon.datagrams]), [])
})

test('over the relay too, no datagram holds the payload or a plaintext frame', async () => {
  // The taps between the gateways drop everything: only the beacon is left, behind its own tap.
  const taps = await tapped('relay')
  taps.inFrontOfA.drops = taps.inFrontOfB.drops = () => true
  await exchange(taps, 'relay')
  for (const gateway of [taps.a, taps.b]) assert.equal((await gateway.peers())[0]?.path?.kind, 'relay')
  assert.ok(taps.beacon.bytes > 2 * PAYLOAD_BYTES, 'the traffic did not pass the beacon')
  for (const datagram of taps.beacon.datagrams) assertRelayed(datagram)
  assert.deepEqual(found(taps.beacon.datagrams), [])
})

test('when the direct path dies during a connection, it continues over the relay', async (t) => {
  // An echo before and after both direct taps start dropping everything, on the same connection.
  const taps = await tapped('falling')
  const socket = await open(stage, taps.a.local('agent-b:80'))
  socket.write('before')
  assert.equal((await some(socket)).toString(), 'before')
  taps.inFrontOfA.drops = taps.inFrontOfB.drops = () => true
  const began = performance.now()
  socket.write('after')
  assert.equal((await some(socket, 12_000)).toString(), 'after')
  await eventually('the path is the relay', async () => (await taps.a.peers())[0]?.path?.kind === 'relay' || undefined)
  t.diagnostic(`after ${((performance.now() - began) / 1_000).toFixed(1)} s`)
  socket.destroy()
})

test('tcpdump on the loopback interface sees no plaintext either', async (t) => {
  // All UDP on lo while a payload is carried between gateways without taps; the whole capture file is searched.
  const tcpdump = findProgram('tcpdump')
  if (tcpdump === undefined) return t.skip('tcpdump is not installed')
  if (process.getuid?.() !== 0) return t.skip('tcpdump needs root')
  const inner = await Stage.open()
  t.after(async () => inner.close())
  const service = await echo(inner)
  const { a, b } = await pair(inner, { map: ['0:agent-b:80'] }, { expose: [`80=${service.address}`] })
  const file = inner.path('capture.pcap')
  const capture = inner.spawn(tcpdump, [
    '-i',
    'lo',
    '-U',
    '-s',
    '0',
    '-B',
    '32768',
    '-Z',
    'root',
    '-w',
    file,
    'udp',
    'and',
    '(',
    'port',
    String(a.udp.port),
    'or',
    'port',
    String(b.udp.port),
    ')',
  ])
  await capture.log('tcpdump is listening', ({ msg }) => msg.includes('listening on'))
  const sent = payload()
  assert.ok((await talk(inner, a.local('agent-b:80'), sent, 30_000)).equals(sent))
  capture.signal('SIGINT')
  await capture.ended()
  const datagrams = datagramsOf(await readFile(file))
  const bytes = datagrams.reduce((sum, datagram) => sum + datagram.bytes.length, 0)
  assert.ok(bytes > PAYLOAD_BYTES, `only ${bytes} bytes were captured: ${capture.stderr}`)
  for (const { bytes } of datagrams)
    assert.ok(
      bytes[0]! < 0x10 || FRAMES.includes(magic(bytes)),
      `a datagram begins with ${bytes.subarray(0, 4).toString('hex')}`,
    )
  assert.deepEqual(found(datagrams), [])
})

interface Taps {
  readonly a: Gateway
  readonly b: Gateway
  readonly http: Address // as agent-a maps it
  readonly beacon: Tap
  readonly inFrontOfA: Tap
  readonly inFrontOfB: Tap
}

/** Two gateways that know each other and the beacon only by the taps' addresses. */
async function tapped(name: string): Promise<Taps> {
  const rendezvous = await Rendezvous.start(stage, stage.path(`rendezvous-${name}`))
  const [inFrontOfA, inFrontOfB] = [await Tap.open(stage), await Tap.open(stage)]
  const beacon = await Tap.open(stage, address(rendezvous.beacon))
  const common = { registry: rendezvous.registry, beacon: beacon.address }
  const [service, http] = [await echo(stage), await startHttp()]
  const b = await Gateway.start(stage, {
    ...common,
    name: 'agent-b',
    folder: `${name}-b`,
    trust: ['agent-a'],
    expose: [`80=${service.address}`, `81=${http}`],
    args: ['--endpoint', inFrontOfB.address],
  })
  inFrontOfB.connect(b.udp)
  const a = await Gateway.start(stage, {
    ...common,
    name: 'agent-a',
    folder: `${name}-a`,
    trust: ['agent-b'],
    map: ['0:agent-b:80', '0:agent-b:81'],
    args: ['--endpoint', inFrontOfA.address],
  })
  inFrontOfA.connect(a.udp)
  await Promise.all([a.trusts('agent-b'), b.trusts('agent-a')])
  return { a, b, http: a.local('agent-b:81'), beacon, inFrontOfA, inFrontOfB }
}

/** A payload full of markers there and back, and a request with markers in Host and one other header. */
async function exchange({ a, http }: Taps, name: string): Promise<void> {
  const sent = payload()
  const reply = await talk(stage, a.local('agent-b:80'), sent, 30_000)
  assert.ok(reply.equals(sent), `${name}: ${reply.length} of ${sent.length} bytes came back`)
  const body = await within(
    'an answer',
    new Promise<string>((resolve, reject) => {
      const call = request(
        { ...http, path: `/${MARKER}`, headers: { host: HOST, 'x-marker': MARKER }, agent: false },
        (response) => {
          let text = ''
          response
            .setEncoding('utf8')
            .on('data', (part: string) => {
              text += part
            })
            .on('end', () => resolve(text))
        },
      )
      call.on('error', reject)
      call.end()
    }),
  )
  assert.equal(body, `${HOST} ${MARKER}`)
}

/** Answers with what it received of the request. */
async function startHttp(): Promise<string> {
  const server = createServer((call, response) =>
    response.end(`${call.headers.host} ${String(call.headers['x-marker'])}`),
  )
  server.listen({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  stage.defer(async () => {
    server.closeAllConnections()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Noise with a marker in every kilobyte: any piece sent in the clear would contain a complete marker. */
function payload(): Buffer {
  const bytes = noise(PAYLOAD_BYTES)
  for (let at = 0; at + 1_000 <= bytes.length; at += 500) bytes.write(MARKER, at)
  return bytes
}

/** UDP payloads of a capture file of Ethernet frames with IPv4 (pcap-savefile(5)). */
function datagramsOf(file: Buffer): { readonly bytes: Buffer }[] {
  const datagrams: { readonly bytes: Buffer }[] = []
  for (let at = 24; at + 16 <= file.length;) {
    const length = file.readUInt32LE(at + 8)
    const packet = file.subarray(at + 16 + 14, at + 16 + length)
    datagrams.push({ bytes: packet.subarray((packet[0]! & 15) * 4 + 8) })
    at += 16 + length
  }
  return datagrams
}

function found(datagrams: readonly Pick<Datagram, 'bytes'>[]): string[] {
  return SECRETS.filter((secret) => datagrams.some(({ bytes }) => bytes.includes(secret))).map(String)
}

/** A message between a node and a beacon; the frame in a relayed one is sealed, a key exchange, or a punch. */
function assertRelayed({ bytes }: Datagram): void {
  const type = bytes[0]!
  assert.ok(type < 0x10, `${bytes.subarray(0, 4).toString('hex')} is not a message of a beacon`)
  const header = { 0x05: RELAY_HEADER_BYTES, 0x09: RELAY_HEADER_BYTES, 0x06: RELAY_DELIVER_HEADER_BYTES }[type]
  if (header !== undefined)
    assert.ok(
      FRAMES.includes(magic(bytes.subarray(header))),
      `a relayed frame begins with ${bytes.subarray(header, header + 4).toString('hex')}`,
    )
}

function magic(bytes: Buffer): string {
  return bytes.subarray(0, 4).toString('latin1')
}
