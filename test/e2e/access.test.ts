/** Access to an exposure between real gateways: keys, tags, limits, an expiry, a single connection. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import { systemRandom } from '../../src/runtime/clock.ts'
import { loadIdentity } from '../../src/runtime/files/identity.ts'
import { eventually, pair, Stage } from './harness.ts'
import type { Address, Pair } from './harness.ts'

const NAMES = ['key', 'stranger', 'tag', 'two', 'slow', 'once', 'short', 'near', 'far'] as const
const PORTS = Object.fromEntries(NAMES.map((name, index) => [name, 9_001 + index])) as Record<
  (typeof NAMES)[number],
  number
>

let stage: Stage
let both: Pair
before(async () => {
  stage = await Stage.open()
  // Says "hello", then echoes.
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.write('hello')
    socket.pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  stage.defer(async () => {
    server.close()
  })
  const target = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const { publicKeyBase64: publicKey } = await loadIdentity(stage.path('identity.json'), systemRandom) // creates it
  const expose = {
    key: `allow=key:${publicKey}`,
    stranger: `allow=key:${'A'.repeat(43)}=`,
    tag: 'allow=tag:ci,allow=net:9',
    two: 'max-per-peer=2',
    slow: 'bytes-per-peer=100000',
    once: 'once',
    short: 'for=8s',
    near: 'path=any',
    far: 'path=any',
  }
  const clients: Partial<Record<(typeof NAMES)[number], string>> = {
    near: ',client=10.0.0.0/8,client=127.0.0.0/8',
    far: ',client=10.0.0.0/8',
  }
  both = await pair(
    stage,
    {
      map: NAMES.map((name) => `0:agent-b:${PORTS[name]}${clients[name] ?? ''}`),
      args: ['--identity', stage.path('identity.json')],
    },
    { expose: NAMES.map((name) => `${PORTS[name]}=${target},${expose[name]}`) },
  )
})
after(async () => stage.close())

test('a key admits its owner, and no one else', async () => {
  assert.equal(await greeting('key'), 'hello')
  assert.equal(await greeting('stranger'), undefined)
  assert.equal(await greeting('tag'), undefined) // the registry knows no such tag and no such network
})

test('a mapping accepts the clients it names and resets others', async () => {
  assert.equal(await greeting('near'), 'hello')
  assert.equal(await greeting('far'), undefined)
  assert.equal(await both.a.counter('connections_denied'), 1)
})

test('the third connection of a peer is refused while two are open', async () => {
  const [one, two] = [await open('two'), await open('two')]
  assert.equal(await greeting('two'), undefined)
  one.destroy()
  await eventually('there is room again', async () => (await greeting('two')) === 'hello' || undefined)
  two.destroy()
  assert.ok((await both.b.counter('connections_limited')) >= 1)
})

test('bytes arrive no faster than the limit allows, and none are lost', async () => {
  // 300,000 bytes there and back at 100,000 per second, with a burst of one second's worth: five seconds.
  const socket = await open('slow')
  const started = performance.now()
  let heard = 0
  const done = new Promise<void>((resolve, reject) => {
    socket
      .on('data', (bytes) => {
        heard += bytes.length
      })
      .once('end', resolve)
      .once('error', reject)
  })
  socket.end(Buffer.alloc(300_000, 1))
  await done
  assert.equal(heard, 300_000)
  const seconds = (performance.now() - started) / 1_000
  assert.ok(seconds > 3.5 && seconds < 9, `${seconds} s`)
})

test('an exposure for one connection accepts one, keeps it open, and is then removed', async () => {
  const socket = await open('once')
  const event = await both.b.program.event('unexposed', (gone) => gone['name'] === String(PORTS.once))
  assert.equal(event['reason'], 'once')
  assert.equal(await greeting('once'), undefined)
  const echo = new Promise<string>((resolve) => {
    socket.once('data', (bytes) => resolve(bytes.toString()))
  })
  socket.write('still here')
  assert.equal(await echo, 'still here')
  socket.destroy()
  assert.ok(!(await both.b.status()).exposures.some(({ name }) => name === String(PORTS.once)))
})

test('an exposure with an expiry is removed when it expires, along with its connections', async () => {
  const gone = await both.b.program.event('unexposed', ({ name }) => name === String(PORTS.short))
  assert.equal(gone['reason'], 'for')
  assert.equal(await greeting('short'), undefined)
  assert.ok(!(await both.b.status()).exposures.some(({ name }) => name === String(PORTS.short)))
})

/** A connection that has received its greeting. */
async function open(name: keyof typeof PORTS): Promise<Socket> {
  const { host, port }: Address = both.a.local(`agent-b:${PORTS[name]}`)
  const socket = connect({ host, port, allowHalfOpen: true })
  await new Promise<void>((resolve, reject) => {
    socket
      .once('data', () => resolve())
      .once('error', reject)
      .once('end', () => reject(new Error('ended')))
  })
  return socket
}

async function greeting(name: keyof typeof PORTS): Promise<'hello' | undefined> {
  try {
    const socket = await open(name)
    socket.destroy()
    return 'hello'
  } catch {
    return undefined
  }
}
