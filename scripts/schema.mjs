/**
 * Writes config/gateway.schema.json from src/config/schema.ts, for editors; --check only compares.
 * Run through tsx: `node --import tsx scripts/schema.mjs`.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { schemaText } from '../src/config/json-schema.ts'
import { ROOT, ScriptError, script } from './lib.mjs'

const FILE = join(ROOT, 'config/gateway.schema.json')

await script(() => {
  const wanted = schemaText()
  if (!process.argv.includes('--check')) return void writeFileSync(FILE, wanted)
  if (readFileSync(FILE, 'utf8') !== wanted)
    throw new ScriptError(
      'config/gateway.schema.json is not what src/config/schema.ts says; run `node --import tsx scripts/schema.mjs`',
    )
})
