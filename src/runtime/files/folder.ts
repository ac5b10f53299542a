/**
 * A folder with its parents, made step by step: Node's recursive mkdir never returns on a file system that answers
 * ENOENT to everything, such as /proc, and cannot be interrupted.
 */
import { mkdirSync, statSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Private to the user, if it is new. @throws the error of the first step that fails. */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 })
  } catch (error) {
    if (isMissingParent(error, folder)) {
      await makeFolder(dirname(folder))
      await mkdir(folder, { mode: 0o700 }).catch(ignoreExisting)
    } else if ((await stat(folder).catch(() => undefined))?.isDirectory() !== true) throw error
  }
}

export function makeFolderNow(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    if (isMissingParent(error, folder)) {
      makeFolderNow(dirname(folder))
      try {
        mkdirSync(folder, { mode: 0o700 })
      } catch (second) {
        ignoreExisting(second)
      }
    } else if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw error
  }
}

function isMissingParent(error: unknown, folder: string): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT' && dirname(folder) !== folder
}

/** Another process was faster. */
function ignoreExisting(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
}
