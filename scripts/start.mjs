/**
 * npm start: the demonstration on a fresh checkout. Installs and builds what is missing, then becomes
 * `pilotgate demo`: in this very process, so that signals, standard streams and the exit code are its own.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT, build, install, script } from './lib.mjs'

await script(async () => {
  await install()
  await build()
})

if (process.exitCode === 0) {
  const main = join(ROOT, 'dist/cli/main.js')
  process.argv = [process.argv[0], main, 'demo', ...process.argv.slice(2)]
  await import(pathToFileURL(main).href)
}
