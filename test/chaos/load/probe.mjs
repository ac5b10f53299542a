// Preloaded into processes of the program (node --import): for what cannot be done or seen from outside.
// On SIGUSR2 it reads $CHAOS_PROBE.in, {"shiftMs": N}: the wall clock, as the program sees it, jumps by that much; and it writes
// $CHAOS_PROBE.out: {heapBytes after a full collection, resources by kind (timers, sockets, …)}.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const path = process.env['CHAOS_PROBE']
const RealDate = Date
const realNow = Date.now
let shiftMs = 0

globalThis.Date = class Date extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(realNow() + shiftMs)
    else super(...args)
  }
  static now() {
    return realNow() + shiftMs
  }
}

process.on('SIGUSR2', () => {
  try {
    shiftMs = JSON.parse(readFileSync(`${path}.in`, 'utf8')).shiftMs
  } catch {
    shiftMs = 0 // no jump was requested
  }
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const kinds = {}
  for (const kind of process.getActiveResourcesInfo()) kinds[kind] = (kinds[kind] ?? 0) + 1
  writeFileSync(`${path}.tmp`, JSON.stringify({ heapBytes: process.memoryUsage().heapUsed, resources: kinds }))
  renameSync(`${path}.tmp`, `${path}.out`)
})
