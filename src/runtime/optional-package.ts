/** Packages that only some users need, which npm does not install on its own (`peerDependencies`, optional). */
import { PilotError } from '../base/errors.ts'

/**
 * Loads one with `load`, an `import()` of it.
 * @param need what needs it, as the subject of a sentence.
 * @throws PilotError FAILED with installation instructions if it is missing; any other error unchanged.
 */
export async function optionalPackage<T>(name: string, need: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    if (!isMissing(error, name)) throw error
    const hint = `Run \`npm install ${name}\` where pilotgate is installed (with -g if it was installed with -g), then start again.`
    throw new PilotError(
      'FAILED',
      `${need} needs the package ${name}, which is not installed`,
      { package: name },
      error,
      hint,
    )
  }
}

/** Whether it is installed; `load` as above. Any other failure of `load` is thrown. */
export async function isInstalled(name: string, load: () => Promise<unknown>): Promise<boolean> {
  try {
    await load()
    return true
  } catch (error) {
    if (isMissing(error, name)) return false
    throw error
  }
}

/** Whether `import()` failed because this package is missing, not because of an error inside it. */
function isMissing(error: unknown, name: string): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return code === 'ERR_MODULE_NOT_FOUND' && typeof message === 'string' && message.includes(`'${name}'`)
}
