/** A fake world: collects a command's output, answers its requests with fakes, and delivers signals as calls. */
import { Readable } from 'node:stream'
import { PilotError } from '../../../src/base/errors.ts'
import type { AdminClient } from '../../../src/admin/client.ts'
import type { AdminControl } from '../../../src/gateway/control.ts'
import { runCli } from '../../../src/cli/program.ts'
import type { Modules, World } from '../../../src/cli/world.ts'
import { fakeControl, withMethods } from '../admin/control.ts'

export interface TestWorld extends World {
  readonly stdout: string[]
  readonly stderr: string[]
  readonly sockets: string[] // admin sockets that were queried
  /** Whether a signal would be handled. */
  stoppable(): boolean
  signal(name?: string): void
  hangUp(): void
}

export function testWorld(
  parts: {
    readonly control?: AdminControl
    readonly modules?: Partial<Modules>
    readonly env?: Record<string, string>
    readonly terminal?: boolean
    readonly columns?: number
    readonly outBacklogBytes?: number
    readonly input?: string // the first line of stdin
    readonly taken?: readonly string[] // ip:port where something listens
    readonly paths?: Readonly<Record<string, 'folder' | 'file' | 'socket'>> // what is there
  } = {},
): TestWorld {
  const reloads = new Set<() => void>()
  const handlers = new Set<(signal: string) => void>()
  const stdout: string[] = []
  const stderr: string[] = []
  const sockets: string[] = []
  return {
    version: '0.1.0',
    env: { HOME: '/home/ann', ...parts.env },
    cwd: '/home/ann',
    modules: { ...ABSENT, ...parts.modules },
    terminal: parts.terminal ?? false,
    logTerminal: parts.terminal ?? false,
    columns: parts.columns,
    colors: false,
    outBacklogBytes: parts.outBacklogBytes ?? 0,
    client: (socketPath) => {
      sockets.push(socketPath)
      return asClient(parts.control ?? fakeControl([]))
    },
    input: Readable.from([Buffer.from(parts.input ?? '')]),
    readLine: () => Promise.resolve(parts.input ?? ''),
    write: async (bytes) => void stdout.push(Buffer.from(bytes).toString('utf8')),
    out: (text) => void stdout.push(text),
    err: (text) => void stderr.push(text),
    onStop: (callback) => {
      handlers.add(callback)
      return () => void handlers.delete(callback)
    },
    onReload: (callback) => {
      reloads.add(callback)
      return () => void reloads.delete(callback)
    },
    ...NO_WAITS,
    kindOf: (path) => Promise.resolve(parts.paths?.[path]),
    isFree: (address, port) => Promise.resolve(parts.taken?.includes(`${address}:${port}`) !== true),
    stdout,
    stderr,
    sockets,
    stoppable: () => handlers.size > 0,
    hangUp: () => {
      for (const reload of reloads) reload()
    },
    signal: (name = 'SIGTERM') => {
      for (const handler of handlers) handler(name)
    },
  }
}

const NO_WAITS = { openStream: () => absent(), sleep: () => Promise.resolve(), contain: () => () => {} }

const absent = (): Promise<never> => Promise.reject(new Error('this module is not part of the test'))
const ABSENT: Modules = {
  gateway: absent,
  rendezvous: absent,
  registry: absent,
  admin: absent,
  observe: absent,
  checkUp: absent,
  log: absent,
}

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** `line` is split at spaces. */
export async function run(line: string, world = testWorld()): Promise<Ran> {
  const code = await runCli(
    line.split(' ').filter((word) => word !== ''),
    world,
  )
  return { code, out: world.stdout.join(''), err: world.stderr.join('') }
}

/** A client without a gateway. */
export function noGateway(): AdminControl {
  const fail = (): never => {
    throw new PilotError('NOT_RUNNING', 'no gateway runs here', { socketPath: '/a.sock' })
  }
  return withMethods(fakeControl([]), () => fail) as unknown as AdminControl
}

/** Each client method returns a promise, as if there were a socket in between. */
function asClient(control: AdminControl): AdminClient {
  return withMethods(
    control,
    (_, call) =>
      async (...args: unknown[]) =>
        await call(...args),
  ) as unknown as AdminClient
}
