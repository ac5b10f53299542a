/** Everything of the outside that a command may touch, as one argument: tests hand in their own. */
import { readFileSync } from 'node:fs'
import type { RendezvousOptions } from '../server/rendezvous.ts'
import type { DoctorRecord, GatewayControl, GatewayEvent, GatewayOptions, ReadyEvent } from '../gateway/types.ts'
import { adminClient, type AdminClient } from '../admin/client.ts'
import { readEnvironment, type Environment } from '../config/env.ts'

export interface Log {
  debug (fields: object, message: string): void
  info (fields: object, message: string): void
  warn (fields: object, message: string): void
  error (fields: object, message: string): void
}

export type LogLevel = 'silent' | 'error' | 'warn' | 'info' | 'debug'

export interface RunningGateway extends GatewayControl {
  ready (): ReadyEvent
  stop (graceMs: number): Promise<void>
}

export interface RunningRendezvous {
  readonly registry: string
  readonly beacon: string
  readonly http?: string | undefined
  readonly fingerprint?: string
  stop (): Promise<void>
}

export type RendezvousStart = RendezvousOptions

/** Loaded only by the commands that need them: `status` shall not wait for a database to be linked in. */
export interface Modules {
  gateway (): Promise<{
    readonly startGateway: (options: GatewayOptions, deps: { readonly log: Log, readonly version: string, readonly onEvent: (event: GatewayEvent) => void }) => Promise<RunningGateway>
  }>
  rendezvous (): Promise<{
    readonly startRendezvous: (options: RendezvousStart) => Promise<RunningRendezvous>
  }>
  admin (): Promise<{
    readonly makeRoom: (socketPath: string) => Promise<void>
    readonly startAdmin: (options: { readonly socketPath: string, readonly control: GatewayControl, readonly log: Log }) => Promise<{ stop (): Promise<void> }>
  }>
  checkUp (): Promise<{ readonly checkUp: (options: GatewayOptions) => Promise<DoctorRecord> }>
  log (): Promise<{ readonly createLogger: (level: LogLevel) => Log }>
}

export interface World {
  readonly version: string
  readonly env: Environment
  readonly modules: Modules
  /** Asks the gateway behind an admin socket. */
  client (socketPath: string): AdminClient
  out (text: string): void // stdout
  err (text: string): void // stderr
  /** Calls back for each request to stop; the result ends that. */
  onStop (callback: (signal: string) => void): () => void
  sleep (ms: number): Promise<void>
}

export function realWorld (): World {
  return {
    version: readVersion(),
    env: readEnvironment(),
    modules: {
      gateway: () => import('../gateway/gateway.ts'),
      rendezvous: () => import('../server/rendezvous.ts'),
      admin: () => import('../admin/server.ts'),
      checkUp: () => import('../gateway/checkup.ts'),
      log: () => import('../runtime/log.ts'),
    },
    client: (socketPath) => adminClient(socketPath),
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    onStop: (callback) => {
      for (const signal of STOP_SIGNALS) process.on(signal, callback)
      return () => { for (const signal of STOP_SIGNALS) process.off(signal, callback) }
    },
    sleep: (ms) => new Promise((resolve) => { setTimeout(resolve, ms) }),
  }
}

/** src/cli and dist/cli are equally far from package.json. */
function readVersion (): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  return version
}

/** SIGHUP: the terminal went away. */
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
