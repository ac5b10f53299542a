/**
 * `npm run bench:rendezvous`: what one rendezvous costs. CPU for each kind of request, latency beside heartbeating nodes,
 * start and memory with many nodes. CPU times are the process's own, so neighbours matter little; latencies are upper
 * bounds. `-- --nodes 100000 --program FILE` measures another size, or another build of pilotgate.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { anonymousBytes, cpuSeconds } from '../proc.ts'
import { quantile } from '../stats.ts'
import { Client, askAll, frameOf } from './client.ts'
import { fillStore, heartbeat, identityOf, pollHandshakes, register, resolve } from './nodes.ts'

const { values } = parseArgs({
  options: {
    program: { type: 'string', default: join(import.meta.dirname, '../../dist/cli/main.js') },
    nodes: { type: 'string', default: '100000' }, // that have heartbeats
    known: { type: 'string', default: '1000000' }, // in the store, for start and memory
    seconds: { type: 'string', default: '45' }, // of heartbeats
  },
})

interface Running {
  readonly child: ChildProcess
  readonly port: number
  /** CPU seconds until it was ready. */
  readonly startCpu: number
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'pg-rendezvous-'))
  try {
    await requests(join(folder, 'requests'))
    await beside(join(folder, 'beside'), Number(values.nodes), Number(values.seconds))
    await start(join(folder, 'start'), Number(values.known))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** CPU of a request, by kind. */
async function requests(folder: string): Promise<void> {
  await fillStore(folder, KNOWN, KNOWN)
  const running = await rendezvous(folder)
  const clients = await Promise.all(Array.from({ length: 8 }, () => Client.open(running.port)))
  const identities = Array.from({ length: KNOWN }, (_, i) => identityOf(i + 1))
  const each = (make: (node: number) => object): Uint8Array[] =>
    Array.from({ length: KNOWN }, (_, i) => frameOf(make(i + 1)))
  const heartbeats = each((node) => heartbeat(node, identities[node - 1]!))
  const polls = each((node) => pollHandshakes(node, identities[node - 1]!))
  const kinds: [string, Uint8Array[]][] = [
    ['heartbeat, first', heartbeats],
    ['heartbeat, later', heartbeats],
    ['poll_handshakes, later', [...polls, ...polls]],
    ['lookup', each((node) => ({ type: 'lookup', node_id: node }))],
    ['resolve', each((node) => resolve(node, identities[node - 1]!, (node % KNOWN) + 1))],
    ['register again', each((node) => register(node, identities[node - 1]!))],
  ]
  console.log(`\nCPU of a request, µs (${KNOWN} nodes, 8 connections, 16 requests at a time)`)
  await askAll(clients, each((node) => ({ type: 'lookup', node_id: node })).slice(0, 2_000), 16) // warm
  for (const [name, frames] of kinds) {
    const before = cpuSeconds([running.child.pid!])
    await askAll(clients, frames, 16)
    const micros = ((cpuSeconds([running.child.pid!]) - before) / frames.length) * 1e6
    console.log(`  ${name.padEnd(24)} ${micros.toFixed(0).padStart(6)}`)
  }
  for (const client of clients) client.close()
  await stop(running)
}

/** Every node has a heartbeat in 30 s; how long does another lookup take meanwhile? */
async function beside(folder: string, nodes: number, seconds: number): Promise<void> {
  await fillStore(folder, nodes, nodes)
  const running = await rendezvous(folder)
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => Client.open(running.port)))
  const other = await Client.open(running.port)
  const frames = Array.from({ length: nodes }, (_, i) => frameOf(heartbeat(i + 1, identityOf(i + 1))))
  const lookups: number[] = []
  const beats: number[] = []
  let asked = 0
  let answered = 0
  const round = async (): Promise<void> => {
    const began = performance.now()
    for (let elapsed = 0; elapsed < seconds * 1_000; elapsed = performance.now() - began) {
      for (const due = Math.floor((elapsed / HEARTBEAT_MS) * nodes); asked < due; asked++)
        clients[asked % CONNECTIONS]!.ask(frames[asked % nodes]!).then(
          (ms) => {
            answered += 1
            beats.push(ms)
          },
          () => {},
        )
      lookups.push(await other.ask(frameOf({ type: 'lookup', node_id: 1 + (asked % nodes) })))
      await pause(5)
    }
  }
  const once = async (name: string): Promise<void> => {
    for (const list of [lookups, beats]) list.length = 0
    asked = answered = 0
    const before = cpuSeconds([running.child.pid!])
    await round()
    const share = (100 * (cpuSeconds([running.child.pid!]) - before)) / seconds
    const [p50, p99, b99] = [quantile(lookups, 0.5), quantile(lookups, 0.99), quantile(beats, 0.99)]
    console.log(
      `  ${name.padEnd(24)} ${share.toFixed(0)} % of a core; lookup p50 ${p50.toFixed(1)} p99 ${p99.toFixed(1)} ms; heartbeat p99 ${b99.toFixed(1)} ms; ${answered} of ${asked} answered`,
    )
  }
  console.log(`\n${nodes} nodes with a heartbeat every 30 s, ${CONNECTIONS} connections`)
  await once('first heartbeats')
  await once('later')
  for (const client of [...clients, other]) client.close()
  await stop(running)
}

async function start(folder: string, known: number): Promise<void> {
  await fillStore(folder, known, 0)
  const running = await rendezvous(folder)
  const memory = (): string => `${(anonymousBytes(running.child.pid!) / 2 ** 20).toFixed(0)} MiB`
  console.log(`\n${known} nodes in the store\n  start: ${running.startCpu.toFixed(1)} s of CPU; memory ${memory()}`)
  await pause(65_000) // every node has had its turn in a sweep
  console.log(`  a minute later: memory ${memory()}, without the store's pages in the system's cache`)
  await stop(running)
}

async function rendezvous(folder: string): Promise<Running> {
  const args = ['rendezvous', '--registry', '127.0.0.1:0', '--beacon', '127.0.0.1:0', '--store', folder, '--json']
  const child = spawn(process.execPath, [values.program, ...args], { stdio: ['ignore', 'pipe', 'ignore'] })
  for await (const line of createInterface({ input: child.stdout! })) {
    const event = JSON.parse(line) as { event?: string; registry?: string }
    if (event.event !== 'ready') continue
    return { child, port: Number(event.registry!.split(':').at(-1)), startCpu: cpuSeconds([child.pid!]) }
  }
  throw new Error('the rendezvous did not start')
}

async function stop({ child }: Running): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await Promise.race([gone, pause(10_000, undefined, { ref: false }).then(() => child.kill('SIGKILL'))])
}

const KNOWN = 10_000
const CONNECTIONS = 500
const HEARTBEAT_MS = 30_000

await main()
