/** package.json, package-lock.json and the reasons that CONTRIBUTING.md gives for each package are one list. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from '../architecture/source.ts'

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly engines: { readonly node: string }
}

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')
const manifest = JSON.parse(read('package.json')) as Manifest
const { packages } = JSON.parse(read('package-lock.json')) as {
  packages: Readonly<Record<string, { integrity?: string; hasInstallScript?: boolean; dev?: boolean }>>
}
const section = /^## Dependencies\n([\s\S]*?)^## /m.exec(read('CONTRIBUTING.md'))![1]!

test('CONTRIBUTING.md gives a reason for every package that users install, and for no other', () => {
  const reasons = [...section.matchAll(/^\| `([^`]+)` \| (.{20,}) \|$/gm)].map((match) => match[1]!)
  const installed = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies)]
  assert.deepEqual(reasons.toSorted(), installed.toSorted())
})

test('and names every package for development', () => {
  const paragraph = section.slice(section.indexOf('For development'))
  const optional = Object.keys(manifest.peerDependencies)
  for (const name of Object.keys(manifest.devDependencies))
    if (!optional.includes(name) && !name.startsWith('@types/')) assert.ok(paragraph.includes(`\`${name}\``), name)
})

test('a checkout has the optional packages, in the range that users are asked for', () => {
  for (const [name, range] of Object.entries(manifest.peerDependencies))
    assert.equal(manifest.devDependencies[name], range, name)
})

test('every locked package has a hash, and none that users install runs code at installation', () => {
  const entries = Object.entries(packages).filter(([path]) => path !== '')
  assert.ok(entries.length > 50)
  assert.deepEqual(
    entries.filter(([, { integrity }]) => integrity?.startsWith('sha512-') !== true).map(([path]) => path),
    [],
    'run node scripts/lock.mjs',
  )
  assert.deepEqual(
    entries.filter(([, { hasInstallScript, dev }]) => hasInstallScript === true && dev !== true).map(([path]) => path),
    [],
  )
})

test('every Node version that the tests run on is one that package.json admits', () => {
  const [, lowest] = /^>=(\d+\.\d+)\.\d+$/.exec(manifest.engines.node)!
  const versions = JSON.parse(read('scripts/node-versions.json')) as string[]
  for (const version of versions) assert.ok(Number.parseFloat(version) >= Number(lowest), version)
})
