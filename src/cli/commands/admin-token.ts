/** The registry's admin token: from a file or the environment, never from the command line, which everyone can read. */
import { readFile, stat } from 'node:fs/promises'
import { PilotError } from '../../base/errors.ts'
import type { World } from '../world.ts'

/** @throws PilotError USAGE for a file that cannot be read, and a token that could be guessed. */
export async function readAdminToken(file: string | undefined, world: World): Promise<string | undefined> {
  let token = world.env['PILOTGATE_ADMIN_TOKEN'] ?? ''
  if (file !== undefined) {
    token = (
      await readFile(file, 'utf8').catch((error: Error) => {
        throw new PilotError('USAGE', `--admin-token-file: ${error.message}`, { file }, error)
      })
    ).trim()
    const { mode } = await stat(file)
    if ((mode & 0o077) !== 0 && process.platform !== 'win32')
      world.err(`warning: others on this machine may read ${file}: run \`chmod 600 ${file}\`\n`)
  }
  if (token === '' && file === undefined) return undefined
  if (token.length >= MIN_TOKEN_CHARS) return token
  throw new PilotError('USAGE', `the admin token has fewer than ${MIN_TOKEN_CHARS} characters: it could be guessed`, {})
}

const MIN_TOKEN_CHARS = 16
