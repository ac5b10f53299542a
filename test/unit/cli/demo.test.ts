/**
 * The demo with gateways that only forward TCP on loopback: what it verifies, and that its check fails if a byte is
 * wrong, a service hangs or trust never comes. The codec of its gRPC sample is compared with protobufjs.
 */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { Transform } from 'node:stream'
import { loadSync } from '@grpc/proto-loader'
import type { GatewayOptions } from '../../../src/gateway/model/options.ts'
import { decodeNumber, decodeText, encodeNumber, encodeText } from '../../../src/cli/demo/protobuf.ts'
import type { Modules, ServedGateway } from '../../../src/cli/world.ts'
import { NO_CHANGES, STATUS, fakeControl } from '../admin/control.ts'
import { run, testWorld } from './world.ts'

const NOBODY = { address: '', hostname: null, nameVerified: false, publicKey: null, fingerprint: null, since: null }

test('demo --check verifies HTTP and all four kinds of gRPC call, and leaves nothing behind', async () => {
  const { world, folders } = demoWorld((bytes) => bytes)
  const { code, out } = await run('demo --check --no-color', world)
  assert.equal(code, 0, out)
  assert.match(out, /curl http:\/\/127\.0\.0\.1:\d+\/\n/)
  assert.deepEqual(
    [...out.matchAll(/^ok {6}([^:]+):/gm)].map((match) => match[1]),
    [
      'HTTP status and body',
      'HTTP download',
      'HTTP upload',
      'gRPC unary',
      'gRPC server streaming',
      'gRPC client streaming',
      'gRPC bidirectional streaming',
    ],
  )
  assert.match(out, /all 7 checks passed\n$/)
  for (const folder of folders) assert.ok(!existsSync(folder), folder)
})

test('one wrong byte in transit fails the check with exit code 1', async () => {
  let seen = 0
  const { world } = demoWorld((bytes) => {
    const copy = Buffer.from(bytes)
    if (seen < 500_000 && seen + copy.length >= 500_000) copy[500_000 - seen - 1]! ^= 1
    seen += copy.length
    return copy
  })
  const { code, out } = await run('demo --check --json', world)
  const error = JSON.parse(out.trim().split('\n').at(-1)!) as { code: string; message: string }
  assert.deepEqual([code, error.code], [1, 'FAILED'])
  assert.match(error.message, /^1 of 7 checks failed: HTTP download$/)
})

test('the demo without --check runs until it is asked to stop', async () => {
  const { world } = demoWorld((bytes) => bytes)
  const running = run('demo --json', world)
  while (!world.stdout.join('').includes('"event":"ready"'))
    await new Promise((resolve) => {
      setTimeout(resolve, 10)
    })
  world.signal('SIGINT')
  assert.equal((await running).code, 0)
})

test("the sample's codec agrees with protobufjs on config/demo.proto", () => {
  const definition = loadSync('config/demo.proto', { defaults: true }) as unknown as Record<
    string,
    Record<string, { requestSerialize(value: object): Buffer; requestDeserialize(bytes: Buffer): object }>
  >
  const { Greet: text, Count: number } = definition['pilotgate.demo.Demo']!
  for (const value of ['', 'a', 'Grüße', 'x'.repeat(300)]) {
    if (value !== '') assert.deepEqual(encodeText({ text: value }), text!.requestSerialize({ text: value })) // protobufjs writes defaults out, which the format allows
    assert.deepEqual(text!.requestDeserialize(encodeText({ text: value })), { text: value })
    assert.deepEqual(decodeText(text!.requestSerialize({ text: value })), { text: value })
  }
  for (const value of [0, 1, 127, 128, 16_384, 0xffff_ffff]) {
    if (value !== 0) assert.deepEqual(encodeNumber({ value }), number!.requestSerialize({ value }))
    assert.deepEqual(decodeNumber(number!.requestSerialize({ value })), { value })
    assert.deepEqual(decodeNumber(encodeNumber({ value })), { value })
  }
  assert.deepEqual(
    decodeNumber(Buffer.from([0x12, 1, 65, 0x1d, 1, 2, 3, 4, 0x08, 7])),
    { value: 7 },
    'unknown fields are skipped',
  )
  for (const bad of [[0x0a, 5, 65], [0x08], [0x0b], [0x08, 0xff], [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]])
    assert.throws(() => decodeText(Buffer.from(bad)), RangeError)
})

function demoWorld(tamper: (bytes: Buffer) => Buffer) {
  const targets = new Map<number, number>() // overlay port → port of the sample
  const folders: string[] = []
  const modules: Partial<Modules> = {
    log: async () => ({ createLogger: () => ({ debug() {}, info() {}, warn() {}, error() {} }) }),
    rendezvous: async () => ({
      startRendezvous: async () => ({
        registry: '127.0.0.1:1',
        beacon: '127.0.0.1:2',
        reloadCertificate: async () => ({ fingerprint: '', changed: false }),
        stop: async () => {},
      }),
    }),
    admin: () => import('../../../src/admin/server.ts'),
    gateway: async () => ({ startGateway: (options) => forwarder(options, targets, folders, tamper) }),
  }
  const world = testWorld({ modules })
  return {
    world: {
      ...world,
      sleep: (ms: number) =>
        new Promise<void>((resolve) => {
          setTimeout(resolve, ms)
        }),
    },
    folders,
  }
}

async function forwarder(
  options: GatewayOptions,
  targets: Map<number, number>,
  folders: string[],
  tamper: (bytes: Buffer) => Buffer,
): Promise<ServedGateway> {
  folders.push(options.stateDir)
  for (const { port, target } of options.exposes) if (target.kind === 'tcp') targets.set(port, target.port)
  const open = new Set<Socket>()
  const listeners = await Promise.all(
    options.maps.map((map) =>
      listen((client) => {
        const upstream = connect(targets.get(map.port)!, '127.0.0.1')
        for (const socket of [client, upstream]) open.add(socket.on('error', () => {}))
        client.pipe(upstream)
        upstream.pipe(new Transform({ transform: (bytes: Buffer, _, done) => done(null, tamper(bytes)) })).pipe(client)
      }),
    ),
  )
  const nodeId = options.hostname === 'agent-a' ? 1 : 2
  const mappings = options.maps.map((map, index) => ({
    name: map.name,
    local: `127.0.0.1:${(listeners[index]!.address() as AddressInfo).port}`,
    peer: map.peer,
    remote: `${map.peer}:${map.port}`,
    protocol: 'tcp' as const,
  }))
  return {
    ...fakeControl([]),
    desired: { maps: [], exposes: [], trust: [] },
    changes: () => NO_CHANGES,
    apply: async () => NO_CHANGES,
    mappings: () => mappings,
    status: () => ({ ...STATUS, node: { ...STATUS.node, nodeId } }),
    trusted: () => Promise.resolve([{ ...NOBODY, nodeId: 3 - nodeId }]),
    ready: () => ({
      event: 'ready',
      node: STATUS.node,
      udp: '',
      admin: options.adminSocket,
      http: null,
      mappings,
      exposures: [],
      elapsedMs: 1,
    }),
    fault: () => {},
    dial: () => Promise.reject(new Error('no overlay here')),
    stop: async () => {
      for (const listener of listeners) listener.close()
      for (const socket of open) socket.destroy()
    },
  }
}

function listen(onClient: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer(onClient).listen(0, '127.0.0.1', () => resolve(server))
  })
}
