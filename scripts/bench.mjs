/**
 * npm run bench [-- --quick] [-- --only ROW-OR-WAY,…] [-- --out FOLDER]: builds what is missing, then measures the gateways
 * against everything a user would pick instead. `check` is npm run bench:check, `rendezvous` is
 * npm run bench:rendezvous.
 */
import { build, install, run, script } from './lib.mjs'
import { buildNative } from './native.mjs'

await script(async () => {
  const args = process.argv.slice(2)
  await install()
  if (args[0] === 'check')
    return await run(process.execPath, ['--import', 'tsx', 'bench/micro/run.ts', ...args.slice(1)], {
      timeoutMs: 300_000,
    })
  await build()
  await buildNative()
  if (args[0] === 'rendezvous')
    return await run(process.execPath, ['--import', 'tsx', 'bench/rendezvous/run.ts', ...args.slice(1)], {
      timeoutMs: 1_800_000,
    })
  return await run(process.execPath, ['--import', 'tsx', 'bench/run.ts', ...args], { timeoutMs: 3_600_000 })
})
