/** What scripts/release.mjs does to the changelog and the version, and what it refuses. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

const { isVersion, notesOf, releasedChangelog, withVersion } = (await import(
  String(new URL('../../../scripts/release.mjs', import.meta.url))
)) as {
  isVersion(text: string): boolean
  notesOf(text: string, version: string): string
  releasedChangelog(text: string, version: string, date: string): string
  withVersion(manifest: string, version: string): string
}

const CHANGELOG = '# Changelog\n\n## Unreleased: 0.2.0\n\n- **gateway**: maps.\n\n## 0.1.0 (2026-01-01)\n\n- first\n'

test("the unreleased section becomes the version's, and the notes contain only that section", () => {
  const released = releasedChangelog(CHANGELOG, '0.2.0', '2026-12-01')
  assert.match(released, /^## Unreleased\n\n## 0\.2\.0 \(2026-12-01\)\n\n- \*\*gateway\*\*: maps\.\n\n## 0\.1\.0/m)
  assert.equal(notesOf(released, '0.2.0'), '- **gateway**: maps.')
  assert.equal(notesOf(released, '0.1.0'), '- first')
})

test('a changelog without entries, or without the section, is refused', () => {
  assert.throws(
    () => releasedChangelog('# Changelog\n\n## Unreleased\n\n## 0.1.0 (2026-01-01)\n\n- x\n', '0.2.0', 'd'),
    /nothing/,
  )
  assert.throws(() => releasedChangelog('# Changelog\n', '0.2.0', 'd'), /no section/)
  assert.throws(() => notesOf(CHANGELOG, '9.9.9'), /no section/)
})

test("only semver versions are accepted, and only the package's own version is changed", () => {
  for (const good of ['0.1.0', '10.20.30', '1.0.0-rc.1']) assert.ok(isVersion(good), good)
  for (const bad of ['', 'v1.0.0', '1.0', '01.0.0', '1.0.0 ', '1.0.0-']) assert.ok(!isVersion(bad), bad)
  const manifest = '{\n  "version": "0.1.0",\n  "nested": {\n    "version": "7"\n  }\n}'
  assert.equal(withVersion(manifest, '0.2.0'), manifest.replace('0.1.0', '0.2.0'))
})
