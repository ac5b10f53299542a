/** What `share` is asked to share: a port, a socket, a folder, or a command. */
import { join, resolve } from 'node:path'
import { PilotError } from '../../base/errors.ts'
import { formatTarget, parseTarget, type Target } from '../../gateway/model/expose-spec.ts'
import type { World } from '../world.ts'

export interface Shared {
  readonly target: Target
  readonly protocol: 'tcp' | 'udp'
  readonly port: number | undefined // its own; undefined: it has none
  readonly what: string // for people
}

/** @param command the words after `--`. @throws PilotError USAGE. */
export async function sharedOf(
  written: readonly string[],
  command: readonly string[] | undefined,
  world: World,
): Promise<Shared> {
  if (command !== undefined && command.length > 0 && written.length === 0) return commandOf(command, world.cwd)
  const [target] = written
  if (target === undefined || written.length > 1 || command !== undefined)
    throw new PilotError(
      'USAGE',
      `share: expected one target, or a command after "--"`,
      {},
      undefined,
      'For example `pilotgate share 3000`, `pilotgate share ./folder` or `pilotgate share -- cat`.',
    )
  if (/^(\.{1,2}(\/.*)?|\/.*)$/s.test(target)) return await pathOf(target, world)
  const udp = /^([^/]+)\/udp$/.exec(target)?.[1]
  try {
    return serviceOf(parseTarget(udp ?? target, udp === undefined ? 'tcp' : 'udp'))
  } catch (error) {
    if (!(error instanceof PilotError) || (await world.kindOf(resolve(world.cwd, target))) !== 'folder') throw error
    throw new PilotError(
      'USAGE',
      `share "${target}": this is not a port`,
      { target },
      error,
      `To share the folder: \`pilotgate share ./${target}\`.`,
    )
  }
}

function serviceOf(target: Target): Shared {
  const protocol = target.kind === 'udp' ? 'udp' : 'tcp'
  const port = 'port' in target ? target.port : undefined
  return { target, protocol, port, what: formatTarget(target).replace(/^(tcp|udp):\/\//, '') }
}

async function pathOf(written: string, world: World): Promise<Shared> {
  const path = resolve(world.cwd, written)
  const kind = await world.kindOf(path)
  if (kind === 'socket') return serviceOf(parseTarget(`unix:${path}`))
  if (kind === 'folder') {
    const target = parseTarget(`folder:${path}`)
    return { target, protocol: 'tcp', port: undefined, what: path }
  }
  throw new PilotError(
    'USAGE',
    kind === 'file'
      ? `share "${written}": this is a file, not a folder`
      : `share "${written}": there is no such folder`,
    { path },
    undefined,
    kind === 'file' ? `Share its folder: \`pilotgate share ${folderOf(written)}\`.` : 'Check the path.',
  )
}

function folderOf(written: string): string {
  const folder = join(written, '..')
  return folder.startsWith('/') || folder.startsWith('.') ? folder : `./${folder}`
}

/** In the folder where it was typed, whichever gateway starts it. */
function commandOf(words: readonly string[], cwd: string): Shared {
  const command = words.map(quoted).join(' ')
  const target = parseTarget(`exec:cd ${quoted(cwd)} && exec ${command}`)
  return { target, protocol: 'tcp', port: undefined, what: command }
}

/** One word for /bin/sh. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
}
