/** What operators rely on in the unit files: a reload that the program understands, and options that exist. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from '../architecture/source.ts'

test('each unit can be reloaded, and hides its state from others', () => {
  const units = readdirSync(join(ROOT, 'systemd')).filter((name) => name.endsWith('.service'))
  assert.ok(units.length >= 2)
  for (const unit of units) {
    const text = readFileSync(join(ROOT, 'systemd', unit), 'utf8')
    assert.match(text, /^ExecReload=\/bin\/kill -HUP \$MAINPID$/m, unit)
    assert.match(text, /^StateDirectoryMode=0700$/m, unit)
  }
})
