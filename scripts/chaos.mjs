/** npm run test:chaos: installs and builds what is missing, then test/chaos/run.ts with the same arguments. No time limit: it may run for days. */
import { spawn } from 'node:child_process'
import { build, install, ROOT, script } from './lib.mjs'

await script(async () => {
  await install()
  await build()
  const args = ['--import', 'tsx', 'test/chaos/run.ts', ...process.argv.slice(2)]
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'inherit' })
  return await new Promise((resolve) => {
    child.once('exit', (code) => resolve(code ?? 1))
  })
})
