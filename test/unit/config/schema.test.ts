/** The JSON Schema for editors is the schema the gateway uses, and describes every key. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parsePortRange } from '../../../src/config/values.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly additionalProperties?: Schema | boolean
  readonly description?: string
}

test('config/gateway.schema.json and the tables in docs/config.md match src/config', () => {
  execFileSync(process.execPath, ['--import', 'tsx', 'scripts/schema.mjs', '--check'], { cwd: ROOT })
})

test('every key is described, and docs/config.md names it', () => {
  const schema = JSON.parse(readFileSync(`${ROOT}/config/gateway.schema.json`, 'utf8')) as Schema
  const docs = readFileSync(`${ROOT}/docs/config.md`, 'utf8')
  const keys = keysOf(schema)
  assert.ok(keys.length > 20, `only ${keys.length} keys`)
  for (const { path, key, description } of keys) {
    assert.ok(description !== undefined && description.length > 5, `${path} is not described`)
    assert.ok(docs.includes(`${key}\``), `docs/config.md does not name ${path}`)
  }
})

test('port ranges', () => {
  assert.deepEqual(parsePortRange(80), { first: 80, last: 80, protocol: 'tcp' })
  assert.deepEqual(parsePortRange('8000-8010'), { first: 8000, last: 8010, protocol: 'tcp' })
  assert.deepEqual(parsePortRange('80/tcp'), { first: 80, last: 80, protocol: 'tcp' })
  assert.deepEqual(parsePortRange('53-54/udp'), { first: 53, last: 54, protocol: 'udp' })
  for (const bad of [0, 1.5, 65_536, '', '-', '9-8', '1-65536', '0-5', 'x'])
    assert.equal(parsePortRange(bad), undefined, String(bad))
})

function keysOf(schema: Schema, path = ''): { path: string; key: string; description: string | undefined }[] {
  const inner = typeof schema.additionalProperties === 'object' ? keysOf(schema.additionalProperties, `${path}.*`) : []
  const items = schema.items === undefined ? [] : keysOf(schema.items, `${path}[]`)
  const own = Object.entries(schema.properties ?? {}).flatMap(([key, value]) => [
    { path: `${path}.${key}`, key, description: value.description },
    ...keysOf(value, `${path}.${key}`),
  ])
  return [...own, ...inner, ...items]
}
