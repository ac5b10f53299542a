/**
 * Machine faults under real processes: a full disk for the registry, a stalled log reader, few file descriptors.
 * Expected: the process keeps running, acknowledges nothing it did not do, and works again afterwards.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { createIdentity } from '../../src/crypto/identity.ts'
import { askRegistry } from '../interop/ask-registry.ts'
import { eventually, pair, Stage } from './harness.ts'
import { echo, talk } from './servers.ts'

let stage: Stage
before(async () => {
  stage = await Stage.open()
})
after(async () => stage.close())

test('the registry survives a full disk: it stays up, reports the failure, and acknowledges nothing more', async (t) => {
  const folder = stage.path('full')
  mkdirSync(folder)
  if (
    process.platform !== 'linux' ||
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'none', folder]).status !== 0
  )
    return t.skip('a small file system cannot be mounted here')
  try {
    const program = stage.start(
      [
        'rendezvous',
        '--json',
        '--registry',
        '127.0.0.1:0',
        '--beacon',
        '127.0.0.1:0',
        '--http',
        '127.0.0.1:0',
        '--store',
        `${folder}/store`,
      ],
      { label: 'rendezvous on a small disk' },
    )
    const { registry, http } = (await program.event('ready')) as unknown as { registry: string; http: string }
    const register = async (number: number): Promise<unknown> => {
      const key = createIdentity(new Uint8Array(32).fill(number & 0xff).fill(number >> 8, 30, 31)).publicKeyBase64
      const owner = `${'x'.repeat(300)}@example`
      return (
        await askRegistry(registry, { type: 'register', public_key: key, owner }).catch(() => ({ type: 'closed' }))
      )['type']
    }
    let acknowledged = 0
    while (acknowledged < 3_000 && (await register(acknowledged)) === 'register_ok') acknowledged += 1
    assert.ok(acknowledged > 10 && acknowledged < 3_000, `${acknowledged} fitted`)
    for (let index = 0; index < 30; index++) assert.notEqual(await register(10_000 + index), 'register_ok')
    assert.equal((await fetch(`http://${http}/readyz`)).status, 503)
    assert.equal((await fetch(`http://${http}/livez`)).status, 200)
    assert.equal(program.exit, undefined, 'the process keeps running')
    await program.kill()
  } finally {
    spawnSync('umount', ['-l', folder])
  }
})

test('with few descriptors, clients beyond the limit are reset, and the gateway survives and serves again afterwards', async () => {
  const service = await echo(stage)
  const both = await pair(
    stage,
    { map: ['agent-b:7000'], openFiles: 140 },
    { expose: [`7000=${service.address}`], openFiles: 140 },
  )
  const local = both.a.local('agent-b:7000')
  const clients: Socket[] = []
  let [served, refused] = [0, 0]
  await Promise.all(
    Array.from({ length: 300 }, async () => {
      const socket = connect(local)
      clients.push(socket)
      await new Promise<void>((resolve) => {
        socket.once('data', () => resolve(void (served += 1)))
        socket.once('error', () => resolve(void (refused += 1))).once('end', () => resolve(void (refused += 1)))
        socket.once('connect', () => socket.write('x'))
        setTimeout(resolve, 8_000).unref()
      })
    }),
  )
  assert.ok(served >= 20 && served + refused === 300, `${served} served, ${refused} refused`)
  for (const gateway of [both.a, both.b]) assert.ok(await gateway.status(), 'the admin socket answers meanwhile')
  for (const socket of clients) socket.destroy()
  await eventually('a new client is served', async () => {
    const reply = await talk(stage, local, Buffer.from('again'), 2_000).catch(() => undefined)
    return reply?.toString() === 'again' || undefined
  })
})

test('a stalled log reader blocks nothing; dropped lines are counted once it reads again', async (t) => {
  const stage = await Stage.open()
  t.after(() => stage.close())
  const service = await echo(stage)
  const both = await pair(stage, { map: ['agent-b:7001'], args: ['-v'] }, { expose: [`7001=${service.address}`] })
  const local = both.a.local('agent-b:7001')
  const resume = both.a.program.stallLog()
  for (let index = 0; index < 3_000; index++) {
    const reply = await talk(stage, local, Buffer.from(`request ${index}`), 5_000)
    assert.equal(reply.toString(), `request ${index}`)
  }
  assert.ok(await both.a.status(), 'the admin socket answers')
  const logged = both.a.mark()
  resume()
  await talk(stage, local, Buffer.from('after'), 5_000)
  await both.a.program.log(
    'the count of dropped lines, or every line',
    (line) => line['dropped'] !== undefined || /closed/.test(line.msg),
    { from: logged },
  )
})
