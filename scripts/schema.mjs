/**
 * Writes config/gateway.schema.json, for editors, the tables of docs/config.md from src/config, and docs/json.md from the
 * records; --check only compares.
 * Run through tsx: `node --import tsx scripts/schema.mjs`.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { schemaText } from '../src/config/json-schema.ts'
import { withTables } from './config-tables.mjs'
import { jsonDocument } from './json-docs.mjs'
import { ROOT, ScriptError, script } from './lib.mjs'

const DOCUMENT = readFileSync(join(ROOT, 'docs/config.md'), 'utf8')
const FILES = {
  'config/gateway.schema.json': schemaText(),
  'docs/config.md': withTables(DOCUMENT),
  'docs/json.md': jsonDocument(),
}

await script(() => {
  for (const [name, wanted] of Object.entries(FILES)) {
    const file = join(ROOT, name)
    if (!process.argv.includes('--check')) writeFileSync(file, wanted)
    else if (readFileSync(file, 'utf8') !== wanted)
      throw new ScriptError(`${name} differs from the sources; run \`node --import tsx scripts/schema.mjs\``)
  }
})
