/** The machine and the versions the figures depend on. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { ROOT } from '../test/e2e/program.ts'
import { goVersion } from './go.ts'
import type { Machine } from './results.ts'
import { natsVersion } from './ways.ts'

export function machine(): Machine {
  const all = cpus()
  const isContainer = existsSync('/.dockerenv') ? ', in a container' : ''
  return {
    cpus: `${all.length} × ${(all[0]?.model ?? 'unknown processor').trim()}`,
    memory: `${Math.round(totalmem() / 1_073_741_824)} GiB`,
    system: `${type()} ${release()}${isContainer}`,
  }
}

export function versions(): Record<string, string> {
  const [nats, go] = [natsVersion(), goVersion()]
  return {
    Node: process.version,
    OpenSSL: process.versions.openssl,
    pilotgate: packageVersion(join(ROOT, 'package.json')),
    '@grpc/grpc-js': packageVersion(createRequire(import.meta.url).resolve('@grpc/grpc-js/package.json')),
    ...(nats !== undefined && { 'nats-server': nats.replace(/^nats-server:? /, '') }),
    ...(go !== undefined && { 'pilot-daemon': go }),
  }
}

/** Of the checkout; says if the tree was changed since. */
export function gitDescribe(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty', '--tags'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return 'an unknown commit'
  }
}

function packageVersion(file: string): string {
  return String((JSON.parse(readFileSync(file, 'utf8')) as { readonly version: unknown }).version)
}
