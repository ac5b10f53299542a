/**
 * Nodes without UDP (today.md U10): a daemon of today in its compatibility mode at our rendezvous, and our gateway that
 * uses TCP only, each with the other and with those that have UDP.
 */
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Gateway, Stage, eventually } from '../e2e/harness.ts'
import type { Address } from '../e2e/harness.ts'
import type { Program } from '../e2e/program.ts'
import { echo, noise } from '../e2e/servers.ts'
import { askRegistry } from './ask-registry.ts'
import { packetsOut, refusingProxy } from './containment.ts'
import type { RefusingProxy } from './containment.ts'
import { GoNode, noToday } from './go.ts'

const BYTES = 4 * 1_048_576

describe('daemons of today and gateways of ours without UDP', { skip: noToday, concurrency: false }, () => {
  let stage: Stage
  let rendezvous: Program
  let where: { registry: string; beacon: string; wss: string; fingerprint: string }
  let proxy: RefusingProxy
  let sentBefore = 0
  let compat: GoNode
  let plain: GoNode
  let ours: Gateway
  let withUdp: Gateway

  const startRendezvous = async (listen: Partial<typeof where> = {}): Promise<void> => {
    const { registry = '127.0.0.1:0', beacon = '127.0.0.1:0', wss = '127.0.0.1:0' } = listen
    const args = ['--registry', registry, '--beacon', beacon, '--wss', wss, '--store', stage.path('rendezvous')]
    rendezvous = stage.start(['rendezvous', '--json', '-v', ...args], { label: 'rendezvous' })
    where = (await rendezvous.event('ready')) as unknown as typeof where
  }

  before(async () => {
    stage = await Stage.open()
    proxy = await refusingProxy(stage)
    sentBefore = packetsOut()
    await startRendezvous()
    // Our certificate is for 127.0.0.1 too, so that a daemon with it as its root needs no pin
    const env = { SSL_CERT_FILE: join(stage.path('rendezvous'), 'registry.pem') }
    const url = `wss://${where.wss}/v1/compat`
    const args = ['-transport', 'compat', '-compat-beacon', url, '-tls-trust', 'system', '-registry-trust', 'system']
    compat = await GoNode.start(stage, {
      name: 'go-compat',
      rendezvous: { registry: where.wss, beacon: where.beacon },
      public: true,
      today: proxy,
      args,
      env,
    })
    plain = await GoNode.start(stage, { name: 'go-plain', rendezvous: where, public: true, today: proxy })
    const { address: service } = await echo(stage)
    const gateway = (name: string, ...more: string[]): Promise<Gateway> =>
      Gateway.start(stage, {
        name,
        registry: where.registry,
        beacon: `${where.beacon},wss://${where.wss}`,
        trust: ['go-compat', 'go-plain'],
        map: ['0:go-compat:7', '0:go-plain:7'],
        expose: [`8080=${service}`],
        args: ['--registry-fingerprint', where.fingerprint, ...more],
      })
    ;[ours, withUdp] = await Promise.all([gateway('ours-tcp', '--transport', 'tcp'), gateway('ours-udp')])
    for (const go of [compat, plain]) {
      for (const one of [ours, withUdp]) {
        await go.ctl('handshake', String(one.ready.node.nodeId), 'hello')
        await one.trusts(go.name)
      }
    }
  })
  after(async () => stage?.close())

  test('the daemon registers as reachable by relay only, and no one learns an address of it', async () => {
    const shown = await askRegistry(where.registry, { type: 'lookup', node_id: compat.nodeId })
    assert.deepEqual([shown['relay_only'], shown['real_addr']], [true, undefined])
  })

  for (const [ourName, theirName] of [
    ['ours-udp', 'go-compat'],
    ['ours-tcp', 'go-plain'],
    ['ours-tcp', 'go-compat'],
  ] as const) {
    const pick = (): [Gateway, GoNode] => [
      ourName === 'ours-tcp' ? ours : withUdp,
      theirName === 'go-compat' ? compat : plain,
    ]
    test(`${ourName} → ${theirName}: 4 MiB there and back, by relay`, async () => {
      const [gateway, go] = pick()
      const bytes = noise(BYTES)
      assert.equal(digest(await echoed(gateway.local(`${theirName}:7`), bytes)), digest(bytes))
      const peer = (await gateway.peers()).find(({ nodeId }) => nodeId === go.nodeId)
      assert.deepEqual([peer?.path?.kind, peer?.path?.transport], ['relay', ourName === 'ours-tcp' ? 'tcp' : 'udp'])
    })

    test(`${theirName} → ${ourName}: 4 MiB there and back`, async () => {
      const [gateway, go] = pick()
      const mapping = await go.gateway(gateway.ready.node.address, '127.88.0.1', 8_080)
      const bytes = noise(BYTES, 2)
      assert.equal(digest(await echoed(mapping, bytes)), digest(bytes))
      await mapping.stop()
    })
  }

  test('two daemons, one of them without UDP, reach each other through our rendezvous', async () => {
    await plain.ctl('handshake', String(compat.nodeId), 'hello')
    const { results } = await eventually(
      'an echo',
      async () => (await plain.ctl('ping', String(compat.nodeId), '--count', '2').catch(() => undefined)) as never,
      40_000,
    )
    assert.equal((results as unknown[]).length, 2)
  })

  test('both come back after a restart of the rendezvous', async () => {
    await rendezvous.kill()
    await startRendezvous(where)
    await eventually(
      'a connection between them',
      async () => {
        const got = await echoed(ours.local('go-compat:7'), noise(1_000), 2_000).catch(() => undefined)
        return got === undefined ? undefined : true
      },
      60_000,
    )
  })

  test('nothing was sent to any other machine', () => {
    assert.equal(packetsOut() - sentBefore, 0)
    assert.deepEqual(
      [...new Set(proxy.asked)].filter((asked) => !asked.startsWith('raw.githubusercontent.com')),
      [],
    )
  })
})

async function echoed(to: Address, bytes: Buffer, timeoutMs = 60_000): Promise<Buffer> {
  const socket = connect(to)
  const parts: Buffer[] = []
  let length = 0
  return await new Promise((resolve, reject) => {
    const end = (error: Error | undefined): void => {
      clearTimeout(timer)
      socket.destroy()
      if (error === undefined) resolve(Buffer.concat(parts))
      else reject(error)
    }
    const timer = setTimeout(() => end(new Error(`${length} bytes after ${timeoutMs} ms`)), timeoutMs)
    socket.on('error', end)
    socket.once('close', () => end(new Error(`closed after ${length} bytes`)))
    socket.on('data', (part: Buffer) => {
      parts.push(part)
      length += part.length
      if (length >= bytes.length) end(undefined)
    })
    socket.write(bytes)
  })
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
