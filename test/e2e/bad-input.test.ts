/**
 * User errors: each mistake has its exit code, its error code and a message that says where and what was expected, on
 * the command line and with --json; existing state is not touched.
 */
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { AddressInfo } from 'node:net'
import { Gateway, Rendezvous, Stage } from './harness.ts'
import type { Ran } from './harness.ts'

/** Nothing listens there: mistakes must be found before anything is contacted. */
const NOWHERE = ['--registry', '127.0.0.1:1', '--beacon', '127.0.0.1:1', '--listen', '127.0.0.1:0']

let stage: Stage
let rendezvous: Rendezvous
let running: Gateway
let configs = 0

before(async () => {
  stage = await Stage.open()
  rendezvous = await Rendezvous.start(stage)
  const { registry, beacon } = rendezvous
  running = await Gateway.start(stage, { name: 'running', registry, beacon })
})
after(async () => stage.close())

describe('user mistakes', { concurrency: 4 }, () => {
  // each is one or two processes that end on their own
  test('a file that is not YAML is refused with line and column', async () => {
    const file = await config('version: 1\nnode:\n  hostname: [a\nmap: []\n')
    for (const args of [
      ['up', '-c', file],
      ['config', 'check', file],
    ]) {
      const ran = await stage.pilotgate(args)
      assert.equal(ran.code, 2)
      assert.equal(ran.stdout, '')
      assert.match(ran.stderr, new RegExp(`^error: ${file}:4:1: not YAML: `, 'm'))
      assert.match(ran.stderr, /^hint: /m)
    }
  })

  test('every wrong value in a file is named with line, column, what was expected and what was found', async () => {
    const file = await config(
      'version: 1\nnode:\n  hostname: My Gateway\n  public: yes please\nmap:\n  - { peer: agent-b, port: 99999 }\nexpose:\n  - { port: 80 }\n',
    )
    const { code, stdout } = await stage.pilotgate(['config', 'check', file, '--json'])
    assert.equal(code, 2)
    const error = errorOf(stdout, 'CONFIG_INVALID')
    const lines = error.message.split('\n')
    assert.match(
      lines[0]!,
      new RegExp(`^${file}:3:13: node\\.hostname: expected a hostname.*, found the string "My Gateway"$`),
    )
    assert.match(lines[1]!, new RegExp(`^${file}:4:11: node\\.public: expected true or false, found `))
    assert.match(
      lines[2]!,
      new RegExp(
        `^${file}:6:28: map\\[0\\]\\.port: expected a port from 1 to 65535, or "53/udp", found the number 99999$`,
      ),
    )
    assert.match(lines[3]!, new RegExp(`^${file}:8:\\d+: expose\\[0\\]\\.target: missing; expected `))
    assert.equal(lines.length, 4)
  })

  test('an unknown key is an error with line, column and a suggestion', async () => {
    const file = await config('version: 1\nnode:\n  hostnam: gateway\nmapp: []\n')
    const { code, stderr } = await stage.pilotgate(['up', '-c', file, ...NOWHERE])
    assert.equal(code, 2)
    assert.match(stderr, new RegExp(`^${file}:3:3: node\\.hostnam: no such key; did you mean "hostname"\\?$`, 'm'))
    assert.match(stderr, new RegExp(`^${file}:4:1: mapp: no such key; did you mean "map"\\?$`, 'm'))
  })

  test('a valid file passes, with a summary of its contents', async () => {
    const file = await config(
      'version: 1\nmap:\n  - { peer: agent-b, ports: [80, "8000-8002"] }\nexpose:\n  - { port: 80, target: "3000" }\n',
    )
    const { code, stdout } = await stage.pilotgate(['config', 'check', file, '--json'])
    assert.equal(code, 0)
    const { v, status, data } = JSON.parse(stdout) as {
      v: number
      status: string
      data: { mappings: unknown[]; exposures: unknown[] }
    }
    assert.deepEqual([v, status, data.mappings.length, data.exposures.length], [1, 'ok', 4, 1])
  })

  test('a missing file is an error that names it', async () => {
    const { code, stdout } = await up('absent', ['-c', stage.path('absent.yaml')])
    assert.equal(code, 2)
    assert.match(errorOf(stdout, 'CONFIG_INVALID').message, /absent\.yaml: cannot be read \(ENOENT\)/)
  })

  test('a mapped port that is in use exits 6, naming the mapping and the address', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => {
      holder.once('listening', resolve)
    })
    const { port } = holder.address() as AddressInfo
    const { code, stdout } = await up('in-use', ['--map', `127.0.0.1:${port}:agent-b:80`])
    holder.close()
    assert.equal(code, 6)
    assert.match(errorOf(stdout, 'PORT_IN_USE').message, new RegExp(`agent-b:80: 127\\.0\\.0\\.1:${port} is in use`))
  })

  test('a second gateway on the same admin socket exits 6, and the first keeps running', async () => {
    // The socket keeps its inode, and the running gateway still answers on it.
    const before = await stat(running.admin)
    const { code, stdout } = await up('second', ['--admin', running.admin])
    assert.equal(code, 6)
    assert.match(errorOf(stdout, 'CONFLICT').message, /admin\.sock: another gateway is running/)
    assert.equal((await stat(running.admin)).ino, before.ino)
    assert.equal((await running.status()).pid, running.program.pid)
  })

  test("a regular file at the admin socket's path is left alone", async () => {
    const file = stage.path('no-socket')
    await writeFile(file, 'precious')
    const { code, stdout } = await up('not-a-socket', ['--admin', file])
    assert.equal(code, 6)
    errorOf(stdout, 'CONFLICT')
    assert.equal(await readFile(file, 'utf8'), 'precious')
  })

  test('a UDP port that is in use exits 6', async () => {
    const { code, stdout } = await up('udp-in-use', ['--listen', running.ready.udp!])
    assert.equal(code, 6)
    errorOf(stdout, 'PORT_IN_USE')
  })

  test('an identity file that others can read is refused and left as it is', async () => {
    // A copy of a real one with mode 0644: its content and mode do not change.
    const file = join(await keyFolder('exposed'), 'exposed.json')
    const text = await readFile(`${running.stateDir}/identity.json`, 'utf8')
    await writeFile(file, text)
    await chmod(file, 0o644)
    const { code, stdout } = await up('exposed', ['--identity', file])
    assert.equal(code, 2)
    const error = errorOf(stdout, 'IDENTITY_EXPOSED')
    assert.match(error.message, /exposed\.json has mode 0644/)
    assert.match(error.hint, /chmod 600/)
    assert.equal(await readFile(file, 'utf8'), text)
    assert.equal((await stat(file)).mode & 0o777, 0o644)
  })

  test('an identity file without an identity is refused and left as it is', async () => {
    for (const [index, text] of [
      '',
      'not json',
      '{}',
      '{"private_key":"AAAA","public_key":"AAAA"}',
      '\0\0\0',
    ].entries()) {
      const file = join(await keyFolder(`corrupt-${index}`), `corrupt-${index}.json`)
      await writeFile(file, text, { mode: 0o600 })
      const { code, stdout } = await up(`corrupt-${index}`, ['--identity', file])
      assert.equal(code, 2, JSON.stringify(text))
      assert.match(errorOf(stdout, 'IDENTITY_INVALID').message, new RegExp(`corrupt-${index}\\.json: `))
      assert.equal(await readFile(file, 'utf8'), text)
    }
  })

  test('an identity file that cannot be read is refused and not replaced', async () => {
    // A folder in its place and, unless the test runs as root, a file without permissions.
    const folder = join(await keyFolder('folder'), 'identity')
    await mkdir(folder, { mode: 0o700 })
    const { code, stdout } = await up('folder', ['--identity', folder])
    assert.equal(code, 2)
    errorOf(stdout, 'IDENTITY_UNREADABLE')
    assert.ok((await stat(folder)).isDirectory())
    if (process.getuid?.() === 0) return
    const file = join(await keyFolder('forbidden'), 'forbidden.json')
    await writeFile(file, '{}', { mode: 0o000 })
    errorOf((await up('forbidden', ['--identity', file])).stdout, 'IDENTITY_UNREADABLE')
  })

  test('a hostname held by another node does not stop a gateway: it warns, and doctor reports it', async () => {
    const { registry, beacon } = rendezvous
    const gateway = await Gateway.start(stage, { name: 'running', folder: 'namesake', registry, beacon })
    assert.equal(gateway.ready.node.hostname, null)
    const line = await gateway.program.log('the warning', ({ msg }) => msg.includes('refuses our hostname'))
    assert.equal(line['code'], 'CONFLICT')
    const { stdout } = await gateway.cli('doctor', '--json')
    const { data } = JSON.parse(stdout) as { data: { checks: { name: string; state: string; text: string }[] } }
    const check = data.checks.find(({ name }) => name === 'registry')
    assert.equal(check?.state, 'warn')
    assert.match(check.text, /refuses our hostname/)
  })

  test('a ping to an unknown peer exits 5', async () => {
    for (const peer of ['no-such-agent', '4000', '0:0000.0000.0FA0']) {
      const { code, stdout } = await running.cli('ping', peer, '--count', '1', '--json')
      assert.equal(code, 5, `${peer}: ${stdout}`)
      errorOf(stdout, 'NOT_FOUND') // resets.test.ts checks the same for a mapping
    }
  })

  test('commands without a running gateway end with 3', async () => {
    const commands = [
      ['status'],
      ['list', 'peers'],
      ['list', 'connections'],
      ['list', 'mappings'],
      ['list', 'exposures'],
      ['ping', 'agent-b'],
      ['trust', 'list'],
      ['trust', 'pending'],
      ['trust', 'approve', 'agent-b'],
    ]
    await Promise.all(
      commands.map(async (command) => {
        const { code, stdout, stderr } = await stage.pilotgate([
          ...command,
          '--json',
          '--admin',
          stage.path('nobody.sock'),
        ])
        assert.deepEqual([code, stderr], [3, ''], command.join(' '))
        errorOf(stdout, 'NOT_RUNNING')
      }),
    )
  })

  test('malformed flags, specifications and commands exit 2 and say what was expected', async () => {
    const wrong: [string[], RegExp][] = [
      [['up', '--no-such-flag'], /unknown option/],
      [['no-such-command'], /unknown command/],
      [['up', '--map', 'agent-b'], /agent-b/],
      [['up', '--map', '0.0.0.0:8080:agent-b:80'], /allow-lan/],
      [['up', '--expose', '80'], /80/],
      [['up', '--expose', '80=3000,alow=agent-a'], /alow/],
      [['up', '--registry', 'nowhere'], /registry/],
      [['up', '--hostname', 'A B'], /hostname/],
      [['up', '--expose', '80=3000', '--expose', '81=http://x/y'], /target/],
      [['ping', 'agent-b', '--count', 'many'], /whole number/],
      [['ping'], /missing required argument/],
      [[], /a command is missing/],
    ]
    await Promise.all(
      wrong.map(async ([args, message]) => {
        const { code, stdout } = await stage.pilotgate([
          ...args,
          '--json',
          ...(args[0] === 'up' ? ['--state-dir', stage.path('never')] : []),
        ])
        assert.equal(code, 2, `${args.join(' ')}: ${stdout}`)
        assert.match(errorOf(stdout, 'USAGE').message, message)
      }),
    )
    await assert.rejects(stat(stage.path('never')), 'nothing was created')
  })

  test('without --json an error is text on stderr with a hint, and stdout stays empty', async () => {
    const { code, stdout, stderr } = await stage.pilotgate(['status', '--admin', stage.path('nobody.sock')])
    assert.deepEqual([code, stdout], [3, ''])
    assert.match(stderr, /^error: .*\nhint: .*\n$/)
  })
})

interface ErrorLine {
  readonly code: string
  readonly message: string
  readonly hint: string
}

/** The last line of stdout as the documented error: exactly its fields, apart from `details`. */
function errorOf(stdout: string, code: string): ErrorLine {
  const last = stdout.trimEnd().split('\n').at(-1)!
  const { v, status, details, ...rest } = JSON.parse(last) as {
    v: number
    status: string
    details?: unknown
  } & ErrorLine
  assert.deepEqual([v, status, Object.keys(rest).sort()], [1, 'error', ['code', 'hint', 'message']], last)
  assert.ok(details === undefined || typeof details === 'object')
  assert.equal(rest.code, code, last)
  assert.ok(rest.message.length > 0 && rest.hint.length > 0)
  return rest
}

async function up(name: string, args: readonly string[]): Promise<Ran> {
  return await stage.pilotgate([
    'up',
    '--json',
    '--state-dir',
    stage.path(`state-${name}`),
    ...(args.includes('--listen') ? NOWHERE.slice(0, 4) : NOWHERE),
    ...args,
  ])
}

/**
 * Only one gateway at a time may use an identity's folder, because trust.json is there too; these tests run in
 * parallel.
 */
async function keyFolder(name: string): Promise<string> {
  const folder = stage.path(`keys-${name}`)
  await mkdir(folder, { mode: 0o700 })
  return folder
}

async function config(text: string): Promise<string> {
  const file = stage.path(`gateway-${++configs}.yaml`)
  await writeFile(file, text)
  return file
}
