/**
 * The benchmark (`npm run bench`): starts every variant, measures them in turn, round after round, and writes the
 * results. Everything it starts ends with it. Read rows.ts for what is measured, steps.ts for how.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Stage } from '../test/e2e/harness.ts'
import { ROOT } from '../test/e2e/program.ts'
import { whyNoLab } from '../test/nat/lab.ts'
import { chartsOf } from './charts.ts'
import { readChoice } from './choice.ts'
import type { Choice } from './choice.ts'
import { coldSamples, natSamples } from './cold.ts'
import type { ColdSample } from './cold.ts'
import { Crew } from './crew.ts'
import { addGo } from './go.ts'
import { gitDescribe, machine, versions } from './machine.ts'
import { Recorder } from './recorder.ts'
import { reportOf } from './report.ts'
import type { Results } from './results.ts'
import { isGo } from './rows.ts'
import type { PeerId, Place } from './rows.ts'
import { STEPS } from './steps.ts'
import type { Step } from './steps.ts'
import { findProgram } from '../test/e2e/program.ts'
import { Veth } from './veth.ts'
import { buildWorld } from './ways.ts'
import type { Way, World } from './ways.ts'

const choice = chooseOrEnd()
const recorder = new Recorder()
const { scale } = choice

function chooseOrEnd(): Choice {
  try {
    return readChoice(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(2)
  }
}

async function onLoopback(of: (peer: PeerId) => boolean, what: string): Promise<void> {
  const steps = chosen(STEPS.filter(({ id }) => HAS_PROC || !PROC_STEPS.includes(id)))
  const wanted = new Set(
    [...choice.peers].filter((peer) => of(peer) && steps.some(({ peers }) => peers.includes(peer))),
  )
  if (!choice.hasPlace('loopback') || wanted.size === 0) return
  const spot = { host: '127.0.0.1' }
  await onStage(async (crew) => {
    recorder.say(`starting ${what} on loopback`)
    const world = await buildWorld(crew, spot, spot, wanted, recorder.skip)
    if (world.gateways !== undefined)
      await addGo(crew, world.gateways, wanted, world.ways as Map<PeerId, Way>, recorder.skip)
    for (const step of steps) await runStep(crew, world, step, [{ place: 'loopback', prepare: () => {} }])
  })
}

async function neverMet(): Promise<void> {
  if (!choice.hasPlace('loopback') || !choice.hasRows(['cold', 'restart']) || !choice.peers.has('gateway')) return
  recorder.say('starting pairs of gateways that hold no tunnel')
  await onStage((crew) => recordCold(['cold', 'restart'], () => coldSamples(crew, scale.cold)))
}

async function overVeth(): Promise<void> {
  const places = VETH_PLACES.filter((place) => choice.hasPlace(place)).filter(
    (place) => place !== 'veth-clean' || mayBeClean(),
  )
  const steps = chosen(STEPS.filter(({ id }) => VETH_STEPS.includes(id)))
  const wanted = new Set([...choice.peers].filter((peer) => VETH_PEERS.includes(peer)))
  if (places.length === 0 || steps.length === 0 || wanted.size === 0) return
  const why = whyNoLab()
  if (why !== undefined) return recorder.skip('the veth of MTU 1500', why)
  const veth = new Veth()
  try {
    await onStage(async (crew) => {
      recorder.say('starting everything in two namespaces')
      const world = await buildWorld(crew, veth.near, veth.far, wanted, recorder.skip)
      for (const step of steps) {
        const here = places.filter(
          (place) => place === 'veth' || STEPS_AT[place === 'veth-clean' ? 'clean' : scale.name].includes(step.id),
        )
        await runStep(
          crew,
          world,
          step,
          here.map((place) => ({
            place,
            prepare: () => {
              veth.lose(LOSS[place])
              veth.offload(place !== 'veth-clean')
            },
          })),
        )
      }
    })
  } finally {
    veth.close()
  }
}

function mayBeClean(): boolean {
  if (findProgram('ethtool') !== undefined) return true
  recorder.skip('the veth without segmentation offload', 'there is no ethtool on this machine')
  return false
}

async function behindNats(): Promise<void> {
  if (!choice.hasPlace('nat') || !choice.hasRows(['nat']) || !choice.peers.has('gateway')) return
  const why = whyNoLab()
  if (why !== undefined) return recorder.skip('set-up behind two NATs', why)
  recorder.say('starting two gateways behind NATs')
  await recordCold(['nat'], async () => (await natSamples(scale.cold)).map((nat) => ({ nat })))
}

async function onStage(work: (crew: Crew) => Promise<void>): Promise<void> {
  const stage = await Stage.open()
  try {
    await work(new Crew(stage))
  } finally {
    await stage.close()
  }
}

function chosen(steps: readonly Step[]): Step[] {
  return steps.filter(({ rows, peers }) => choice.hasRows(rows) && peers.some((peer) => choice.peers.has(peer)))
}

interface Variation {
  readonly place: Place
  readonly prepare: () => void
}

/** Round after round; in a round every variation, in it every way, each round beginning with another one. */
async function runStep(crew: Crew, world: World, step: Step, variations: readonly Variation[]): Promise<void> {
  const peers = step.peers.filter((peer) => choice.peers.has(peer) && world.ways.has(peer))
  const rounds = step.rounds?.(scale) ?? scale.rounds
  for (let round = 0; round < rounds; round++) {
    if (round > 0 && performance.now() > scale.hurryAfterMs)
      return recorder.say('the machine is slow: no further rounds of this')
    for (const { place, prepare } of variations) {
      prepare()
      for (const peer of [...peers.slice(round % peers.length), ...peers.slice(0, round % peers.length)]) {
        if (recorder.hasFailed(step.id, place, peer)) continue // it would only take its time again
        const way = world.ways.get(peer)!
        await recorder.take({ step, place, peer, round }, () =>
          step.sample({ world, scale, place, peer, way, holder: (fresh) => crew.holder(fresh) }),
        )
        await way.afterwards?.()
      }
      recorder.sayRound(step, place, round, rounds)
    }
  }
}

async function recordCold<Row extends 'cold' | 'restart' | 'nat'>(
  rows: readonly Row[],
  measure: () => Promise<readonly Readonly<Record<Row, ColdSample>>[]>,
): Promise<void> {
  try {
    for (const [round, found] of (await measure()).entries()) {
      for (const row of rows) recorder.add({ row, peer: 'gateway', round, value: found[row].ms, from: found[row].from })
    }
  } catch (error) {
    for (const row of rows) recorder.fail(row, 'gateway', error)
  }
  for (const row of rows) recorder.sayValue(row)
}

function finish(): void {
  const out = resolve(
    choice.out ??
      join(
        fileURLToPath(new URL('results', import.meta.url)),
        scale.name === 'full' && choice.only.length === 0 ? '.' : 'latest',
      ),
  )
  const results: Results = {
    v: 1,
    date: new Date().toISOString(),
    mode: scale.name,
    only: choice.only,
    commit: gitDescribe(),
    machine: machine(),
    versions: versions(),
    seconds: Math.round(performance.now() / 1_000),
    ...recorder.found,
  }
  mkdirSync(out, { recursive: true })
  const charts = chartsOf(results)
  for (const { file, svg } of charts) writeFileSync(join(out, file), svg)
  const report = reportOf(results, charts)
  const { samples, ...head } = results
  writeFileSync(
    join(out, 'results.json'),
    `${JSON.stringify(head, null, 1).slice(0, -2)},\n "samples": [\n${samples.map((sample) => `  ${JSON.stringify(sample)}`).join(',\n')}\n ]\n}\n`,
  )
  writeFileSync(join(out, 'README.md'), report)
  process.stdout.write(
    `${report}\nwritten to ${relative(ROOT, out) || '.'}: README.md, results.json${charts.map(({ file }) => `, ${file}`).join('')}\n`,
  )
  process.exit(results.failures.length === 0 ? 0 : 1)
}

/** Steps that measure nothing else. */
const PROC_STEPS: readonly string[] = ['memory', 'idle']
const HAS_PROC = existsSync('/proc/self/stat')
const VETH_STEPS: readonly string[] = ['setup', 'rtt', 'one', 'sixteen', 'both']
const VETH_PEERS: readonly PeerId[] = ['tcp', 'tcp-proxy', 'tls-proxy', 'gateway', 'gateway-node']
const VETH_PLACES = ['veth', 'veth-clean', 'veth-loss01', 'veth-loss1'] as const
/** Where not everything is measured. */
const STEPS_AT: Readonly<Record<'clean' | 'full' | 'quick', readonly string[]>> = {
  clean: ['rtt', 'one', 'sixteen'],
  full: ['one', 'sixteen'],
  quick: ['one'],
}
const LOSS = { veth: '0', 'veth-clean': '0', 'veth-loss01': '0.001', 'veth-loss1': '0.01' } as const

if (!HAS_PROC) recorder.skip('memory and CPU', 'this system has no /proc')
await onLoopback((peer) => !isGo(peer), 'everything')
await neverMet()
await overVeth()
await behindNats()
await onLoopback(isGo, 'Go Pilot')
finish()
