/**
 * The programs of the reference implementation next to a process of ours: registries and daemons that a test queries
 * directly (go.ts runs them next to complete gateways). Everything they write goes to temporary folders.
 */
import type { ChildProcess } from 'node:child_process'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { freePort, goProgram } from './go.ts'

let daemons = 0 // each with an e-mail address of its own: the Go registry gives one address one node

export interface GoProgram {
  readonly output: () => string // what it wrote so far, for the message of a failed test
  readonly gone: () => boolean
  stop(): Promise<void>
}

export interface GoRendezvous extends GoProgram {
  readonly registry: string // ip:port
  readonly beacon: string
  readonly fingerprint: string // of its TLS certificate; empty without -tls
}

export async function startGoRendezvous(flags: readonly string[] = []): Promise<GoRendezvous> {
  const [registry, beacon] = [`127.0.0.1:${await freePort('tcp')}`, `127.0.0.1:${await freePort('udp')}`]
  const program = start('pilot-rendezvous', ['-registry-addr', registry, '-beacon-addr', beacon, ...flags])
  await until(
    () => accepts(registry),
    () => `pilot-rendezvous does not listen on ${registry}\n${program.output()}`,
  )
  return { ...program, registry, beacon, fingerprint: flags.includes('-tls') ? await fingerprintAt(registry) : '' }
}

export interface GoDaemon extends GoProgram {
  readonly udp: string
  readonly identityFile: string
  /** Runs pilotctl against this daemon. @returns What it printed as JSON, `data` unwrapped. @throws With what it said. */
  ctl(...args: readonly string[]): Promise<Record<string, unknown>>
}

export interface GoDaemonOptions {
  readonly registry: string
  readonly beacon: string
  readonly flags?: readonly string[]
  readonly identityFile?: string // absent: a new one
}

export async function startGoDaemon(options: GoDaemonOptions): Promise<GoDaemon> {
  const home = mkdtempSync(join(tmpdir(), 'go-daemon-'))
  const [udp, socket] = [`127.0.0.1:${await freePort('udp')}`, join(home, 'pilot.sock')]
  const identityFile = options.identityFile ?? join(home, 'identity.json')
  const flags = [
    '-registry',
    options.registry,
    '-beacon',
    options.beacon,
    '-listen',
    udp,
    '-endpoint',
    udp,
    '-socket',
    socket,
  ]
  const program = start(
    'pilot-daemon',
    [
      ...flags,
      '-identity',
      identityFile,
      '-email',
      `someone${++daemons}@example.com`,
      '-keepalive',
      '2s',
      ...(options.flags ?? []),
    ],
    home,
  )
  const ctl = (...args: readonly string[]): Promise<Record<string, unknown>> =>
    pilotctl(args, { socket, registry: options.registry, home })
  const complaint = (): string => `pilot-daemon does not answer\n${program.output()}`
  await until(() => {
    if (program.gone()) throw new Error(complaint())
    return ctl('info').then(
      () => true,
      () => false,
    )
  }, complaint)
  const stop = async (): Promise<void> => {
    await program.stop()
    rmSync(home, { recursive: true, force: true })
  }
  return { ...program, udp, identityFile, ctl, stop }
}

/** @throws With what it said, when it failed or said something else than JSON. */
export async function pilotctl(
  args: readonly string[],
  world: { readonly socket: string; readonly registry: string; readonly home: string },
): Promise<Record<string, unknown>> {
  const env = { ...process.env, HOME: world.home, PILOT_SOCKET: world.socket, PILOT_REGISTRY: world.registry }
  const said = await new Promise<{ failed: boolean; out: string; err: string }>((resolve) => {
    execFile(goProgram('pilotctl'), ['--json', ...args], { env, timeout: 60_000 }, (error, out, err) =>
      resolve({ failed: error !== null, out, err }),
    )
  })
  let reply: Record<string, unknown> | undefined
  try {
    reply = JSON.parse(said.out) as Record<string, unknown>
  } catch {
    reply = undefined
  }
  if (said.failed || reply === undefined || reply['status'] === 'error')
    throw new Error(`pilotctl ${args.join(' ')}: ${said.out}${said.err}`)
  const data = reply['data']
  return typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : reply
}

/** Waits for `done`, polled every 100 ms. */
export async function until(
  done: () => Promise<boolean> | boolean,
  complaint: () => string,
  limitMs = 15_000,
): Promise<void> {
  const deadline = performance.now() + limitMs
  while (!(await done())) {
    if (performance.now() > deadline) throw new Error(complaint())
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function start(name: string, args: readonly string[], home = tmpdir()): GoProgram {
  const child = spawn(goProgram(name), args, { env: { ...process.env, HOME: home }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-20_000)
    })
  living.add(child)
  child.once('exit', () => living.delete(child))
  return { output: () => output, gone: () => !living.has(child), stop: () => stop(child) }
}

const living = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL')
})

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const impatience = setTimeout(() => child.kill('SIGKILL'), 3_000)
  await gone
  clearTimeout(impatience)
}

/** It does not say it: asked of the certificate itself. */
async function fingerprintAt(address: string): Promise<string> {
  const [host = '', port = ''] = address.split(':')
  const socket = connectTls({ host, port: Number(port), rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { fingerprint256 } = socket.getPeerX509Certificate()!
  socket.destroy()
  return fingerprint256.replaceAll(':', '').toLowerCase()
}

function accepts(address: string): Promise<boolean> {
  const [host = '', port = ''] = address.split(':')
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port) })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
