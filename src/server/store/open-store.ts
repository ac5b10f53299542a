/** Chooses the store of a folder: the kind it already has; for a new one lmdb if installed, otherwise the journal. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { isInstalled } from '../../runtime/optional-package.ts'
import { JOURNAL_FILE, openJournalStore } from './journal-store.ts'
import { openLmdbStore } from './lmdb-store.ts'
import type { RegistryStore } from './store.ts'

/**
 * @throws PilotError like the stores; FAILED with installation instructions if the folder holds lmdb and the package is
 *   missing.
 */
export async function openStore(directory: string): Promise<RegistryStore> {
  if (existsSync(join(directory, JOURNAL_FILE))) return await openJournalStore(directory)
  if (existsSync(join(directory, LMDB_FILE)) || (await isInstalled('lmdb', () => import('lmdb'))))
    return await openLmdbStore(directory)
  return await openJournalStore(directory)
}

const LMDB_FILE = 'data.mdb'
