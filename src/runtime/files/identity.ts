/** The identity and trust files on disk, in the form that pilot daemons read and write (trust.md §1.2, §4.8). */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PilotError } from '../../base/errors.ts'
import type { RandomBytes } from '../../base/types.ts'
import type { Identity } from '../../crypto/identity.ts'
import { createIdentity, formatIdentityFile, parseIdentityFile } from '../../crypto/identity.ts'
import type { TrustFile } from '../../wire/trust-file.ts'
import { formatTrustFile, parseTrustFile } from '../../wire/trust-file.ts'
import { writeFileAtomically } from './atomic.ts'

/** Identity and trust of a node; without a path both are new, and `trustFile` is undefined: nothing is kept. */
export async function loadState(
  path: string | undefined,
  random: RandomBytes,
): Promise<{ identity: Identity; trust: TrustFile; trustFile: string | undefined }> {
  if (path === undefined)
    return { identity: createIdentity(random(32)), trust: { trusted: [], pending: [] }, trustFile: undefined }
  const identity = await loadIdentity(path, random)
  return { identity, trust: await loadTrust(trustPath(path)), trustFile: trustPath(path) }
}

/**
 * Loads the identity, or creates one if there is no file yet.
 * @throws PilotError IDENTITY_UNREADABLE, IDENTITY_EXPOSED (others may read it) or IDENTITY_INVALID. An existing file
 *   is never replaced: the key is the node.
 */
export async function loadIdentity(path: string, random: RandomBytes): Promise<Identity> {
  const text = await readPrivateFile(path)
  if (text === undefined) {
    const seed = random(32)
    await writeFileAtomically(path, formatIdentityFile(seed)).catch((error: unknown) => {
      const { code } = error as NodeJS.ErrnoException
      const isFull = code === 'ENOSPC' || code === 'EDQUOT'
      throw new PilotError(
        isFull ? 'STATE_UNWRITABLE' : 'IDENTITY_UNREADABLE',
        `${path}: the new identity cannot be written: ${messageOf(error)}`,
        { path },
        error,
        isFull ? 'The disk is full: free some space, or name a folder elsewhere with --state-dir.' : undefined,
      )
    })
    return createIdentity(seed)
  }
  const seed = parseIdentityFile(text)
  if (typeof seed === 'string')
    throw new PilotError('IDENTITY_INVALID', `${path}: ${IDENTITY_FAULTS[seed]}`, { path, fault: seed })
  return createIdentity(seed)
}

/** trust.json beside the identity file. */
export function trustPath(identityPath: string): string {
  return join(dirname(identityPath), 'trust.json')
}

/** @throws PilotError FAILED if the file exists but cannot be used: trust is neither lost nor invented. */
export async function loadTrust(path: string): Promise<TrustFile> {
  const text = await readTextFile(path)
  if (text === undefined) return { trusted: [], pending: [] }
  const file = parseTrustFile(text)
  if (typeof file === 'string')
    throw new PilotError('FAILED', `${path}: not a trust file (${file}); move it away to start with no trust`, {
      path,
      fault: file,
    })
  return file
}

export async function saveTrust(path: string, file: TrustFile): Promise<void> {
  await writeFileAtomically(path, formatTrustFile(file))
}

async function readPrivateFile(path: string): Promise<string | undefined> {
  return await withFile(path, async (file) => {
    const { mode, uid } = await file.stat()
    // Kubernetes mounts a Secret as root:fsGroup 0440: then the group is ours, and we cannot change the mode.
    const open = uid === process.getuid?.() ? mode & 0o077 : mode & 0o037
    if (open !== 0 && process.platform !== 'win32') {
      throw new PilotError(
        'IDENTITY_EXPOSED',
        `${path} has mode ${(mode & 0o777).toString(8).padStart(4, '0')}: others can read the private key`,
        { path },
      )
    }
    return await file.readFile('utf8')
  })
}

async function readTextFile(path: string): Promise<string | undefined> {
  return await withFile(path, async (file) => await file.readFile('utf8'))
}

async function withFile<T>(
  path: string,
  use: (file: Awaited<ReturnType<typeof open>>) => Promise<T>,
): Promise<T | undefined> {
  let file
  try {
    file = await open(path, constants.O_RDONLY)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new PilotError('IDENTITY_UNREADABLE', `${path} cannot be read: ${messageOf(error)}`, { path }, error)
  }
  try {
    return await use(file)
  } catch (error) {
    if (error instanceof PilotError) throw error
    throw new PilotError('IDENTITY_UNREADABLE', `${path} cannot be read: ${messageOf(error)}`, { path }, error)
  } finally {
    await file.close()
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

const IDENTITY_FAULTS = {
  not_json: 'not a JSON object',
  bad_private_key: 'private_key is not 64 bytes in base64',
  bad_public_key: 'public_key is not 32 bytes in base64',
  key_mismatch: 'public_key does not belong to private_key',
} as const
