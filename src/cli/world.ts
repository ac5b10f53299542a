/** Everything outside the program that a command may touch, as one argument, so that tests can pass in their own. */
import { closeSync, openSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Logger } from '../base/logger.ts'
import type { RendezvousOptions } from '../server/rendezvous.ts'
import type { AdminControl, Gateway } from '../gateway/control.ts'
import type { GatewayOptions } from '../gateway/model/options.ts'
import type { DoctorRecord } from '../gateway/model/records.ts'
import type { GatewayDeps } from '../gateway/gateway.ts'
import { adminClient, type AdminClient } from '../admin/client.ts'
import { openStream } from '../admin/stream-client.ts'
import type { OverlayStream } from '../runtime/overlay.ts'
import { readEnvironment, type Environment } from '../config/env.ts'
import { packageVersion } from '../runtime/files/package-file.ts'
import type { RegistryTarget } from '../runtime/net/endpoints.ts'
import type { LogFormat, LogLevel } from '../runtime/log.ts'
import type { FaultLine } from './faults.ts'

/** The part of a gateway that the command line needs. */
export type ServedGateway = Omit<Gateway, 'overlay' | 'events' | typeof Symbol.asyncDispose>

export interface RunningRendezvous {
  readonly registry: string
  readonly beacon: string
  readonly http?: string | undefined
  readonly wss?: string | undefined
  readonly fingerprint?: string
  reloadCertificate(): Promise<{ readonly fingerprint: string; readonly changed: boolean }>
  stop(): Promise<void>
}

export type RendezvousStart = RendezvousOptions

/** Loaded only by the commands that need them, so that `status` does not wait for a database to be linked in. */
export interface Modules {
  gateway(): Promise<{
    readonly startGateway: (options: GatewayOptions, deps: GatewayDeps) => Promise<ServedGateway>
  }>
  rendezvous(): Promise<{
    readonly startRendezvous: (options: RendezvousStart) => Promise<RunningRendezvous>
  }>
  registry(): Promise<{
    readonly askRegistry: (target: RegistryTarget, request: object) => Promise<object>
  }>
  admin(): Promise<{
    readonly makeRoom: (socketPath: string) => Promise<void>
    readonly startAdmin: (options: {
      readonly socketPath: string
      readonly control: AdminControl
      readonly log: Logger
      readonly dial?: (target: string, signal: AbortSignal) => Promise<OverlayStream>
    }) => Promise<{ stop(): Promise<void> }>
  }>
  observe(): Promise<{
    readonly startObserve: (options: {
      readonly listen: string
      readonly control: () => AdminControl | undefined
      readonly log: Logger
    }) => Promise<{ readonly address: string; stop(): Promise<void> }>
  }>
  checkUp(): Promise<{ readonly checkUp: (options: GatewayOptions) => Promise<DoctorRecord> }>
  log(): Promise<{ readonly createLogger: (level: LogLevel, format?: LogFormat) => Logger }>
}

export interface World {
  readonly version: string
  readonly env: Environment
  readonly cwd: string
  readonly modules: Modules
  /** stdout is a terminal. */
  readonly terminal: boolean
  /** stderr is, where logs go. */
  readonly logTerminal: boolean
  /** Width of the terminal of stdout; undefined: it is none. Read when needed, as windows change. */
  readonly columns: number | undefined
  /** Written to stdout, and not taken by its reader yet. */
  readonly outBacklogBytes: number
  /** Wanted there, by NO_COLOR and TERM. */
  readonly colors: boolean
  /** A client for the gateway behind an admin socket. */
  client(socketPath: string): AdminClient
  /** A stream to `PEER:PORT` through that gateway. @throws PilotError: like `dial`, and NOT_RUNNING. */
  openStream(socketPath: string, target: string): Promise<Duplex>
  /** The first line of stdin, trimmed. */
  readLine(): Promise<string>
  /** All of stdin, as it comes. */
  readonly input: NodeJS.ReadableStream
  /** Bytes to stdout, unchanged; resolves when its reader takes more. */
  write(bytes: Uint8Array): Promise<void>
  out(text: string): void // stdout; a failed write fails the command, unless the reader went away
  err(text: string): void // stderr
  /** From now on an uncaught exception calls back instead of ending the process. Call the result to end that. */
  contain(onFault: (error: unknown) => void): () => void
  /** Calls back for each request to stop; call the result to end that. */
  onStop(callback: (signal: string) => void): () => void
  /** SIGHUP calls back instead of stopping, unless our terminal is gone; call the result to end that. */
  onReload(callback: () => void): () => void
  sleep(ms: number): Promise<void>
  /** Whether nothing listens at this local TCP address; undefined if that cannot be found out. */
  isFree(address: string, port: number): Promise<boolean | undefined>
  /** What is at an absolute path; undefined: nothing that we can see. */
  kindOf(path: string): Promise<'folder' | 'file' | 'socket' | undefined>
}

export function realWorld(faults: FaultLine, onLostOutput: (error: unknown) => void): World {
  return {
    version: packageVersion(),
    env: readEnvironment(),
    cwd: process.cwd(),
    modules: MODULES,
    terminal: process.stdout.isTTY,
    logTerminal: process.stderr.isTTY,
    get columns() {
      return process.stdout.columns as number | undefined
    },
    get outBacklogBytes() {
      return process.stdout.writableLength
    },
    colors: process.stderr.isTTY && process.stderr.hasColors(),
    client: (socketPath) => adminClient(socketPath),
    openStream: async (socketPath, target) => await openStream(socketPath, target),
    readLine,
    get input() {
      return process.stdin
    },
    out: (text) => {
      try {
        process.stdout.write(text)
      } catch (error) {
        onLostOutput(error) // a file on a full disk throws immediately
      }
    },
    write: (bytes) =>
      new Promise((resolve) => {
        process.stdout.write(bytes, () => resolve())
      }),
    err: (text) => {
      try {
        process.stderr.write(text)
      } catch {} // nowhere left to report it
    },
    contain: (onFault) => faults.contain(onFault),
    ...signals(),
    sleep: (ms) =>
      new Promise((resolve) => {
        setTimeout(resolve, ms)
      }),
    isFree,
    kindOf,
  }
}

function signals(): Pick<World, 'onStop' | 'onReload'> {
  const reloads = new Set<() => void>()
  return {
    onStop: (callback) => {
      const handler = (signal: NodeJS.Signals): void => {
        if (signal !== 'SIGHUP' || reloads.size === 0 || terminalGone()) callback(signal)
      }
      for (const signal of STOP_SIGNALS) process.on(signal, handler)
      return () => {
        for (const signal of STOP_SIGNALS) process.off(signal, handler)
      }
    },
    onReload: (callback) => {
      const handler = (): void => {
        if (!terminalGone()) callback()
      }
      reloads.add(handler)
      process.on('SIGHUP', handler)
      return () => {
        reloads.delete(handler)
        process.off('SIGHUP', handler)
      }
    },
  }
}

/** Elsewhere one may listen at 127.0.0.1 while another does at every address. */
const isCertain = process.platform === 'linux'

/** By listening there for a moment: a connection would be a client of the program, which may take only one. */
function isFree(address: string, port: number): Promise<boolean | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EADDRINUSE' ? false : undefined))
    server.listen({ host: address, port, exclusive: true }, () =>
      server.close(() => resolve(isCertain ? true : undefined)),
    )
  })
}

async function kindOf(path: string): Promise<'folder' | 'file' | 'socket' | undefined> {
  const stats = await stat(path).catch(() => undefined)
  if (stats === undefined) return undefined
  return stats.isDirectory() ? 'folder' : stats.isSocket() ? 'socket' : 'file'
}

const MODULES: Modules = {
  gateway: () => import('../gateway/gateway.ts'),
  rendezvous: () => import('../server/rendezvous.ts'),
  registry: () => import('../runtime/net/ask-registry.ts'),
  admin: () => import('../admin/server.ts'),
  checkUp: () => import('../gateway/diagnose/doctor-offline.ts'),
  observe: () => import('../observe/server.ts'),
  log: () => import('../runtime/log.ts'),
}

async function readLine(): Promise<string> {
  let text = ''
  process.stdin.setEncoding('utf8')
  for await (const part of process.stdin) {
    text += String(part)
    if (text.includes('\n') || text.length > MAX_LINE_CHARS) break
  }
  return text.slice(0, MAX_LINE_CHARS).split('\n', 1)[0]!.trim()
}

/** A ticket has at most about 1,000 characters. */
const MAX_LINE_CHARS = 8_192

/** We had a terminal and it has hung up: it can no longer be opened. */
function terminalGone(): boolean {
  if (!HAD_TERMINAL) return false
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return false
  } catch {
    return true
  }
}

const HAD_TERMINAL = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY

/** SIGHUP: the terminal went away, or a reload is requested. */
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
