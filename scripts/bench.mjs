/** npm run bench [-- --quick]: builds what is missing, then measures the gateway pair against a proxy pair. */
import { spawnSync } from 'node:child_process'
import { build, install, script } from './lib.mjs'

await script(async () => {
  await install()
  await build()
  return spawnSync(process.execPath, ['--import', 'tsx', 'bench/gateway.bench.ts', ...process.argv.slice(2)], { stdio: 'inherit' }).status ?? 1
})
