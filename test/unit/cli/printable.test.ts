import { test } from 'node:test'
import assert from 'node:assert/strict'
import { Output, printable, printError } from '../../../src/cli/output.ts'
import { PilotError } from '../../../src/base/errors.ts'

const EVIL = 'bob\x1b[2K\r\x1b[32mroot\x1b]0;owned\x07\u202e\u2028\x00'

test("a peer's text cannot move the cursor, set the window title or change text direction; our own colours stay", () => {
  assert.equal(printable(EVIL), 'bob\uFFFD[2K\uFFFD\x1b[32mroot\uFFFD]0;owned\uFFFD\uFFFD\uFFFD\uFFFD')
  assert.equal(printable('\x1b[1mbold\x1b[22m\tünïcödé 漢字 🙂'), '\x1b[1mbold\x1b[22m\tünïcödé 漢字 🙂')
})

test('results, events, notes and errors are all sanitised', () => {
  let text = ''
  const world = {
    out: (part: string) => void (text += part),
    err: (part: string) => void (text += part),
    terminal: true,
    logTerminal: false,
    columns: undefined,
    colors: false,
  }
  const out = new Output(world, {})
  out.result({}, [EVIL])
  out.event({}, EVIL)
  out.note(EVIL)
  printError(new PilotError('FAILED', EVIL, {}, undefined, EVIL), false, world)
  assert.equal(text.match(/root/g)?.length, 5)
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(text.replaceAll('\x1b[32m', ''), /[\x00-\x08\x0b-\x1f\x7f\u202e\u2028]/)
})
