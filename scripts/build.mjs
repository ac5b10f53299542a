/**
 * npm run build: src → dist. The program and the library are bundled into a few files, so that a command loads what it
 * needs in a few reads; the declarations are those that the library's own lead to.
 */
import { chmodSync, readFileSync, rmSync, utimesSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ROOT, bin, filesBelow, install, linkProgram, mustRun, script } from './lib.mjs'

const DIST = join(ROOT, 'dist')
const MAIN = join(DIST, 'cli/main.js')
const NATIVE = join(DIST, 'native/') // made by native.mjs
const ENTRIES = ['cli/main', 'index', 'api/testnet'] // as in package.json
const DECLARED = ENTRIES.slice(1).map((name) => join(DIST, `${name}.d.ts`))

await script(async () => {
  await install()
  const began = new Date()
  // In place, and nothing at all if a type is wrong: a gateway that runs from dist keeps its files.
  await mustRun(bin('tsc'), ['-p', 'tsconfig.build.json', '--noEmitOnError'], { timeoutMs: 120_000 })
  const wanted = new Set([...(await bundle()), ...declarations(DECLARED)])
  for (const file of filesBelow(DIST)) if (!wanted.has(file) && !file.startsWith(NATIVE)) rmSync(file)
  chmodSync(MAIN, 0o755)
  linkProgram()
  utimesSync(MAIN, began, began) // a source edited while we built is newer than this
})

/**
 * Not minified: a stack trace shows the names of the source. Packages stay outside, where `npm audit` sees them and
 * updates reach them. @returns The files written.
 */
async function bundle() {
  const { build } = await import('esbuild') // only now: it may just have been installed
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ENTRIES.map((name) => `src/${name}.ts`),
    outbase: 'src',
    outdir: 'dist',
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true, // the program and the library share their classes; a dynamic import stays one
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    packages: 'external',
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
  })
  return Object.keys(metafile.outputs).map((path) => join(ROOT, path))
}

/** The declarations that these import, directly or not: the rest describes what nobody can import. */
function declarations(entries) {
  const found = new Set(entries)
  for (const file of found)
    for (const [, path] of readFileSync(file, 'utf8').matchAll(/(?:from|import\()\s*["'](\.[^"']+)["']/g))
      found.add(join(dirname(file), path.replace(/\.(ts|js)$/, '.d.ts')))
  return found
}
