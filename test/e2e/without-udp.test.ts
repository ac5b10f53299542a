/**
 * Gateways that reach the rendezvous by TCP: on loopback, by choice (the laboratory of test/nat/ drops UDP for real).
 * What is shown, what passes, and what happens when the rendezvous restarts, or one of several is gone.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { DoctorRecord, StatusRecord } from '../../src/gateway/model/records.ts'
import { Gateway, Stage, eventually } from './harness.ts'
import type { Address } from './harness.ts'
import type { Program } from './program.ts'
import { echo, noise } from './servers.ts'

describe('gateways without UDP', { concurrency: false }, () => {
  let stage: Stage
  let rendezvous: Program
  let where: { registry: string; beacon: string; wss: string; fingerprint: string }
  let a: Gateway
  let b: Gateway

  const startRendezvous = async (listen: Partial<typeof where> = {}): Promise<void> => {
    const { registry = '127.0.0.1:0', beacon = '127.0.0.1:0', wss = '127.0.0.1:0' } = listen
    const args = ['--registry', registry, '--beacon', beacon, '--wss', wss, '--store', stage.path('rendezvous')]
    rendezvous = stage.start(['rendezvous', '--json', ...args], { label: 'rendezvous' })
    where = (await rendezvous.event('ready')) as unknown as typeof where
  }

  before(async () => {
    stage = await Stage.open()
    await startRendezvous()
    const { address: service } = await echo(stage)
    const gateway = (name: string, peer: string, ...args: string[]): Promise<Gateway> =>
      Gateway.start(stage, {
        name,
        registry: where.registry,
        beacon: `${where.beacon},wss://${where.wss}`,
        trust: [peer],
        map: [`0:${peer}:7000`],
        expose: [`7000=${service}`],
        args: ['--registry-fingerprint', where.fingerprint, ...args],
      })
    ;[a, b] = await Promise.all([gateway('agent-a', 'agent-b', '--transport', 'tcp'), gateway('agent-b', 'agent-a')])
    await Promise.all([a.trusts('agent-b'), b.trusts('agent-a')])
  })
  after(async () => stage?.close())

  test('bytes pass in both directions, and everything that is shown says how', async () => {
    for (const [from, peer] of [
      [a, 'agent-b'],
      [b, 'agent-a'],
    ] as const) {
      const bytes = noise(8 * 1_048_576)
      assert.equal(digest(await echoed(from.local(`${peer}:7000`), bytes)), digest(bytes))
    }
    const event = await a.program.event('path', (one) => one['transport'] === 'tcp')
    assert.equal(event['kind'], 'relay')
    assert.match(String(event['reason']), /^relay \(tcp\): only TCP is allowed/)
    const [peer] = await a.peers()
    assert.deepEqual([peer!.path?.kind, peer!.path?.transport], ['relay', 'tcp'])
    assert.match((await a.cli('list', 'peers')).stdout, /relay \(tcp\)/)
    const { beacon } = (await a.status()) as StatusRecord
    assert.deepEqual(
      [beacon?.transport, beacon?.address, beacon?.proxy, beacon?.observed],
      ['tcp', `wss://${where.wss}`, null, null],
    )
    assert.match((await a.cli('status')).stdout, /relay \(tcp\): only TCP is allowed; wss:\/\/127/)
    const doctor = await a.json<DoctorRecord>('doctor')
    assert.match(doctor.checks.find(({ name }) => name === 'udp')!.text, /relay \(tcp\): only TCP is allowed/)
    const other = (await b.peers()).find(({ hostname }) => hostname === 'agent-a')
    assert.deepEqual([other?.path?.kind, other?.path?.transport], ['relay', 'udp'])
  })

  test('after a restart of the rendezvous, connections that were open continue', async () => {
    const socket = connect(a.local('agent-b:7000'))
    let received = 0
    let ended = false
    socket.on('data', (part: Buffer) => (received += part.length))
    socket.on('error', () => {})
    socket.once('close', () => (ended = true))
    socket.write('before')
    await eventually('an echo', () => received === 6 || undefined)
    await rendezvous.kill()
    await startRendezvous(where)
    socket.write('after it')
    await eventually('another one', () => received === 14 || undefined, 20_000)
    assert.equal(ended, false)
    socket.destroy()
  })

  test('of several addresses, those that work are used, kept, and shown', async () => {
    const dead = '127.0.0.1:1'
    const gateway = await Gateway.start(stage, {
      name: 'agent-c',
      registry: `${dead},${where.registry}`,
      beacon: `${dead},${where.beacon}`,
      args: ['--registry-fingerprint', where.fingerprint],
    })
    const status = await eventually(
      'registered, and seen by the beacon',
      async () => {
        const now = await gateway.status()
        return now.registry?.state === 'registered' && now.beacon?.observed !== null ? now : undefined
      },
      15_000,
    )
    assert.deepEqual([status.registry?.address, status.beacon?.address], [where.registry, where.beacon])
    assert.equal(status.beacon?.transport, 'udp')
    assert.match((await gateway.cli('status')).stdout, new RegExp(`in use ${where.registry}`))
  })

  test('a node whose registry port is closed registers through the port for networks without UDP', async () => {
    const gateway = await Gateway.start(stage, {
      name: 'agent-d',
      registry: '127.0.0.1:1',
      beacon: `wss://${where.wss}`,
      trust: ['agent-b'],
      args: ['--registry-fingerprint', where.fingerprint],
    })
    const status = await eventually('registered', async () => {
      const now = await gateway.status()
      return now.registry?.state === 'registered' && now.beacon?.address !== null ? now : undefined
    })
    assert.equal(status.registry?.address, where.wss)
    assert.equal(status.beacon?.transport, 'tcp')
  })

  test('without a gateway, doctor finds the way and says why', async () => {
    const ask = async (...args: string[]): Promise<DoctorRecord> => {
      const common = ['doctor', '--json', '--listen', '127.0.0.1:0', '--admin', stage.path('none.sock')]
      const ran = await stage.pilotgate([...common, '--registry', where.registry, ...args], { timeoutMs: 60_000 })
      return (JSON.parse(ran.stdout) as { data: DoctorRecord }).data
    }
    const well = await ask('--beacon', `127.0.0.1:1,wss://${where.wss}`, '--registry-fingerprint', where.fingerprint)
    assert.match(well.checks.find(({ name }) => name === 'udp')!.text, /does not answer over UDP; .* wss:\/\/127/)
    const untrusted = await ask('--beacon', `127.0.0.1:1,wss://${where.wss}`)
    assert.match(untrusted.checks.find(({ name }) => name === 'udp')!.text, /self-signed certificate/)
  })
})

async function echoed(to: Address, bytes: Buffer): Promise<Buffer> {
  const socket = connect(to)
  const parts: Buffer[] = []
  let length = 0
  return await new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.once('close', () => reject(new Error(`closed after ${length} bytes`)))
    socket.on('data', (part: Buffer) => {
      parts.push(part)
      length += part.length
      if (length < bytes.length) return
      resolve(Buffer.concat(parts))
      socket.destroy()
    })
    socket.write(bytes)
  })
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
