/** Targets exposed only on explicit request: by address, by socket, and by what a name resolves to. */
import assert from 'node:assert/strict'
import { mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { PilotError } from '../../../../src/base/errors.ts'
import { resolveOptions } from '../../../../src/config/options.ts'
import { targetHosts } from '../../../../src/gateway/expose/target-hosts.ts'
import { formatExposeSpec, parseExposeSpec } from '../../../../src/gateway/model/expose-spec.ts'
import { checkTarget } from '../../../../src/gateway/model/unsafe-target.ts'
import { HostAddresses } from '../../../../src/runtime/net/host-addresses.ts'

const UNSAFE = [
  '80=169.254.169.254:80',
  '80=http://169.254.1.2:8080',
  '80=[fe80::1]:80',
  '80=[fd00:ec2::254]:80',
  '80=100.100.100.200:80',
  '80=[::ffff:169.254.169.254]:80',
  '80=[::ffff:a9fe:a9fe]:80',
  '80=[64:ff9b::a9fe:a9fe]:80', // NAT64
  '80=[64:ff9b::169.254.169.254]:80',
  '80=[64:ff9b:1::a9fe:a9fe]:80',
  '80=[2002:a9fe:a9fe::1]:80', // 6to4
  '80=[::ffff:0:169.254.169.254]:80',
  '80=[::169.254.169.254]:80',
  '80=[fe80::1%eth0]:80',
  '80=[fd20:ce::254]:80',
  '80=168.63.129.16:80',
  '80=[ff02::1]:80',
  '53/udp=224.0.0.251:5353',
  '53/udp=255.255.255.255:53',
  '80=unix:/run/docker.sock',
  '80=unix:/var/run/docker.sock',
  '80=unix:///run/user/1000/podman/podman.sock',
  '80=unix:/run/containerd/containerd.sock',
  '80=unix:/run/pilotgate/admin.sock',
  '80=unix:/run/systemd/private',
]
const SAFE = [
  '80=3000',
  '80=127.0.0.1:3000',
  '80=[::1]:3000',
  '80=0.0.0.0:3000',
  '80=10.0.0.5:80',
  '80=db.internal:5432',
  '80=[2001:db8::1]:80',
  '80=[64:ff9b::a00:5]:80',
  '80=[2002:a00:5::1]:80',
  '53/udp=192.168.1.1:53',
  '5432=unix:/run/postgresql/.s.PGSQL.5432',
]

for (const text of UNSAFE)
  test(`${text} is refused without unsafe-target, with a hint, and accepted with it`, () => {
    assert.throws(
      () => checkTarget(parseExposeSpec(text)),
      (error) => error instanceof PilotError && error.code === 'USAGE' && /unsafe-target/.test(error.hint ?? ''),
    )
    checkTarget(parseExposeSpec(`${text},unsafe-target`))
  })

test('other machines, when written in full, and ordinary sockets need no flag', () => {
  for (const text of SAFE) checkTarget(parseExposeSpec(text))
})

test('a gateway does not start with such a target', () => {
  const sources = (expose: string): Parameters<typeof resolveOptions>[0] => ({ flags: { expose: [expose] }, env: {} })
  assert.throws(() => resolveOptions(sources('80=169.254.169.254:80')), /metadata/)
  assert.equal(resolveOptions(sources('80=169.254.169.254:80,unsafe-target')).exposes[0]?.unsafeTarget, true)
})

test('the flag is formatted as it was parsed', () => {
  const text = '80=unix:/run/docker.sock,allow=alice,once,unsafe-target'
  assert.equal(formatExposeSpec(parseExposeSpec(text)), text)
})

test('what a name resolves to is checked on connecting', async () => {
  let addresses = ['169.254.169.254', '10.0.0.7', '::ffff:169.254.0.1']
  const ask = (spec: { unsafeTarget?: true }): Promise<readonly string[]> =>
    Promise.resolve(targetHosts(spec, new HostAddresses(() => Promise.resolve(addresses))).of('service.example'))
  assert.deepEqual(await ask({}), ['10.0.0.7'])
  assert.deepEqual(await ask({ unsafeTarget: true }), addresses)
  addresses = ['169.254.169.254']
  await assert.rejects(ask({}), /unsafe-target/)
})

test('other spellings of an address count as names, and are checked on connecting', async () => {
  for (const host of ['2852039166', '0xa9fea9fe', '0251.0376.0251.0376', '169.254.43518']) {
    checkTarget(parseExposeSpec(`80=${host}:80`))
    await assert.rejects(Promise.resolve(targetHosts({}, new HostAddresses()).of(host)), /unsafe-target|ENOTFOUND/)
  }
})

test("what a socket's path leads to is checked on connecting", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'pilotgate-target-'))
  t.after(() => rm(dir, { recursive: true }))
  const [control, plain, link] = [join(dir, 'docker.sock'), join(dir, 'app.sock'), join(dir, 'service.sock')]
  await Promise.all([control, plain].map((path) => writeFile(path, '')))
  await symlink(plain, link)
  const { socketAt } = targetHosts({}, new HostAddresses())
  assert.equal(await socketAt!(link), await realpath(plain))
  await rm(link)
  await symlink(control, link)
  await assert.rejects(socketAt!(link), /unsafe-target/)
  assert.equal(targetHosts({ unsafeTarget: true }, new HostAddresses()).socketAt, undefined)
  assert.equal(await socketAt!(join(dir, 'missing')), join(dir, 'missing'))
})
