/**
 * npm run bench [-- --quick] [-- --only ROW-OR-WAY,…] [-- --out FOLDER]: builds what is missing, then measures the gateways
 * against everything a user would pick instead. `node scripts/bench.mjs check` is npm run bench:check.
 */
import { build, install, run, script } from './lib.mjs'

await script(async () => {
  const args = process.argv.slice(2)
  await install()
  if (args[0] === 'check')
    return await run(process.execPath, ['--import', 'tsx', 'bench/micro/run.ts', ...args.slice(1)], {
      timeoutMs: 300_000,
    })
  await build()
  return await run(process.execPath, ['--import', 'tsx', 'bench/run.ts', ...args], { timeoutMs: 3_600_000 })
})
