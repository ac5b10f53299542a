/** Every file in examples/ runs unchanged, prints what it should, and is short enough to read. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = join(fileURLToPath(import.meta.url), '../../..')
const MAX_LINES = 60

const EXPECTED: Readonly<Record<string, RegExp>> = {
  'http-over-overlay.ts': /^200 hello, agent-1\n\n$/,
  'grpc-server-and-client.ts': /^\{ text: 'hello, agent-1' \}\n1\n2\n3\n$/,
  'expose-and-map.ts': /^agent-b:7 is 127\.[\d.]+:PORT here\nhello over TCP\n$/,
  'chat-datagrams.ts': /^agent-2 hears agent-1: hello\nagent-3 hears agent-1: hello\nDATAGRAM_TOO_LARGE\n$/,
  'testnet.test.ts': /^# tests 2$[\s\S]*^# pass 2$/m,
}

test('every example is tested here, and has at most 60 lines', () => {
  const files = readdirSync(join(ROOT, 'examples')).filter((file) => file.endsWith('.ts'))
  assert.deepEqual(files.sort(), Object.keys(EXPECTED).sort())
  for (const file of files) {
    const lines = readFileSync(join(ROOT, 'examples', file), 'utf8').split('\n').length - 1
    assert.ok(lines <= MAX_LINES, `${file} has ${lines} lines`)
  }
})

for (const [file, expected] of Object.entries(EXPECTED)) {
  test(`examples/${file} runs and ends on its own`, async () => {
    const args = file.endsWith('.test.ts') ? ['--test', '--test-reporter=tap'] : []
    const env = { ...process.env }
    delete env['NODE_TEST_CONTEXT'] // otherwise the inner runner reports to ours, in a binary format
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', ...args, join('examples', file)],
      { cwd: ROOT, env, timeout: 60_000, killSignal: 'SIGKILL' },
    )
    assert.match(stdout, expected)
  })
}
