/**
 * The contract of every kind of mapping and exposure towards the service table and its users: the same tests for all. A
 * kind defines how one is created and how a client uses it; sockets are real ones on loopback, the overlay is in
 * memory.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PilotError } from '../../../../src/base/errors.ts'
import type { ConnectionTable } from '../../../../src/gateway/service/connections.ts'
import type { Service } from '../../../../src/gateway/service/table.ts'
import { ServiceTable } from '../../../../src/gateway/service/table.ts'

export interface Wish {
  /** The same address, other settings. */
  readonly changed?: true
  /** Another address. */
  readonly elsewhere?: true
  readonly once?: true
}

/** One stage for one test. */
export interface Stage {
  readonly connections: ConnectionTable
  make(wish: Wish): Service<object>
  /** One client asks one question. @returns undefined if it was refused or got no answer. */
  use(service: Service<object>): Promise<string | undefined>
  /** Makes the service's target start and stop answering. */
  target(answers: boolean): Promise<void>
  /** Names of one-connection exposures that have served theirs. */
  readonly taken: readonly string[]
  close(): Promise<void>
}

export interface Kind {
  readonly name: string
  /** True if clients use a local port, which has to stay the same; otherwise peers use an overlay port. */
  readonly isMapping: boolean
  open(): Promise<Stage>
}

export function serviceCompliance({ name, isMapping, open }: Kind): void {
  for (const [title, rule] of Object.entries(isMapping ? RULES : { ...RULES, ...RULES_OF_EXPOSURES }))
    test(`${name}: ${title}`, async () => {
      const stage = await open()
      try {
        await stage.target(true)
        await rule(stage, isMapping)
      } finally {
        await stage.close()
      }
    })
}

type Rule = (stage: Stage, isMapping: boolean) => Promise<void>

const RULES: Readonly<Record<string, Rule>> = {
  'serves from start to stop, and again at the same address': async (stage) => {
    const service = stage.make({})
    await service.start()
    const place = service.record
    assert.equal(await stage.use(service), 'answer')
    service.stop()
    assert.equal(await stage.use(service), undefined)
    await service.start()
    assert.equal(placeOf(service.record), placeOf(place))
    assert.equal(await stage.use(service), 'answer')
    service.stop()
  },

  'a second one at its address is refused and leaves the first alone': async (stage, isMapping) => {
    const first = stage.make({})
    await first.start()
    const second = stage.make(isMapping ? { changed: true } : {})
    if (isMapping) assert.equal(second.takeOver?.(stage.make({})), false) // a service that does not listen
    await assert.rejects(second.start(), isPortInUse)
    second.stop()
    assert.equal(await stage.use(first), 'answer')
    first.stop()
  },

  'another can take over only at the same address': async (stage) => {
    const running = stage.make({})
    await running.start()
    assert.equal(stage.make({ elsewhere: true }).takeOver?.(running), false)
    assert.equal(await stage.use(running), 'answer')
    const next = stage.make({ changed: true })
    assert.equal(next.takeOver?.(running), true)
    assert.equal(placeOf(next.record), placeOf(running.record))
    running.stop() // it has nothing left to stop
    assert.equal(await stage.use(next), 'answer')
    next.stop()
    assert.equal(await stage.use(next), undefined)
    await next.start()
    assert.equal(await stage.use(next), 'answer')
    next.stop()
  },

  'at the connection limit clients are refused, and nothing of them is left': async (stage) => {
    const service = stage.make({})
    await service.start()
    const free = fill(stage.connections)
    const held = handles()
    const full = stage.connections.size
    for (let client = 0; client < CLIENTS; client++) assert.equal(await stage.use(service), undefined)
    await settled(stage, held, full)
    free()
    await pause(REFUSED_FOR_MS)
    assert.equal(await stage.use(service), 'answer')
    service.stop()
  },

  'a target that does not answer affects only its clients': async (stage) => {
    const service = stage.make({})
    await service.start()
    await stage.target(false)
    const held = handles()
    for (let client = 0; client < CLIENTS; client++) assert.equal(await stage.use(service), undefined)
    abortAll(stage)
    await settled(stage, held)
    await stage.target(true)
    assert.equal(await stage.use(service), 'answer')
    service.stop()
  },

  'a drain in the table admits no one, and resumes at the same address': async (stage) => {
    const table = new ServiceTable<{ readonly name: string }, object>('service', () => stage.make({}))
    await table.become([{ name: 'it' }])
    const service = table.service('it')!
    const place = placeOf(service.record)
    table.drain('it')
    assert.equal(await stage.use(service), undefined)
    await table.resume('it')
    assert.deepEqual([placeOf(service.record), await stage.use(service)], [place, 'answer'])
    table.stop()
  },

  'nothing is left of it after stop': async (stage) => {
    const held = handles()
    const service = stage.make({})
    await service.start()
    assert.equal(await stage.use(service), 'answer')
    service.stop()
    abortAll(stage)
    await settled(stage, held)
  },
}

const RULES_OF_EXPOSURES: Readonly<Record<string, Rule>> = {
  'for one connection: a failed one does not count, the first served one does': async (stage) => {
    const service = stage.make({ once: true })
    await service.start()
    await stage.target(false)
    assert.equal(await stage.use(service), undefined)
    abortAll(stage)
    assert.deepEqual(stage.taken, [])
    await stage.target(true)
    assert.equal(await stage.use(service), 'answer')
    assert.equal(await stage.use(service), undefined)
    abortAll(stage)
    await pause(0)
    assert.equal(stage.taken.length, 1)
    service.stop()
  },
}

function abortAll({ connections }: Stage): void {
  for (const connection of connections.open) connection.abort()
}

/** Local address, or overlay port. */
function placeOf(record: object): unknown {
  const { local, port } = record as { local?: string; port?: number }
  return local ?? port
}

function isPortInUse(error: unknown): boolean {
  return error instanceof PilotError && error.code === 'PORT_IN_USE'
}

/** @returns a function that makes room again. */
function fill(connections: ConnectionTable): () => void {
  const about = {
    direction: 'map',
    service: 'x',
    protocol: 'tcp',
    peer: 'x',
    nodeId: null,
    local: 'x',
    remote: 'x',
  } as const
  const added: ReturnType<ConnectionTable['add']>[] = []
  try {
    for (;;) added.push(connections.add(about, () => {}))
  } catch (error) {
    assert.equal((error as PilotError).code, 'TOO_MANY')
  }
  return () => {
    for (const connection of added) connections.remove(connection)
  }
}

/** Sockets and servers this process holds. */
function handles(): number {
  return process.getActiveResourcesInfo().filter((name) => /^(TCP|UDP|Pipe)/.test(name)).length
}

/** Sockets close a turn or two later. */
async function settled({ connections }: Stage, held: number, open = 0): Promise<void> {
  for (let turns = 0; turns < 100 && (handles() > held || connections.size > open); turns++) await pause(10)
  assert.deepEqual([Math.max(handles(), held), connections.size], [held, open], 'sockets and connections')
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

const CLIENTS = 10
/** How long a peer whose datagrams were refused is ignored. */
const REFUSED_FOR_MS = 1_100
