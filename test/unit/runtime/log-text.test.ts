/** Human-readable log lines: what is shown, in which order, and nothing that can control the terminal. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { logText } from '../../../src/runtime/log-text.ts'
import { createLogger } from '../../../src/runtime/log.ts'

const TIME = '2026-11-30T09:49:15.803Z'
const CLOCK = new Date(TIME).toTimeString().slice(0, 8)

function line(fields: object): string {
  return logText(JSON.stringify({ level: 30, time: TIME, ...fields }), false)
}

test('the time of day, the level if it is not info, the sentence, and the fields', () => {
  assert.equal(line({ nodeId: 1, msg: 'registered' }), `${CLOCK} registered nodeId=1\n`)
  assert.equal(
    line({ level: 40, code: 'REGISTRY_UNREACHABLE', reason: 'connect ECONNREFUSED', msg: 'cannot reach the registry' }),
    `${CLOCK} warning: cannot reach the registry code=REGISTRY_UNREACHABLE reason="connect ECONNREFUSED"\n`,
  )
  assert.equal(
    line({ level: 50, peers: ['a', 'b'], none: null, msg: 'x' }),
    `${CLOCK} error: x peers=["a","b"] none=null\n`,
  )
})

test('in a window the fields have lines of their own, what to do comes last, and nothing is wider', () => {
  const record = {
    level: 40,
    time: TIME,
    expose: '3000',
    nodeId: 2,
    code: 'TARGET_UNREACHABLE',
    reason: 'connect ECONNREFUSED 127.0.0.1:3000',
    hint: 'Is it running?',
    msg: 'the local service does not answer',
  }
  assert.equal(
    logText(JSON.stringify(record), false, 50),
    [
      `${CLOCK}  warning: the local service does not`,
      '          answer',
      '          expose 3000, reason connect ECONNREFUSED',
      '          127.0.0.1:3000',
      '          → Is it running?',
      '',
    ].join('\n'),
  )
})

test('colours only if enabled, and never control characters from others', () => {
  const text = logText(JSON.stringify({ level: 50, time: TIME, hostname: 'bob\x1b[2J\u202e', msg: 'odd\x07' }), false)
  assert.equal(text, `${CLOCK} error: odd\uFFFD hostname=bob\uFFFD[2J\uFFFD\n`)
})

test('anything that is not a log line is passed on unchanged', () => {
  assert.equal(logText('not json\n', false), 'not json\n')
})

test('a logger writes either format to its sink', () => {
  const lines: string[] = []
  const sink = { writableLength: 0, write: (text: string) => lines.push(text) > 0, once: () => undefined }
  createLogger('info', 'text', sink).info({ port: 80 }, 'exposed')
  createLogger('info', 'json', sink).info({ port: 80 }, 'exposed')
  assert.match(lines[0]!, /^\d\d:\d\d:\d\d exposed port=80\n$/)
  assert.equal((JSON.parse(lines[1]!) as { msg: string }).msg, 'exposed')
})
