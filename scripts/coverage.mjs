/**
 * Which lines of src the tests of unit, vectors and sim execute, by room, from what V8 writes (NODE_V8_COVERAGE). A line
 * counts when all of it was executed, in whichever process. Each room has a floor in coverage.json, which only rises.
 *   node scripts/test.mjs unit vectors sim coverage     measures, prints, and fails below a floor
 *   node scripts/coverage.mjs --raise                   afterwards: lifts the floors to what was measured
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ROOT, filesBelow } from './lib.mjs'

/** Where the processes of one run write their coverage; `coverage/` is not committed. */
export const COVERAGE_FOLDER = join(ROOT, 'coverage/raw')
/**
 * Points a measurement may lie below its floor: timing and machine (a branch taken, a program installed) move a small
 * room by one or two.
 */
const SLACK = 2
/** Points below the measurement at which a raised floor is put. */
const MARGIN = 1

/** Prints the table. @returns 1 if a room is below its floor or nothing was measured. */
export function reportCoverage() {
  const rooms = measureRooms()
  const floors = readFloors()
  const faults = []
  console.log(`${'room'.padEnd(24)} ${'lines'.padStart(6)} ${'covered'.padStart(8)} ${'floor'.padStart(6)}`)
  for (const [room, { lines, covered }] of rooms) {
    const share = percent(covered, lines)
    const floor = floors[room]
    console.log(
      `${room.padEnd(24)} ${String(lines).padStart(6)} ${share.toFixed(1).padStart(7)}% ${floor === undefined ? '     -' : floor.toFixed(1).padStart(6)}`,
    )
    if (floor === undefined) faults.push(`${room} has no floor: node scripts/coverage.mjs --raise`)
    else if (share < floor - SLACK)
      faults.push(`${room}: ${share.toFixed(1)} % of its lines are executed, ${floor} % is its floor`)
  }
  const all = [...rooms.values()].reduce((sum, { lines, covered }) => [sum[0] + lines, sum[1] + covered], [0, 0])
  console.log(`${'all'.padEnd(24)} ${String(all[0]).padStart(6)} ${percent(all[1], all[0]).toFixed(1).padStart(7)}%`)
  if (all[1] === 0) faults.push('nothing was measured: run unit, vectors and sim with it')
  for (const fault of faults) console.error(`error: ${fault}`)
  return faults.length === 0 ? 0 : 1
}

function raiseFloors() {
  const floors = readFloors()
  for (const [room, { lines, covered }] of measureRooms())
    floors[room] = Math.max(floors[room] ?? 0, Math.floor((percent(covered, lines) - MARGIN) * 10) / 10)
  writeFileSync(FLOORS_FILE, `${JSON.stringify(Object.fromEntries(Object.entries(floors).sort()), null, 2)}\n`)
}

/** @returns Lines with code and lines executed, by room, for every file of src, loaded or not. */
function measureRooms() {
  const executed = new Map() // path → line → whether each of its pieces was executed, by position
  for (const file of filesBelow(COVERAGE_FOLDER)) {
    const { result, 'source-map-cache': maps = {} } = JSON.parse(readFileSync(file, 'utf8'))
    for (const script of result) {
      if (!script.url.startsWith(SOURCE_URL) || maps[script.url] === undefined) continue
      addScript(executed, relative(ROOT, fileURLToPath(script.url)), script.functions, maps[script.url])
    }
  }
  const rooms = new Map()
  for (const file of filesBelow(join(ROOT, 'src'))) {
    if (!file.endsWith('.ts')) continue
    const path = relative(ROOT, file)
    const pieces = executed.get(path)
    const room = rooms.get(roomOf(path)) ?? { lines: 0, covered: 0 }
    rooms.set(roomOf(path), room)
    if (pieces === undefined) room.lines += unloadedLines(readFileSync(file, 'utf8')) // no test loads it
    for (const line of pieces?.values() ?? []) {
      room.lines++
      if ([...line.values()].every(Boolean)) room.covered++
    }
  }
  return new Map([...rooms].sort())
}

function addScript(executed, path, functions, { lineLengths, data }) {
  if (data === null) return
  const pieces = executed.get(path) ?? new Map()
  executed.set(path, pieces)
  const ranges = functions.flatMap((one) => one.ranges)
  for (const { offset, line, column } of mappedPieces(data.mappings, lineLengths)) {
    const places = pieces.get(line) ?? new Map()
    pieces.set(line, places)
    places.set(column, places.get(column) === true || isExecuted(ranges, offset))
  }
}

/** The smallest range around a position says how often it was reached. */
export function isExecuted(ranges, offset) {
  let smallest
  for (const range of ranges) {
    if (range.startOffset > offset || range.endOffset <= offset) continue
    if (smallest === undefined || range.endOffset - range.startOffset <= smallest.endOffset - smallest.startOffset)
      smallest = range
  }
  return smallest === undefined || smallest.count > 0
}

/** Every piece of generated code that a source map (version 3) leads back to a place in its source. */
export function mappedPieces(mappings, lineLengths) {
  const pieces = []
  let [lineStart, line, column] = [0, 0, 0]
  mappings.split(';').forEach((segments, generatedLine) => {
    let generatedColumn = 0
    for (const segment of segments === '' ? [] : segments.split(',')) {
      const [columns, , lines, sourceColumns] = decodeVlq(segment)
      generatedColumn += columns
      if (lines === undefined) continue
      line += lines
      column += sourceColumns
      pieces.push({ offset: lineStart + generatedColumn, line, column })
    }
    lineStart += (lineLengths[generatedLine] ?? 0) + 1
  })
  return pieces
}

/** Base-64 digits of 5 bits, the lowest first, a sixth bit for "more follows"; the lowest bit of the number is its sign. */
export function decodeVlq(segment) {
  const numbers = []
  let [value, shift] = [0, 0]
  for (const digit of segment) {
    const bits = DIGITS.indexOf(digit)
    value |= (bits & 31) << shift
    shift += 5
    if ((bits & 32) !== 0) continue
    numbers.push((value & 1) === 1 ? -(value >> 1) : value >> 1)
    value = shift = 0
  }
  return numbers
}

/** `src/gateway/map`, or `src/base` where there are no rooms. */
export function roomOf(path) {
  return path.split('/').slice(0, -1).slice(0, 3).join('/')
}

/** Of a file that no test loads: none if it holds only types, which are not there at run time. */
function unloadedLines(text) {
  return /^(export )?(async )?(const|let|function|class)\b/m.test(text) ? codeLines(text) : 0
}

function codeLines(text) {
  return text.split('\n').filter((line) => !/^\s*(\/\/|\/?\*|import\b|$)/.test(line)).length
}

function readFloors() {
  return existsSync(FLOORS_FILE) ? JSON.parse(readFileSync(FLOORS_FILE, 'utf8')) : {}
}

function percent(part, whole) {
  return whole === 0 ? 100 : (100 * part) / whole
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const SOURCE_URL = `${pathToFileURL(join(ROOT, 'src')).href}/`
const FLOORS_FILE = join(ROOT, 'scripts/coverage.json')

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--raise')) raiseFloors()
  else process.exitCode = reportCoverage()
}
