/**
 * A pilotgate and Go daemons on one overlay: those of April with our rendezvous and with theirs, those of today with
 * ours (their wheel has none). Everything here is real: processes, sockets, clocks. Skipped, with the reason, where the
 * programs are missing (go.ts).
 */
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { BenchRecord } from '../../src/gateway/model/records.ts'
import { echo, lateAnswer, noise } from '../e2e/servers.ts'
import { eventually, format, Gateway, pause, Stage } from '../e2e/harness.ts'
import type { Address } from '../e2e/harness.ts'
import { packetsOut, refusingProxy } from './containment.ts'
import type { RefusingProxy } from './containment.ts'
import { GoNode, RENDEZVOUS, noGo, noToday, startRendezvous } from './go.ts'
import type { AnyRendezvous } from './go.ts'

const IDLE_MS = 300_000
const LONG_IDLE_MS = 1_800_000
const notLong = process.env['PILOTGATE_LONG'] === undefined && 'half an hour: node scripts/test.mjs interop-long'
const LARGE = 67_108_864
const WORLDS = [
  ...RENDEZVOUS.map((kind) => ({ release: 'april', kind, skip: noGo }) as const),
  { release: 'today', kind: 'pilotgate', skip: noToday } as const,
]

for (const [index, { release, kind, skip }] of WORLDS.entries()) {
  describe(`a daemon of ${release} with the ${kind} rendezvous`, { skip, concurrency: false }, () => {
    let stage: Stage
    let rendezvous: AnyRendezvous
    let ours: Gateway
    let go: GoNode
    let goGateway: Address
    let proxy: RefusingProxy | undefined
    let outBefore = 0
    const localIp = `127.88.${index}.1`

    before(async () => {
      stage = await Stage.open()
      if (release === 'today') [proxy, outBefore] = [await refusingProxy(stage), packetsOut()]
      rendezvous = await startRendezvous(stage, kind)
      go = await GoNode.start(stage, { name: 'go-a', rendezvous, public: true, today: proxy })
      const [echoing, answering] = [await echo(stage), await lateAnswer(stage)]
      ours = await Gateway.start(stage, {
        name: 'ours',
        ...rendezvous,
        trust: ['go-a'],
        map: ['0:go-a:7'],
        args: ['--serve', 'messages'],
        expose: [`8080=${echoing.address}`, `8443=${answering.address}`],
      })
    })
    after(async () => stage.close())

    test('a Go daemon requests trust that we had requested too: both trust within seconds', async () => {
      await go.ctl('handshake', String(ours.ready.node.nodeId), 'hello')
      await ours.trusts('go-a')
      await eventually('the Go daemon trusts us', async () => {
        const { trusted } = (await go.ctl('trust')) as { trusted: Array<{ node_id: number }> }
        return trusted.some(({ node_id: id }) => id === ours.ready.node.nodeId) || undefined
      })
    })

    test('a stream is opened each way', async () => {
      goGateway = await go.gateway(ours.ready.node.address, localIp, 8_080)
      for (const address of [ours.local('go-a:7'), goGateway]) await transferOnce(address, 100)
    })

    test('the path is direct, and neither side uses the relay', async () => {
      const peer = await eventually('a path', async () => (await ours.peers()).find(({ path }) => path !== null))
      assert.match(peer.path!.kind, /^(direct|lan)$/)
    })

    test('bench measures the echo of a Go daemon', async (t) => {
      const { throughput, roundTrip, setUp } = await ours.json<BenchRecord>(
        'bench',
        'go-a',
        '--bytes',
        '2M',
        '--for',
        '20s',
      )
      t.diagnostic(JSON.stringify({ setUp, roundTrip, throughput }))
      assert.deepEqual([throughput.bytes, throughput.complete], [2_000_000, true])
    })

    test(`${LARGE} bytes there and back through a Go node's service`, async (t) => {
      await transfer(t, ours.local('go-a:7'), LARGE)
    })

    test(`${LARGE} bytes there and back from a Go gateway through our exposed service`, async (t) => {
      await transfer(t, goGateway, LARGE)
    })

    for (const [who, where] of [
      ['we dial', () => ours.local('go-a:7')],
      ['a Go gateway dials', () => goGateway],
    ] as const) {
      test(`200 connections one after another, none is lost (${who})`, async (t) => {
        const began = performance.now()
        for (let i = 0; i < 200; i++) {
          const socket = await open(where())
          await exchange(socket, noise(1_000))
          socket.destroy()
        }
        t.diagnostic(`${Math.round(performance.now() - began)} ms`)
      })

      test(`50 connections at once, none is lost (${who})`, async (t) => {
        const began = performance.now()
        const sockets = await Promise.all(Array.from({ length: 50 }, async () => open(where())))
        await Promise.all(sockets.map(async (socket) => exchange(socket, noise(10_000))))
        for (const socket of sockets) socket.destroy()
        t.diagnostic(`${Math.round(performance.now() - began)} ms`)
      })
    }

    test('a client that half-closes before the answer gets its answer from a Go node', async () => {
      const socket = await open(ours.local('go-a:7'))
      const bytes = noise(200_000)
      socket.end(bytes)
      assert.equal(digest(Buffer.concat(await within(socket, readBytes(socket, bytes.length)))), digest(bytes))
      socket.destroy()
    })

    test('pilotctl ping, find, peers and send-message work against us', async () => {
      const found = await go.ctl('find', 'ours').catch(() => undefined) // private names are not for Go daemons (registry.md §3.6)
      assert.equal(found, undefined)
      const { results } = (await go.ctl('ping', ours.ready.node.address, '--count', '3')) as {
        results: Array<{ error?: string; rtt_ms?: number }>
      }
      assert.deepEqual(
        results.map(({ error }) => error),
        [undefined, undefined, undefined],
      )
      const { peers } = (await go.ctl('peers')) as {
        peers: Array<{ node_id: number; encrypted: boolean; authenticated: boolean }>
      }
      assert.deepEqual(
        peers
          .filter(({ node_id: id }) => id === ours.ready.node.nodeId)
          .map((peer) => [peer.encrypted, peer.authenticated]),
        [[true, true]],
      )
      await go.ctl('send-message', ours.ready.node.address, '--data', 'Grüße', '--type', 'text')
      const message = await ours.program.event('message')
      assert.deepEqual([message['type'], message['bytes'], message['nodeId']], ['text', 7, go.nodeId])
    })

    test('an untrusted Go daemon finds our public node by name and pings it', async () => {
      const open = await Gateway.start(stage, { name: 'open-ours', ...rendezvous, args: ['--public'] })
      const found = (await go.ctl('find', 'open-ours')) as { node_id: number; public: boolean }
      assert.deepEqual([found.node_id, found.public], [open.ready.node.nodeId, true])
      const { results } = (await go.ctl('ping', 'open-ours', '--count', '2')) as { results: Array<{ error?: string }> }
      assert.deepEqual(
        results.map(({ error }) => error),
        [undefined, undefined],
      )
    })

    test('the Go daemon restarts in the middle: its streams end, and new ones work', async () => {
      const socket = await open(ours.local('go-a:7'))
      await exchange(socket, noise(1_000))
      const ended = new Promise((resolve) => socket.once('error', resolve).once('close', resolve))
      await go.restart()
      socket.write('is anybody there?')
      await within(socket, ended)
      await eventually(
        'a new stream works',
        async () =>
          attempt(async () => {
            const again = await open(ours.local('go-a:7'))
            await exchange(again, noise(1_000), 3_000)
            again.destroy()
          }),
        30_000,
      )
      goGateway = await go.gateway(ours.ready.node.address, `127.88.${index}.2`, 8_080)
      await eventually(
        'the Go daemon reaches us',
        async () => attempt(async () => transferOnce(goGateway, 100_000)),
        45_000,
      )
    })

    test('we restart in the middle: new streams work both ways without restarting the Go daemon', async () => {
      const socket = await open(ours.local('go-a:7'))
      await exchange(socket, noise(1_000))
      socket.on('error', () => {})
      await ours.restart()
      await eventually(
        'we reach the Go daemon',
        async () => attempt(async () => transferOnce(ours.local('go-a:7'), 100_000)),
        30_000,
      )
      await eventually(
        'the Go daemon reaches us',
        async () => attempt(async () => transferOnce(goGateway, 100_000)),
        45_000,
      )
    })

    test('trust we revoke ends on the Go side too, along with its clients', async () => {
      const socket = await open(goGateway)
      await exchange(socket, noise(1_000))
      const ended = new Promise((resolve) => socket.once('error', resolve).once('close', resolve).once('end', resolve))
      assert.equal((await ours.cli('trust', 'revoke', 'go-a')).code, 0)
      await within(socket, ended)
      await eventually('the Go daemon has heard of it', async () => {
        const { trusted } = (await go.ctl('trust')) as { trusted: Array<{ node_id: number }> }
        return trusted.every(({ node_id: id }) => id !== ours.ready.node.nodeId) || undefined
      })
      await assert.rejects(transferOnce(goGateway, 1_000))
    })

    test('the programs of today sent nothing to any other machine', { skip: release === 'april' }, () => {
      assert.equal(packetsOut() - outBefore, 0)
      // what they would have fetched through a proxy: a new name here is a new default to switch off
      assert.deepEqual([...new Set(proxy!.asked)], ['raw.githubusercontent.com:443'])
    })
  })
}

describe('an idle stream', { concurrency: true }, () => {
  for (const [index, { release, kind, skip }] of WORLDS.entries()) {
    const [idleMs, why] = release === 'april' ? [IDLE_MS, skip] : [LONG_IDLE_MS, skip || notLong]
    const name = `stays up for ${idleMs / 60_000} minutes, whichever side opened it: ${release}, ${kind} rendezvous`
    test(name, { skip: why }, async () => {
      const stage = await Stage.open()
      try {
        const rendezvous = await startRendezvous(stage, kind)
        const proxy = release === 'today' ? await refusingProxy(stage) : undefined
        const go = await GoNode.start(stage, { name: 'go-b', rendezvous, public: true, today: proxy })
        const service = await echo(stage)
        const ours = await Gateway.start(stage, {
          name: 'ours',
          ...rendezvous,
          trust: ['go-b'],
          map: ['0:go-b:7'],
          expose: [`8080=${service.address}`],
        })
        await go.ctl('handshake', String(ours.ready.node.nodeId), 'hello')
        await ours.trusts('go-b')
        const goGateway = await go.gateway(ours.ready.node.address, `127.88.9.${index + 1}`, 8_080)
        const sockets = [await open(ours.local('go-b:7')), await open(goGateway)]
        for (const socket of sockets) await exchange(socket, noise(100))
        await pause(idleMs)
        for (const socket of sockets) await exchange(socket, noise(100))
      } finally {
        await stage.close()
      }
    })
  }
})

async function open(address: Address): Promise<Socket> {
  const socket = connect({ ...address, allowHalfOpen: true })
  await once(socket, 'connect')
  return socket
}

/** Sends bytes to an echo and compares what comes back. */
async function exchange(socket: Socket, bytes: Buffer, timeoutMs = 30_000): Promise<void> {
  const answer = readBytes(socket, bytes.length)
  socket.write(bytes)
  assert.equal(digest(Buffer.concat(await within(socket, answer, timeoutMs))), digest(bytes))
}

async function transferOnce(address: Address, bytes: number): Promise<void> {
  const socket = await open(address)
  try {
    await exchange(socket, noise(bytes), 5_000)
  } finally {
    socket.destroy()
  }
}

async function transfer(t: { diagnostic(text: string): void }, address: Address, bytes: number): Promise<void> {
  const began = performance.now()
  const socket = await open(address)
  await exchange(socket, noise(bytes), 240_000)
  socket.destroy()
  const seconds = (performance.now() - began) / 1_000
  t.diagnostic(`${format(address)}: ${seconds.toFixed(1)} s, ${(bytes / seconds / 1e6).toFixed(1)} MB/s each way`)
}

async function readBytes(socket: Socket, count: number): Promise<Buffer[]> {
  const parts: Buffer[] = []
  let bytes = 0
  return await new Promise((resolve, reject) => {
    const onData = (part: Buffer): void => {
      parts.push(part)
      bytes += part.length
      if (bytes < count) return
      done()
      resolve(parts)
    }
    const onEnd = (): void => {
      done()
      reject(new Error(`ended after ${bytes} of ${count} bytes`))
    }
    const done = (): void => void socket.off('data', onData).off('close', onEnd).off('end', onEnd).off('error', reject)
    socket.on('data', onData).once('close', onEnd).once('end', onEnd).once('error', reject)
  })
}

async function within<T>(socket: Socket, work: Promise<T>, ms = 30_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${ms} ms, ${socket.bytesRead} bytes read`)), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

async function attempt(work: () => Promise<void>): Promise<true | undefined> {
  return await work().then(
    () => true as const,
    () => undefined,
  )
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
