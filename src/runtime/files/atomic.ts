/** Small state files, read and written atomically. */
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { chmod, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makeFolder, makeFolderNow } from './folder.ts'

/**
 * Writes a temporary file, flushes it, renames it over the old one, and flushes the folder: a crash leaves the old or
 * the new text, never half of it; once the promise has resolved, always the new.
 */
export async function writeFileAtomically(path: string, text: string, mode = 0o600): Promise<void> {
  await makeFolder(dirname(path))
  const temporary = join(dirname(path), `.${process.pid}.${counter++}.tmp`)
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await chmod(temporary, mode)
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** The same, synchronously, for data that must be on disk before anything acts on it. */
export function writeFileAtomicallyNow(path: string, text: string, mode = 0o600): void {
  makeFolderNow(dirname(path))
  const temporary = join(dirname(path), `.${process.pid}.${counter++}.tmp`)
  try {
    const file = openSync(temporary, 'wx', 0o600)
    try {
      writeFileSync(file, text)
      fchmodSync(file, mode)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
    syncFolderNow(dirname(path))
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

/** A rename is on disk only when its folder is (fsync(2)). Windows has no such call for folders, and journals renames. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function syncFolderNow(folder: string): void {
  if (process.platform === 'win32') return
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

let counter = 0
