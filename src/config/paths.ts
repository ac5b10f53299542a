/**
 * Where the state, the identity and the admin socket are. Every command asks this, so it loads neither the schema nor
 * the parser of the file.
 */
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { PilotError } from '../base/errors.ts'
import { MAX_SOCKET_PATH_BYTES } from '../gateway/model/listen.ts'
import type { Environment } from './env.ts'
import type { Sources } from './sources.ts'

/** Where a command finds the gateway: --admin, PILOTGATE_ADMIN, or the default of the state folder. */
export function resolveAdminSocket(sources: Omit<Sources, 'file'>): string {
  return adminSocketOf(sources, stateDirOf(sources))
}

export function stateDirOf(sources: Sources): string {
  const { env, file } = sources
  const given = sources.flags.stateDir ?? variable(env, 'STATE_DIR')
  if (given !== undefined) return resolve(expandHome(given, env))
  if (file?.config.node.stateDir !== undefined) return resolve(file.folder, expandHome(file.config.node.stateDir, env))
  // The XDG specification ignores relative paths.
  const base = env.XDG_STATE_HOME?.startsWith('/') === true ? env.XDG_STATE_HOME : join(home(env), '.local/state')
  return join(base, 'pilotgate')
}

export function identityFileOf({ flags, env, file }: Sources, stateDir: string): string {
  const given = flags.identity ?? variable(env, 'IDENTITY')
  if (given !== undefined) return resolve(expandHome(given, env))
  return resolve(stateDir, expandHome(file?.config.node.identity ?? 'identity.json', env))
}

export function adminSocketOf({ flags, env, file }: Sources, stateDir: string): string {
  const given = flags.admin ?? variable(env, 'ADMIN')
  const written = file?.config.admin.socket
  const fromFile =
    written === undefined ? join(stateDir, 'admin.sock') : resolve(file!.folder, expandHome(written, env))
  const path = given === undefined ? fromFile : resolve(expandHome(given, env))
  const bytes = Buffer.byteLength(path)
  if (bytes > MAX_SOCKET_PATH_BYTES)
    throw new PilotError(
      'USAGE',
      `admin socket ${path}: a Unix socket path has at most ${MAX_SOCKET_PATH_BYTES} bytes, this has ${bytes}; name a shorter one with --admin`,
      { path, bytes },
    )
  return path
}

/** An empty variable counts as absent: compose files and unit files unset them this way. */
export function variable(env: Environment, name: string): string | undefined {
  const value = env[`PILOTGATE_${name}`]
  return value === '' ? undefined : value
}

/** List variables are separated by white space, because specs contain commas. */
export function words(env: Environment, name: string): string[] {
  return (variable(env, name) ?? '').split(/\s+/).filter((word) => word !== '')
}

export function expandHome(path: string, env: Environment): string {
  return path === '~' || path.startsWith('~/') ? join(home(env), path.slice(1)) : path
}

/** @throws PilotError USAGE if there is neither HOME nor an entry for the user, as in many containers. */
function home(env: Environment): string {
  if (env.HOME !== undefined && env.HOME !== '') return env.HOME
  try {
    return homedir()
  } catch (error) {
    throw new PilotError(
      'USAGE',
      'HOME is not set, and this user has no home folder',
      {},
      error,
      'Name a folder for the state with --state-dir or PILOTGATE_STATE_DIR, or set HOME.',
    )
  }
}
