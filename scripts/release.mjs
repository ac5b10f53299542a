/**
 * node scripts/release.mjs VERSION [--dry-run]: makes a release of a clean checkout, as docs/release.md describes: version,
 * section of the changelog, package, check of the package as users get it, checksums, commit and tag. It pushes and
 * publishes nothing. With --dry-run, or if a step fails, the checkout is left unchanged.
 */
import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ROOT, ScriptError, install, mustRun, script } from './lib.mjs'

const CHANGED = ['package.json', 'package-lock.json', 'CHANGELOG.md']
const OUT = join(ROOT, 'release') // not committed, not in the package

async function release(version, dryRun) {
  if (!isVersion(version)) throw new ScriptError(`"${version}" is not a version such as 1.2.3 or 1.2.3-rc.1`)
  const tag = `v${version}`
  if (git('tag', '--list', tag) !== '') throw new ScriptError(`the tag ${tag} is there already`)
  const dirty = git('status', '--porcelain')
  if (dirty !== '') throw new ScriptError(`commit or remove these first:\n${dirty}`)
  await install()
  let finished = false
  try {
    writeVersion(version)
    rewrite('CHANGELOG.md', (text) => releasedChangelog(text, version, new Date().toISOString().slice(0, 10)))
    const file = await pack()
    await checkPackage(file, version)
    writeSums(file)
    writeFileSync(join(OUT, 'NOTES.md'), `${notesOf(readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8'), version)}\n`)
    if (!dryRun) {
      git('add', ...CHANGED)
      git('commit', '--quiet', '-m', `release: ${tag}`)
      git('tag', '--annotate', tag, '-m', `pilotgate ${version}`)
    }
    finished = !dryRun
  } finally {
    if (!finished) git('checkout', '--quiet', 'HEAD', '--', ...CHANGED)
  }
  console.log(
    dryRun
      ? `dry run: nothing committed, no tag; see ${OUT}`
      : `${tag} is committed and tagged; see ${OUT}, then docs/release.md, "Publish"`,
  )
}

async function pack() {
  rmSync(OUT, { recursive: true, force: true })
  mkdirSync(OUT)
  rmSync(join(ROOT, 'dist'), { recursive: true, force: true }) // nothing from an older build gets in
  await mustRun(process.execPath, [join(ROOT, 'scripts/build.mjs')], { timeoutMs: 180_000 })
  const name = npm(ROOT, ['pack', '--silent', '--pack-destination', OUT]).trim().split('\n').at(-1)
  return join(OUT, name)
}

/** As a user: an empty folder, the registry's dependencies, no scripts; then the demonstration checks itself. */
async function checkPackage(file, version) {
  const folder = mkdtempSync(join(tmpdir(), 'pilotgate-release-'))
  try {
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
    npm(folder, ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--silent', file])
    const program = join(folder, 'node_modules/pilotgate/dist/cli/main.js')
    const printed = execFileSync(process.execPath, [program, '--version'], { cwd: folder, encoding: 'utf8' }).trim()
    if (printed !== version) throw new ScriptError(`the package says it is ${printed}, not ${version}`)
    execFileSync(process.execPath, [program, 'demo', '--check'], { cwd: folder, stdio: 'inherit', timeout: 60_000 })
  } catch (error) {
    throw error instanceof ScriptError ? error : new ScriptError(`the package does not work: ${error.message}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** In the format of `sha256sum -c`. */
function writeSums(file) {
  const digest = createHash('sha256').update(readFileSync(file)).digest('hex')
  const line = `${digest}  ${file.split('/').at(-1)}\n`
  writeFileSync(join(OUT, 'SHA256SUMS'), line)
  console.log(line.trim())
}

function writeVersion(version) {
  rewrite('package.json', (text) => withVersion(text, version))
  rewrite('package-lock.json', (text) => {
    const lock = JSON.parse(text)
    lock.version = version
    lock.packages[''].version = version
    return `${JSON.stringify(lock, null, 2)}\n`
  })
}

export function withVersion(manifest, version) {
  return manifest.replace(/^( {2}"version": )"[^"]*"/m, `$1"${version}"`)
}

export function isVersion(text) {
  return /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$/.test(text)
}

/** The entries under "Unreleased" become the section of this version; a new "Unreleased" stands above it. */
export function releasedChangelog(text, version, date) {
  const heading = /^## Unreleased.*$/m.exec(text)
  if (heading === null) throw new ScriptError('CHANGELOG.md has no section "Unreleased"')
  const released = `${text.slice(0, heading.index)}## Unreleased\n\n## ${version} (${date})${text.slice(heading.index + heading[0].length)}`
  if (!/^- /m.test(notesOf(released, version))) throw new ScriptError('CHANGELOG.md says nothing under "Unreleased"')
  return released
}

/** The section of one version, without its heading. */
export function notesOf(text, version) {
  const start = text.indexOf(`\n## ${version} (`)
  if (start < 0) throw new ScriptError(`CHANGELOG.md has no section ${version}`)
  const body = text.slice(text.indexOf('\n', start + 1) + 1)
  const end = body.search(/^## /m)
  return (end < 0 ? body : body.slice(0, end)).trim()
}

function rewrite(name, change) {
  const path = join(ROOT, name)
  writeFileSync(path, change(readFileSync(path, 'utf8')))
}

function git(...args) {
  return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim()
}

function npm(cwd, args) {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], timeout: 180_000 })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2)
  const version = args.find((arg) => !arg.startsWith('--')) ?? ''
  await script(() => release(version, args.includes('--dry-run')))
}
