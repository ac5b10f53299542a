/**
 * npm start: the demonstration on a fresh checkout. Installs and builds what is missing, then becomes
 * `pilotgate demo`: in this same process, so that signals, standard streams and the exit code are its own.
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
  endWithParent()
  await import(pathToFileURL(main).href)
}

/** SIGTERM to npm ends the shell between npm and us, which does not forward it: without this we would keep running. */
function endWithParent() {
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    process.kill(process.pid, 'SIGTERM')
  }, 500)
  timer.unref()
}
