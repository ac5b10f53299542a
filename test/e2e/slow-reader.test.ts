/**
 * A reader that stops reading. The writer at the other end must stall, however much it has left; neither gateway may
 * grow; and when reading resumes, everything arrives. Written data is counted block by block as the kernel accepts it,
 * so it includes the kernel's buffers at both ends.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { eventually, pair, pause, Stage } from './harness.ts'
import type { Gateway, Pair } from './harness.ts'
import { everything, noise, open, passive, serve, summaryOf, within } from './servers.ts'
import type { Service } from './servers.ts'

const MIB = 1_048_576
/** How much a writer may get rid of on a stalled connection, kernel buffers included. */
const STALL_LIMIT = 20 * MIB
/** How much a gateway's resident memory may grow for one stalled connection, including garbage not yet collected. */
const ONE_LIMIT = 16 * MIB
/** The same for MANY stalled connections. */
const MANY = 50
const MANY_LIMIT = 128 * MIB

let stage: Stage
let gateways: Pair
let flooding: Service
let quiet: Service
let floods: Flood[] = []

before(async () => {
  stage = await Stage.open()
  flooding = await serve(stage, (socket) => {
    socket.once('data', (wanted) => {
      floods.push(new Flood(socket, Number(wanted.toString())))
    })
  })
  quiet = await passive(stage)
  gateways = await pair(
    stage,
    { map: ['0:agent-b:80', '0:agent-b:81'] },
    { expose: [`80=${flooding.address}`, `81=${quiet.address}`] },
  )
  await warmUp()
})
after(async () => stage.close())

test('a client that stops reading stalls the service, both gateways stay small, and everything arrives in the end', async (t) => {
  // 64 MiB on offer; the client reads only the first bytes. Once nothing moves for a second, sizes are compared.
  const before = await memory()
  const [client] = await stalledClients(1, 64 * MIB)
  const accepted = await standstill()
  const grown = await growth(before)
  t.diagnostic(
    `the service got rid of ${mib(accepted)}; agent-a and agent-b grew by ${grown.map(mib).join(' and ')} from ${before.map(mib).join(' and ')}`,
  )
  assert.ok(accepted < STALL_LIMIT, `the service got rid of ${mib(accepted)}`)
  for (const bytes of grown) assert.ok(bytes < ONE_LIMIT, `a gateway grew by ${mib(bytes)}`)
  assert.equal(await restOf(client!), summaryOf(noise(64 * MIB)))
})

test('a service that stops reading stalls its client, both gateways stay small, and everything arrives in the end', async (t) => {
  // The same in reverse: the client writes, the service reads the first bytes and stops.
  const before = await memory()
  const accepting = quiet.next()
  const client = await open(stage, gateways.a.local('agent-b:81'))
  floods = [new Flood(client, 64 * MIB)]
  const reader = await accepting
  const head = await firstBytes(reader)
  const accepted = await standstill()
  const grown = await growth(before)
  t.diagnostic(
    `the client got rid of ${mib(accepted)}; agent-a and agent-b grew by ${grown.map(mib).join(' and ')} from ${before.map(mib).join(' and ')}`,
  )
  assert.ok(accepted < STALL_LIMIT, `the client got rid of ${mib(accepted)}`)
  for (const bytes of grown) assert.ok(bytes < ONE_LIMIT, `a gateway grew by ${mib(bytes)}`)
  assert.equal(await restOf({ socket: reader, head }), summaryOf(noise(64 * MIB)))
})

test(`${MANY} stalled connections delay no others and cost each gateway a bounded amount of memory`, async (t) => {
  // All stall; meanwhile another connection carries 12 MiB at once; then all readers resume and each gets its full 12
  // MiB.
  const before = await memory()
  const clients = await stalledClients(MANY, 12 * MIB)
  const accepted = await standstill()
  const grown = await growth(before)
  t.diagnostic(
    `the services got rid of ${mib(accepted)}; agent-a and agent-b grew by ${grown.map(mib).join(' and ')} from ${before.map(mib).join(' and ')}`,
  )
  assert.ok(accepted < MANY * 12 * MIB, 'none of the writers stalled')
  for (const bytes of grown) assert.ok(bytes < MANY_LIMIT, `a gateway grew by ${mib(bytes)}`)
  const whole = summaryOf(noise(12 * MIB))
  assert.equal(await restOf((await stalledClients(1, 12 * MIB))[0]!), whole)
  for (const summary of await Promise.all(clients.map((client) => restOf(client, 60_000)))) assert.equal(summary, whole)
})

/** Writes this many bytes, each block once the kernel has taken the last one; then ends. */
class Flood {
  accepted = 0

  constructor(socket: Socket, bytes: number) {
    const all = noise(bytes)
    const next = (): void => {
      if (this.accepted >= all.length) return void socket.end()
      const block = all.subarray(this.accepted, this.accepted + BLOCK_BYTES)
      socket.write(block, (error) => {
        if (error !== null && error !== undefined) return
        this.accepted += block.length
        next()
      })
    }
    next()
  }
}

interface Stalled {
  readonly socket: Socket
  readonly head: Buffer
}

async function stalledClients(count: number, bytes: number): Promise<Stalled[]> {
  floods = []
  return await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = await open(stage, gateways.a.local('agent-b:80'))
      socket.write(String(bytes))
      return { socket, head: await firstBytes(socket) }
    }),
  )
}

async function firstBytes(socket: Socket): Promise<Buffer> {
  return await within(
    'the first bytes',
    new Promise((resolve) => {
      socket.once('data', (bytes) => {
        socket.pause()
        resolve(bytes)
      })
      socket.resume()
    }),
  )
}

/** Count and digest of everything, once reading resumes. */
async function restOf({ socket, head }: Stalled, timeoutMs = 30_000): Promise<string> {
  const reading = everything(socket, timeoutMs)
  socket.resume()
  const rest = await reading
  return `${head.length + rest.length} ${createHash('sha256').update(head).update(rest).digest('hex')}`
}

/** Resolves with what all writers got rid of once that has not changed for a second. */
async function standstill(): Promise<number> {
  let last = -1
  let since = performance.now()
  return await eventually(
    'the writers stall',
    () => {
      const now = floods.reduce((sum, flood) => sum + flood.accepted, 0)
      if (now !== last) since = performance.now()
      last = now
      return performance.now() - since > 1_000 ? now : undefined
    },
    30_000,
  )
}

async function memory(): Promise<[number, number]> {
  const of = async (gateway: Gateway): Promise<number> => (await gateway.status()).memory.rssBytes
  return [await of(gateways.a), await of(gateways.b)]
}

async function growth(before: readonly [number, number]): Promise<number[]> {
  const now = await memory()
  return [now[0] - before[0], now[1] - before[1]]
}

/**
 * Warm-up: code compiled, a busy stream's buffers allocated once, so later measurements show only what stalling adds.
 */
async function warmUp(): Promise<void> {
  const [client] = await stalledClients(1, 32 * MIB)
  await restOf(client!)
  await pause(100)
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`
}

const BLOCK_BYTES = 65_536
