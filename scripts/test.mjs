/**
 * npm test: installs and builds what is missing, then runs every check and test in order of cost.
 *   node scripts/test.mjs                 everything
 *   node scripts/test.mjs sim fuzz        these groups only
 *   node scripts/test.mjs test/unit/x.test.ts   these files only
 *   node scripts/test.mjs --ci            everything, on every Node version too; installs the Debian programs that tests drive, where it may
 */
import { build, install, script } from './lib.mjs'
import { installPrograms } from './programs.mjs'
import { CI_STEPS, DEFAULT_STEPS, runFiles, runInterop, runSteps } from './steps.mjs'

await script(async () => {
  const args = process.argv.slice(2)
  const wanted = args.filter((arg) => arg !== '--ci')
  const files = wanted.filter((arg) => arg.endsWith('.test.ts'))
  const steps = wanted.filter((arg) => !arg.endsWith('.test.ts'))
  await install()
  await installPrograms({ mayInstall: args.includes('--ci') })
  if (
    wanted.length === 0 ||
    ['e2e', 'nat', 'interop', 'interop-long', 'node-versions'].some(
      (name) => steps.includes(name) || files.some((file) => file.includes(`test/${name}/`)),
    )
  )
    await build()
  if (files.length > 0 && files.every((file) => file.includes('test/interop/'))) return await runInterop('files', files)
  if (files.length > 0) return await runFiles('files', files)
  return await runSteps(steps.length > 0 ? steps : args.includes('--ci') ? CI_STEPS : DEFAULT_STEPS)
})
