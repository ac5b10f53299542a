/** Every command that a hint, a document, an example or a unit file tells somebody to type is one that the program has. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { Command } from 'commander'
import { createProgram } from '../../src/cli/program.ts'
import { testWorld } from '../unit/cli/world.ts'
import { readTree } from '../architecture/source.ts'
import { readDocuments } from './documents.ts'

const program = createProgram(testWorld())

test('every `pilotgate …` in a message, a document or a comment is a command with options that it has', () => {
  const files = new Map([...readTree('src'), ...readTree('examples'), ...readDocuments()])
  const found = [...files].flatMap(([path, text]) => callsIn(text).map((call) => ({ path, call })))
  assert.ok(found.length > 50, `${found.length} found`)
  assert.deepEqual(
    found.flatMap(({ path, call }) => faultOf(call).map((fault) => `${path}: pilotgate ${call}: ${fault}`)),
    [],
  )
})

test('a command that is gone, a missing word and a wrong option are seen', () => {
  for (const bad of ['explain agent-b', 'peers', 'list everything', 'map TICKET --lan', 'drain --undo'])
    assert.equal(faultOf(bad).length, 1, bad)
  assert.deepEqual(callsIn('run `pilotgate up -c x`\n  $ pilotgate down\n'), ['up -c x', 'down'])
})

/** Behind a back-tick, `$` or `npx`; in a block of code also at the start of a line. */
function callsIn(text: string): string[] {
  const blocks = (text.match(/^```[\s\S]*?^```/gm) ?? []).join('\n')
  return [...text.matchAll(ANYWHERE), ...blocks.matchAll(LINE_OF_CODE)].map(([, call]) =>
    call!.replace(/\s+#.*/, '').trim(),
  )
}

const ANYWHERE = /(?:`|\$ |npx |<\()pilotgate ((?:--?)?[a-z][^`\n|;)]*)/g
const LINE_OF_CODE = /^ *pilotgate ((?:--?)?[a-z][^\n|;]*)/gm

function faultOf(call: string): string[] {
  let command: Command = program
  const words = call.replaceAll(/"[^"]*"/g, 'TEXT').split(/\s+/)
  for (const word of words) {
    const child = command.commands.find((one) => one.name() === word)
    if (child === undefined) break
    command = child
  }
  if (command === program && !words[0]!.startsWith('-')) return /^[a-z]+$/.test(words[0]!) ? ['no such command'] : []
  const next = words[command === program ? 0 : nameOf(command).length]
  if (command.commands.length > 0 && command !== program && next !== undefined && /^[a-z]+$/.test(next))
    return [`no such command below ${command.name()}`]
  const known = new Set([...command.options, ...program.options].flatMap(({ long, short }) => [long, short]))
  const wrong = words.filter((word) => /^--[a-z]/.test(word) && word !== '--help' && !known.has(word.split('=')[0]))
  return wrong.length === 0 ? [] : [`no such option: ${wrong.join(', ')}`]
}

function nameOf(command: Command): string[] {
  return command.parent === null || command.parent === undefined ? [] : [...nameOf(command.parent), command.name()]
}
