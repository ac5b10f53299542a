/** Sharing a folder, a command and a service that is not there yet, between real processes; and what is recorded of it. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { address, eventually, Stage } from './harness.ts'
import type { Program, ProgramEvent } from './program.ts'
import { ending, everything, open, refusing } from './servers.ts'

let stage: Stage
before(async () => {
  stage = await Stage.open()
})
after(async () => stage.close())

interface Shared {
  readonly host: Program
  readonly guest: Program
  readonly admin: string
  readonly local: string
  connect(): Promise<Socket>
}

/** `share …` on one side, `join` on the other. */
async function shared(name: string, args: readonly string[], command: readonly string[] = []): Promise<Shared> {
  const dir = stage.path(name)
  const common = ['--json', '--listen', '127.0.0.1:0']
  const after = command.length === 0 ? [] : ['--', ...command]
  const host = stage.start(['share', ...args, ...common, '--state-dir', dir, ...after], { label: name })
  const { ticket } = await host.event('invited')
  const guest = stage.start(['join', String(ticket), '0', ...common, '--state-dir', `${dir}-guest`], {
    label: `${name}-guest`,
  })
  const local = String((await guest.event('mapped'))['local'])
  return { host, guest, admin: `${dir}/admin.sock`, local, connect: () => open(stage, address(local)) }
}

function ended(program: Program, id = 1): Promise<ProgramEvent> {
  return program.event('connection', (event) => event['state'] === 'ended' && event['id'] === id)
}

async function data<T>(...args: readonly string[]): Promise<T> {
  const { stdout, stderr } = await stage.pilotgate([...args, '--json'])
  assert.notEqual(stdout, '', stderr)
  return (JSON.parse(stdout) as { data: T }).data
}

test('a folder is shared, a second share of it prints another ticket, and each connection is recorded under the label', async () => {
  await mkdir(stage.path('site'))
  await writeFile(stage.path('site', 'page.html'), '<p>hello</p>')
  const { host, admin, local } = await shared('folder', [stage.path('site'), '--label', 'bob', '--for', '1h'])
  const answer = await fetch(`http://${local}/page.html`, { headers: { connection: 'close' } })
  assert.deepEqual([answer.status, await answer.text()], [200, '<p>hello</p>'])
  const opened = await host.event('connection', ({ state }) => state === 'opened')
  const end = await ended(host)
  assert.deepEqual(
    [opened['label'], opened['service'], end['id'], end['label'], end['cause'], end['code']],
    ['bob', '80', opened['id'], 'bob', 'ended', null],
  )
  assert.ok(Number(end['bytesIn']) > 0 && Number(end['bytesOut']) > 100 && Number(end['durationMs']) >= 0)
  const recent = await data<{ readonly id: number; readonly label: string }[]>(
    'list',
    'connections',
    '--recent',
    '--admin',
    admin,
  )
  assert.deepEqual([recent[0]!.id, recent[0]!.label], [opened['id'], 'bob'])
  const again = ['share', stage.path('site'), '--state-dir', stage.path('folder')]
  const { code, stdout } = await stage.pilotgate([...again, '--label', 'ann'])
  assert.deepEqual([code, stdout.startsWith('pgt1_')], [0, true])
  assert.equal((await stage.pilotgate([...again, '--for', '2h'])).code, 6, 'other terms')
  const [exposure] = await data<{ readonly tickets: number; readonly endsAt: string }[]>(
    'list',
    'exposures',
    '--admin',
    admin,
  )
  assert.equal(exposure!.tickets, 1)
  assert.ok(Date.parse(exposure!.endsAt) > Date.now())
})

test('a cancelled ticket is refused, and unexpose withdraws those that are open', async () => {
  const { admin } = await shared('tickets', ['9', '--label', 'bob'])
  const invite = async (label: string): Promise<string> =>
    (await stage.pilotgate(['invite', '--label', label, '--admin', admin])).stdout.trim()
  const [ann, cid] = [await invite('ann'), await invite('cid')]
  const list = async (): Promise<string[]> =>
    (await data<{ readonly label: string }[]>('invite', 'list', '--admin', admin)).map(({ label }) => label)
  assert.deepEqual(await list(), ['ann', 'cid'])
  await stage.pilotgate(['invite', 'cancel', 'ann', '--admin', admin])
  assert.deepEqual(await list(), ['cid'])
  assert.equal((await stage.pilotgate(['invite', 'cancel', 'ann', '--admin', admin])).code, 5)
  const join = (ticket: string): Promise<{ code: number | null }> =>
    stage.pilotgate(['join', ticket, '0', '--listen', '127.0.0.1:0', '--state-dir', stage.path('late')], {
      timeoutMs: 60_000,
    })
  assert.equal((await join(ann)).code, 4)
  await stage.pilotgate(['unexpose', '9', '--admin', admin])
  assert.deepEqual(await list(), [])
  assert.equal((await join(cid)).code, 4)
})

test('a command serves each connection with a process of its own, which knows the caller and ends with it', async () => {
  const script = 'echo "$PILOT_LABEL $PILOT_NODE"; while read -r line; do echo "got $line"; done; echo bye'
  const { host, connect } = await shared('command', ['--label', 'bob'], ['sh', '-c', script])
  const client = await connect()
  client.end('one\ntwo\n')
  assert.equal((await everything(client)).toString(), 'bob 2\ngot one\ngot two\nbye\n')
  assert.equal((await ended(host))['cause'], 'ended')
  const reset = await connect()
  await new Promise((resolve) => reset.once('data', resolve))
  reset.resetAndDestroy()
  const end = await ended(host, 2)
  assert.equal(end['cause'], 'peer_reset')
})

test('a port without a service is shared with a note; peers learn that it is down, and reach it once it listens', async () => {
  const target = await refusing()
  const port = target.split(':')[1]!
  const { host, guest, admin, connect } = await shared('late-service', [port])
  assert.match(host.stderr, new RegExp(`note: nothing listens on port ${port} yet`))
  const early = await connect()
  assert.equal(await ending(early), 'reset')
  await guest.log('the reason', ({ code }) => code === 'TARGET_UNREACHABLE')
  assert.equal((await ended(host))['code'], 'TARGET_UNREACHABLE')
  const other = await stage.pilotgate(['doctor', '0:0000.0000.0001:9', '--json', '--admin', guestDir('late-service')])
  assert.match(other.stdout, /"code":"CONNECTION_REFUSED"/, 'a port that is not exposed')
  const server = createServer((socket) => socket.on('error', () => {}).end('here'))
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(Number(port), '::1', resolve))
  stage.defer(async () => server.close())
  await eventually('it answers', async () => {
    const bytes = await everything(await connect()).catch(() => Buffer.alloc(0))
    return bytes.toString() === 'here' || undefined
  })
  const client = await connect()
  await everything(client)
  const connections = await data<{ readonly local: string; readonly state: string }[]>(
    'list',
    'connections',
    '--admin',
    admin,
  )
  const end = connections.find(({ state }) => state === 'open')!.local
  assert.match(end, /^\[::1\]:\d+$/, 'the socket that the service sees')
  assert.equal((await data<{ readonly nodeId: number }>('whois', end, '--admin', admin)).nodeId, 2)
  assert.equal(
    (await stage.pilotgate(['drain', '--timeout', '1', '--admin', admin])).code,
    124,
    'it asked several times',
  )
  assert.equal(host.logs.filter(({ msg }) => msg === 'draining: no new connections').length, 1)
})

function guestDir(name: string): string {
  return stage.path(`${name}-guest`, 'admin.sock')
}
