/** npm run build: src → dist. Types are checked, assets are copied, what has no source any more is removed. */
import { chmodSync, copyFileSync, mkdirSync, rmSync, utimesSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { ROOT, bin, filesBelow, install, linkProgram, mustRun, script } from './lib.mjs'

const SRC = join(ROOT, 'src')
const DIST = join(ROOT, 'dist')
const MAIN = join(DIST, 'cli/main.js')

await script(async () => {
  await install()
  const began = new Date()
  // In place, and nothing at all when a type is wrong: a gateway that runs from dist keeps its files.
  await mustRun(bin('tsc'), ['-p', 'tsconfig.build.json', '--noEmitOnError'], { timeoutMs: 120_000 })
  copyAssets()
  prune()
  chmodSync(MAIN, 0o755)
  linkProgram()
  utimesSync(MAIN, began, began) // a source edited while we built is newer than this
})

function copyAssets() {
  for (const file of filesBelow(SRC).filter(isAsset)) {
    const copy = join(DIST, relative(SRC, file))
    mkdirSync(dirname(copy), { recursive: true })
    copyFileSync(file, copy)
  }
}

function prune() {
  const wanted = new Set(
    filesBelow(SRC).flatMap((file) => {
      const path = relative(SRC, file)
      if (isAsset(file)) return [path]
      const stem = path.replace(/\.ts$/, '')
      return [`${stem}.js`, `${stem}.js.map`, `${stem}.d.ts`]
    }),
  )
  for (const file of filesBelow(DIST)) if (!wanted.has(relative(DIST, file))) rmSync(file)
}

function isAsset(file) {
  return !file.endsWith('.ts') && !file.endsWith('README.md')
}
