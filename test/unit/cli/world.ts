/** A world of texts: what a command prints is collected, what it asks is answered by fakes, signals are calls. */
import { PilotError } from '../../../src/base/errors.ts'
import type { AdminClient } from '../../../src/admin/client.ts'
import type { GatewayControl } from '../../../src/gateway/types.ts'
import { runCli } from '../../../src/cli/program.ts'
import type { Modules, World } from '../../../src/cli/world.ts'
import { fakeControl } from '../admin/control.ts'

export interface TestWorld extends World {
  readonly stdout: string[]
  readonly stderr: string[]
  readonly sockets: string[] // admin sockets that were asked
  signal (name?: string): void
}

export function testWorld (parts: { readonly control?: GatewayControl, readonly modules?: Partial<Modules>, readonly env?: Record<string, string> } = {}): TestWorld {
  const handlers = new Set<(signal: string) => void>()
  const stdout: string[] = []
  const stderr: string[] = []
  const sockets: string[] = []
  const absent = (): Promise<never> => Promise.reject(new Error('this module is not part of the test'))
  return {
    version: '0.1.0',
    env: { HOME: '/home/ann', ...parts.env },
    modules: { gateway: absent, rendezvous: absent, admin: absent, checkUp: absent, log: absent, ...parts.modules },
    client: (socketPath) => {
      sockets.push(socketPath)
      return asClient(parts.control ?? fakeControl([]))
    },
    out: (text) => void stdout.push(text),
    err: (text) => void stderr.push(text),
    onStop: (callback) => {
      handlers.add(callback)
      return () => void handlers.delete(callback)
    },
    sleep: () => Promise.resolve(),
    stdout,
    stderr,
    sockets,
    signal: (name = 'SIGTERM') => { for (const handler of handlers) handler(name) },
  }
}

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** `line` is split at spaces. */
export async function run (line: string, world = testWorld()): Promise<Ran> {
  const code = await runCli(line.split(' ').filter((word) => word !== ''), world)
  return { code, out: world.stdout.join(''), err: world.stderr.join('') }
}

/** A client of a gateway that is not there. */
export function noGateway (): GatewayControl {
  const fail = (): never => { throw new PilotError('NOT_RUNNING', 'no gateway runs here', { socketPath: '/a.sock' }) }
  return fakeControl([], { status: fail, peers: fail, mappings: fail, exposes: fail, connections: fail, doctor: fail, explain: fail, resolve: fail, hosts: fail, trusted: fail, pending: fail, ping: fail, requestTrust: fail, approveTrust: fail, rejectTrust: fail, revokeTrust: fail })
}

function asClient (control: GatewayControl): AdminClient {
  return {
    status: async () => control.status(), peers: async () => control.peers(), mappings: async () => control.mappings(), exposes: async () => control.exposes(),
    connections: async () => control.connections(), doctor: async () => control.doctor(), explain: async (target) => await control.explain(target), resolve: async (name) => await control.resolve(name), hosts: async () => control.hosts(), trusted: async () => control.trusted(), pending: async () => control.pending(),
    ping: async (peer, seq, timeoutMs) => await control.ping(peer, seq, timeoutMs), requestTrust: async (peer, reason) => await control.requestTrust(peer, reason),
    approveTrust: async (peer) => await control.approveTrust(peer), rejectTrust: async (peer) => await control.rejectTrust(peer), revokeTrust: async (peer) => await control.revokeTrust(peer),
    drain: async (expose) => await control.drain(expose), resume: async (expose) => await control.resume(expose),
  }
}
