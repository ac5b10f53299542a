/**
 * The gateway pair against a plain Node TCP proxy pair, interleaved in one run: bulk throughput of one stream, round
 * trips of 1 KB, set-up of a connection, memory of an idle connection. Figures on shared machines wander: the ratios
 * are what counts. `npm run bench [-- --quick]`
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const quick = process.argv.includes('--quick')
const rounds = quick ? 3 : 7
const bulkBytes = quick ? 128e6 : 512e6
const roundTrips = quick ? 500 : 3_000
const idle = 1_000
const children: ChildProcess[] = []
const dir = mkdtempSync(join(tmpdir(), 'pilotgate-bench-'))
const main = new URL('../dist/cli/main.js', import.meta.url).pathname
const childScript = new URL('./child.ts', import.meta.url).pathname

interface Route { readonly name: string, readonly bulk: [host: string, port: number], readonly echo: [host: string, port: number] }

try {
  await run()
} finally {
  for (const child of children) child.kill('SIGKILL')
  rmSync(dir, { recursive: true, force: true })
}

async function run (): Promise<void> {
  const [source, echo] = [await role('source'), await role('echo')]
  const proxied = async (target: number): Promise<number> => await role('proxy', await role('proxy', target))
  const gateways = await startGateways(source, echo)
  const routes: Route[] = [
    { name: 'proxy pair', bulk: ['127.0.0.1', await proxied(source)], echo: ['127.0.0.1', await proxied(echo)] },
    { name: 'gateway pair', bulk: gateways.bulk, echo: gateways.echo },
  ]
  const results: Record<string, Record<string, number[]>> = {}
  const note = (route: Route, row: string, value: number): void => { ((results[row] ??= {})[route.name] ??= []).push(value) }
  const memory = await idleMemory(gateways) // first: later the heap has room left over from the transfers
  for (let round = 0; round < rounds; round++) {
    for (const route of routes) {
      note(route, 'bulk, one stream, Gbit/s', await bulk(route.bulk))
      note(route, '1 KB round trip, ms', await latency(route.echo))
      note(route, 'set-up of a connection, ms', await setUp(route.echo))
      process.stderr.write(`round ${round + 1}/${rounds}: ${route.name}\n`)
    }
  }
  report(results, memory)
}

function report (results: Record<string, Record<string, number[]>>, memory: number): void {
  const lines = ['| row | proxy pair | gateway pair | ratio, median of rounds |', '|---|---|---|---|']
  for (const [row, by] of Object.entries(results)) {
    const [proxy, gateway] = [by['proxy pair']!, by['gateway pair']!]
    lines.push(`| ${row} | ${median(proxy).toFixed(3)} | ${median(gateway).toFixed(3)} | ${median(gateway.map((value, i) => value / proxy[i]!)).toFixed(2)} |`)
  }
  lines.push(`| memory of an idle connection, KB per gateway | | ${memory.toFixed(1)} | |`)
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`
  const text = `# Gateway pair against a TCP proxy pair\n\n${machine}; loopback, everything on this machine; ${rounds} rounds, interleaved.\n\n${lines.join('\n')}\n`
  process.stdout.write(text)
  writeFileSync(new URL('./results.md', import.meta.url), text)
}

async function bulk (to: [string, number]): Promise<number> {
  const started = performance.now()
  const socket = await open(to)
  socket.write(`${bulkBytes}\n`)
  let got = 0
  await new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => { got += chunk.length })
    socket.once('end', resolve)
    socket.once('error', reject)
  })
  socket.destroy()
  if (got !== bulkBytes) throw new Error(`${got} of ${bulkBytes} bytes arrived`)
  return got * 8 / (performance.now() - started) / 1e6
}

async function latency (to: [string, number]): Promise<number> {
  const socket = await open(to)
  const message = Buffer.alloc(1_024)
  const times: number[] = []
  for (let i = 0; i < roundTrips; i++) {
    const started = performance.now()
    await echoed(socket, message)
    times.push(performance.now() - started)
  }
  socket.destroy()
  return median(times)
}

/** From connect to the first answered byte: a proxy's accept alone proves nothing. */
async function setUp (to: [string, number]): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < 50; i++) {
    const started = performance.now()
    const socket = await open(to)
    await echoed(socket, Buffer.from('x'))
    times.push(performance.now() - started)
    socket.destroy()
  }
  return median(times)
}

async function idleMemory (gateways: { pids: number[], echo: [string, number] }): Promise<number> {
  const rss = (): number => gateways.pids.reduce((sum, pid) => sum + Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0), 0)
  await latency(gateways.echo) // warm
  const before = rss()
  const sockets: Socket[] = []
  for (let i = 0; i < idle; i++) {
    const socket = await open(gateways.echo)
    await echoed(socket, Buffer.from('x'))
    sockets.push(socket)
  }
  const grown = rss() - before
  for (const socket of sockets) socket.destroy()
  return grown / idle / gateways.pids.length
}

function echoed (socket: Socket, message: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = message.length
    const onData = (chunk: Buffer): void => {
      left -= chunk.length
      if (left > 0) return
      socket.off('data', onData)
      socket.off('error', reject)
      resolve()
    }
    socket.on('data', onData)
    socket.once('error', reject)
    socket.write(message)
  })
}

function open ([host, port]: [string, number]): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true }, () => resolve(socket))
    socket.once('error', reject)
  })
}

async function startGateways (source: number, echo: number): Promise<{ bulk: [string, number], echo: [string, number], pids: number[] }> {
  const rendezvous = await program('rendezvous', '--registry', '127.0.0.1:0', '--beacon', '127.0.0.1:0')
  const ready = await rendezvous.event('ready')
  const common = ['--registry', String(ready['registry']), '--beacon', String(ready['beacon']), '--listen', '127.0.0.1:0']
  const b = await program('up', ...common, '--hostname', 'bench-b', '--state-dir', join(dir, 'b'), '--trust', 'bench-a', '--expose', `1=${source}`, '--expose', `2=${echo}`)
  const a = await program('up', ...common, '--hostname', 'bench-a', '--state-dir', join(dir, 'a'), '--trust', 'bench-b', '--map', '0:bench-b:1', '--map', '0:bench-b:2')
  const mappings = (await a.event('ready'))['mappings'] as Array<{ local: string }>
  await Promise.all([a.event('trust'), b.event('trust')])
  const [bulkAt, echoAt] = mappings.map(({ local }) => [local.split(':')[0]!, Number(local.split(':')[1])] as [string, number])
  return { bulk: bulkAt!, echo: echoAt!, pids: [a.pid, b.pid] }
}

async function program (...args: string[]): Promise<{ pid: number, event (kind: string): Promise<Record<string, unknown>> }> {
  const child = spawn(process.execPath, [main, ...args, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const seen: Array<Record<string, unknown>> = []
  const waiting: Array<() => void> = []
  createInterface({ input: child.stdout! }).on('line', (line) => {
    seen.push(JSON.parse(line) as Record<string, unknown>)
    for (const check of waiting) check()
  })
  return {
    pid: child.pid!,
    event: (kind) => new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${kind} within 20 s`)), 20_000)
      const check = (): void => {
        const found = seen.find((event) => event['event'] === kind)
        if (found === undefined) return
        clearTimeout(timer)
        resolve(found)
      }
      waiting.push(check)
      check()
    }),
  }
}

async function role (name: string, target?: number): Promise<number> {
  const child = spawn(process.execPath, ['--import', 'tsx', childScript, name, String(target ?? '')], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  children.push(child)
  return await new Promise((resolve) => createInterface({ input: child.stdout! }).once('line', (line) => resolve(Number(line))))
}

function median (values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}
