/**
 * ssh, sftp and NATS, unmodified, on both ends of a mapping or through the proxy. Missing programs are skipped, with
 * the reason.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { userInfo } from 'node:os'
import { eventually, format, pair, Stage } from './harness.ts'
import type { Gateway } from './harness.ts'
import type { Address, Pair } from './harness.ts'
import { findProgram, MAIN } from './program.ts'
import { noise, refusing } from './servers.ts'

let stage: Stage
before(async () => {
  stage = await Stage.open()
})
after(async () => stage.close())

test('ssh, sftp and rsync through a mapping, and ssh through the proxy by name', async (t) => {
  // Our own sshd: its own key and configuration, public keys only, this user.
  const [sshd, ssh, sftp, keygen] = ['sshd', 'ssh', 'sftp', 'ssh-keygen'].map(findProgram)
  if (sshd === undefined || ssh === undefined || sftp === undefined || keygen === undefined)
    return t.skip('not installed: sshd, ssh, sftp or ssh-keygen')
  const target = await refusing() // a free port
  const identity = await startSshd(sshd, keygen, target)
  const config = stage.path('proxy.yaml')
  await writeFile(config, 'version: 1\nproxy: { listen: "127.0.0.1:0" }\n')
  const { a } = await mapped('22', target, ['-c', config])
  const { host, port } = a.local('agent-b:22')
  const options = [
    '-F',
    'none',
    '-i',
    identity,
    '-o',
    'StrictHostKeyChecking=no',
    '-o',
    'UserKnownHostsFile=/dev/null',
    '-o',
    'BatchMode=yes',
    '-o',
    'LogLevel=ERROR',
    '-o',
    'ConnectTimeout=15',
  ]
  const user = userInfo().username
  const ran = await stage.run(
    ssh,
    [...options, '-p', String(port), `${user}@${host}`, 'echo hello from $((6*7))'],
    LIMIT,
  )
  assert.deepEqual([ran.code, ran.stdout.trim()], [0, 'hello from 42'], ran.stderr)
  await overSftp(sftp, [...options, '-P', String(port)], `${user}@${host}`)
  const rsync = findProgram('rsync')
  if (rsync === undefined) t.diagnostic('not installed: rsync')
  else {
    // Twice: in full, then only the differences.
    await mkdir(stage.path('tree', 'inner'), { recursive: true })
    await writeFile(stage.path('tree', 'one.bin'), noise(2_000_000, 2))
    await writeFile(stage.path('tree', 'inner', 'two.txt'), 'two')
    for (const text of ['two', 'another two']) {
      await writeFile(stage.path('tree', 'inner', 'two.txt'), text)
      const synced = await stage.run(
        rsync,
        [
          '-a',
          '-z',
          '--delete',
          '-e',
          [ssh, ...options, '-p', String(port)].join(' '),
          `${stage.path('tree')}/`,
          `${user}@${host}:${stage.path('copy')}/`,
        ],
        LIMIT,
      )
      assert.equal(synced.code, 0, synced.stderr)
      assert.ok((await readFile(stage.path('copy', 'one.bin'))).equals(noise(2_000_000, 2)))
      assert.equal(await readFile(stage.path('copy', 'inner', 'two.txt'), 'utf8'), text)
    }
  }
  await overOwnNc(a, ssh, options)
  const nc = findProgram('nc')
  if (nc === undefined) return t.diagnostic('not installed: nc, so no ProxyCommand')
  const { proxy } = a.ready as unknown as { readonly proxy: string }
  const proxied = await stage.run(
    ssh,
    [...options, '-o', `ProxyCommand=${nc} -X 5 -x ${proxy} %h %p`, `${user}@agent-b.pilot`, 'echo by name'],
    LIMIT,
  )
  assert.deepEqual([proxied.code, proxied.stdout.trim()], [0, 'by name'], proxied.stderr)
})

test('NATS: publish and subscribe, request and reply through a mapping, and two servers joined as leaf nodes over the overlay', async (t) => {
  // The hub is behind agent-b; the leaf next to agent-a joins it through a mapping to the hub's leaf port.
  const server = findProgram('nats-server')
  if (server === undefined) return t.skip('not installed: nats-server')
  const [hub, hubLeaf, leaf] = [await refusing(), await refusing(), await refusing()]
  await startNats(server, 'hub', `listen: "${hub}"\nleafnodes { listen: "${hubLeaf}" }\n`)
  const inner = await Stage.open()
  stage.defer(async () => inner.close())
  const { a } = await pair(
    inner,
    { map: ['0:agent-b:4222', '0:agent-b:7422'] },
    { expose: [`4222=${hub}`, `7422=${hubLeaf}`] },
  )
  await startNats(
    server,
    'leaf',
    `listen: "${leaf}"\nleafnodes { remotes: [ { url: "nats://${format(a.local('agent-b:7422'))}" } ] }\n`,
  )
  const mapped = await NatsClient.open(a.local('agent-b:4222'))
  const beside = await NatsClient.open(addressOf(hub))
  beside.say('SUB news 1\r\nSUB ask 2\r\nPING\r\n')
  await beside.hears('PONG')
  mapped.say('PUB news 5\r\nhello\r\nSUB inbox.1 9\r\nPUB ask inbox.1 4\r\nwhat\r\n')
  await beside.hears('MSG news 1 5\r\nhello\r\n')
  await beside.hears('MSG ask 2 inbox.1 4\r\nwhat\r\n')
  beside.say('PUB inbox.1 6\r\nanswer\r\n')
  await mapped.hears('MSG inbox.1 9 6\r\nanswer\r\n')
  const local = await NatsClient.open(addressOf(leaf))
  await eventually(
    'a message of the leaf reaches the hub',
    async () => {
      local.say('PUB news 9\r\nfrom leaf\r\n')
      return beside.heard.includes('MSG news 1 9\r\nfrom leaf\r\n') || undefined
    },
    20_000,
  )
  local.say('SUB back 3\r\nPING\r\n')
  await local.hears('PONG')
  await eventually(
    'a message of the hub reaches the leaf',
    async () => {
      beside.say('PUB back 8\r\nfrom hub\r\n')
      return local.heard.includes('MSG back 3 8\r\nfrom hub\r\n') || undefined
    },
    20_000,
  )
})

/** A NATS client: its protocol is lines of text. */
class NatsClient {
  heard = ''
  readonly #socket: Socket

  private constructor(socket: Socket) {
    this.#socket = socket
    socket
      .on('data', (bytes) => {
        this.heard += bytes.toString('latin1')
      })
      .on('error', () => {})
  }

  static async open(at: Address): Promise<NatsClient> {
    const client = new NatsClient(connect(at))
    stage.defer(async () => client.#socket.destroy())
    await client.hears('INFO ')
    client.say('CONNECT {"verbose":false,"pedantic":false,"name":"test"}\r\nPING\r\n')
    await client.hears('PONG')
    client.heard = ''
    return client
  }

  say(text: string): void {
    this.#socket.write(text)
  }
  async hears(text: string): Promise<void> {
    await eventually(`"${text}" is heard`, () => this.heard.includes(text) || undefined)
  }
}

/** @returns the key that may log in. */
async function startSshd(sshd: string, keygen: string, target: string): Promise<string> {
  const folder = stage.path('ssh')
  await mkdir(folder, { mode: 0o700 })
  for (const name of ['host', 'user'])
    assert.equal((await stage.run(keygen, ['-q', '-t', 'ed25519', '-N', '', '-f', `${folder}/${name}`])).code, 0)
  await writeFile(`${folder}/authorized_keys`, await readFile(`${folder}/user.pub`), { mode: 0o600 })
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true }) // where sshd as root keeps its empty folder
  const [host, port] = target.split(':')
  await writeFile(
    `${folder}/config`,
    [
      `ListenAddress ${host}`,
      `Port ${port}`,
      `HostKey ${folder}/host`,
      `AuthorizedKeysFile ${folder}/authorized_keys`,
      `PidFile ${folder}/pid`,
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'UsePAM no',
      'StrictModes no',
      'PermitRootLogin prohibit-password',
      'Subsystem sftp internal-sftp',
      '',
    ].join('\n'),
  )
  const program = stage.spawn(sshd, ['-D', '-e', '-f', `${folder}/config`])
  await program.until(() => program.stderr.includes('Server listening') || undefined, 'that it listens')
  return `${folder}/user`
}

async function startNats(server: string, name: string, config: string): Promise<void> {
  const file = stage.path(`${name}.conf`)
  await writeFile(file, `server_name: ${name}\n${config}`)
  const program = stage.spawn(server, ['-c', file], { label: name })
  await program.until(() => program.stderr.includes('Server is ready') || undefined, 'that it is ready')
}

async function mapped(port: string, target: string, args: readonly string[]): Promise<Pair> {
  const inner = await Stage.open()
  stage.defer(async () => inner.close())
  return await pair(inner, { map: [`0:agent-b:${port}`], args }, { expose: [`${port}=${target}`] })
}

function addressOf(target: string): Address {
  const [host, port] = target.split(':')
  return { host: host!, port: Number(port) }
}

/** A file there and back. */
async function overSftp(sftp: string, options: readonly string[], target: string): Promise<void> {
  const file = stage.path('upload.bin')
  await writeFile(file, noise(3_000_000))
  await writeFile(
    stage.path('batch'),
    `put ${file} ${stage.path('there.bin')}\nget ${stage.path('there.bin')} ${stage.path('back.bin')}\n`,
  )
  const moved = await stage.run(sftp, [...options, '-b', stage.path('batch'), target], LIMIT)
  assert.equal(moved.code, 0, moved.stderr)
  assert.ok((await readFile(stage.path('back.bin'))).equals(noise(3_000_000)))
}

/** `pilotgate nc` as ProxyCommand. */
async function overOwnNc(a: Gateway, ssh: string, options: readonly string[]): Promise<void> {
  const proxy = `ProxyCommand=${process.execPath} ${MAIN} nc %h:22 --admin ${a.admin}`
  const target = `${userInfo().username}@agent-b`
  const { code, stdout, stderr } = await stage.run(ssh, [...options, '-o', proxy, target, 'echo by nc'], LIMIT)
  assert.deepEqual([code, stdout.trim()], [0, 'by nc'], stderr)
}

const LIMIT = { timeoutMs: 30_000 }
