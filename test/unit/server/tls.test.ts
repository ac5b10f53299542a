/** TLS and plain TCP on one port, with a certificate that clients pin and that survives a restart. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { PilotError } from '../../../src/base/errors.ts'
import { parseEndpoint } from '../../../src/base/types.ts'
import { createCertificate, fingerprintOf } from '../../../src/server/certificate.ts'
import { startRendezvous } from '../../../src/server/rendezvous.ts'
import { encodeRegistryFrame, RegistryFrameReader } from '../../../src/wire/registry-messages.ts'

const LOG = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
const ANYWHERE = { registry: '127.0.0.1:0', beacon: '127.0.0.1:0', log: LOG }
const NOW = Date.UTC(2026, 10, 23)

test("the certificate has the same contents as the reference's, and is signed by its own key", () => {
  for (let i = 0; i < 8; i++) {
    // lengths of the signature's numbers vary
    const { certPem, keyPem } = createCertificate(NOW)
    const certificate = new X509Certificate(certPem)
    assert.equal(certificate.subject, 'O=pilotgate')
    assert.equal(certificate.subjectAltName, 'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1')
    assert.equal(certificate.ca, false)
    assert.ok(certificate.verify(certificate.publicKey))
    assert.ok(certificate.checkHost('localhost') !== undefined && certificate.checkIP('127.0.0.1') !== undefined)
    assert.equal(new Date(certificate.validFrom).getTime(), NOW - 86_400_000)
    assert.equal(new Date(certificate.validTo).getTime(), NOW + 3_650 * 86_400_000)
    assert.match(keyPem, /PRIVATE KEY/)
    assert.equal(fingerprintOf(certPem), certificate.fingerprint256.replaceAll(':', '').toLowerCase())
  }
})

test(
  'openssl reads the certificate and verifies its signature',
  { skip: spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not installed' },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pilotgate-certificate-'))
    const file = join(folder, 'certificate.pem')
    await writeFile(file, createCertificate(Date.now()).certPem)
    const text = execFileSync('openssl', ['x509', '-in', file, '-noout', '-text'], { encoding: 'utf8' })
    assert.match(text, /ecdsa-with-SHA256/)
    assert.match(text, /DNS:localhost, IP Address:127\.0\.0\.1/)
    assert.match(execFileSync('openssl', ['verify', '-CAfile', file, file], { encoding: 'utf8' }), /OK/)
    await rm(folder, { recursive: true })
  },
)

test('one port serves clients with and without TLS, however slowly they start', async () => {
  const rendezvous = await startRendezvous(ANYWHERE)
  const plain = connect(portOf(rendezvous.registry), '127.0.0.1')
  assert.deepEqual(await answer(plain, true), { type: 'beacon_list_ok', beacons: [] })
  const secure = connectTls({ port: portOf(rendezvous.registry), host: '127.0.0.1', rejectUnauthorized: false })
  await once(secure, 'secureConnect')
  assert.equal(
    secure.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase(),
    rendezvous.fingerprint,
  )
  assert.deepEqual(await answer(secure, true), { type: 'beacon_list_ok', beacons: [] })
  const silent = connect(portOf(rendezvous.registry), '127.0.0.1') // must not delay stop
  await once(silent, 'connect')
  await rendezvous.stop()
})

test('a renewed certificate is served after a reload, and a file that is half written changes nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pilotgate-renewal-'))
  const [tlsCertFile, tlsKeyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const put = async ({ certPem, keyPem }: { readonly certPem: string; readonly keyPem: string }): Promise<void> => {
    await writeFile(tlsCertFile, certPem)
    await writeFile(tlsKeyFile, keyPem)
  }
  const [first, second] = [createCertificate(NOW), createCertificate(NOW)]
  await put(first)
  const rendezvous = await startRendezvous({ ...ANYWHERE, tlsCertFile, tlsKeyFile })
  const shown = async (): Promise<string | undefined> => {
    const socket = connectTls({ port: portOf(rendezvous.registry), host: '127.0.0.1', rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    const fingerprint = socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase()
    socket.destroy()
    return fingerprint
  }
  assert.equal(await shown(), fingerprintOf(first.certPem))
  await writeFile(tlsCertFile, second.certPem) // with the key of the first
  await assert.rejects(rendezvous.reloadCertificate(), PilotError)
  assert.equal(await shown(), fingerprintOf(first.certPem))
  await put(second)
  assert.deepEqual(await rendezvous.reloadCertificate(), { fingerprint: fingerprintOf(second.certPem), changed: true })
  assert.equal(await shown(), fingerprintOf(second.certPem))
  assert.equal((await rendezvous.reloadCertificate()).changed, false)
  await rendezvous.stop()
  await rm(folder, { recursive: true })
})

test('with TLS only, plain TCP is disconnected silently', async () => {
  const rendezvous = await startRendezvous({ ...ANYWHERE, tlsOnly: true })
  assert.equal(await answer(connect(portOf(rendezvous.registry), '127.0.0.1')), undefined)
  assert.notEqual(
    await answer(connectTls({ port: portOf(rendezvous.registry), host: '127.0.0.1', rejectUnauthorized: false })),
    undefined,
  )
  await rendezvous.stop()
})

test('data that only looks like TLS ends just that connection', async () => {
  const rendezvous = await startRendezvous(ANYWHERE)
  const nonsense = connect(portOf(rendezvous.registry), '127.0.0.1')
  nonsense.on('error', () => undefined)
  nonsense.write(Buffer.from('1603010005ffffffffff', 'hex'))
  await once(nonsense.resume(), 'close')
  assert.notEqual(await answer(connect(portOf(rendezvous.registry), '127.0.0.1')), undefined)
  await rendezvous.stop()
})

test('the certificate is kept with the store, or taken from files; half of a pair is an error', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pilotgate-tls-'))
  const fingerprints: string[] = []
  for (let i = 0; i < 2; i++) {
    const rendezvous = await startRendezvous({ ...ANYWHERE, storeDir: join(folder, 'store') })
    fingerprints.push(rendezvous.fingerprint)
    await rendezvous.stop()
  }
  assert.match(fingerprints[0] ?? '', /^[0-9a-f]{64}$/)
  assert.equal(fingerprints[0], fingerprints[1])
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const made = createCertificate(Date.now())
  await writeFile(certFile, made.certPem)
  await writeFile(keyFile, made.keyPem)
  const rendezvous = await startRendezvous({ ...ANYWHERE, tlsCertFile: certFile, tlsKeyFile: keyFile })
  assert.equal(rendezvous.fingerprint, fingerprintOf(made.certPem))
  await rendezvous.stop()
  for (const bad of [
    { tlsCertFile: certFile },
    { tlsKeyFile: keyFile },
    { tlsCertFile: certFile, tlsKeyFile: join(folder, 'none') },
    { tlsCertFile: keyFile, tlsKeyFile: keyFile },
  ]) {
    await assert.rejects(
      startRendezvous({ ...ANYWHERE, ...bad }),
      (error: unknown) => error instanceof PilotError && error.code === 'USAGE',
    )
  }
  await rm(folder, { recursive: true })
})

/** The reply to one request, or undefined if the connection ends without one. */
async function answer(socket: Socket, slowly = false): Promise<object | undefined> {
  socket.on('error', () => undefined)
  const frame = encodeRegistryFrame({ type: 'beacon_list' })
  if (!slowly) socket.write(frame)
  for (const byte of slowly ? frame : []) {
    socket.write(Uint8Array.of(byte))
    await new Promise((resolve) => setImmediate(resolve))
  }
  const reader = new RegistryFrameReader()
  for await (const chunk of socket as AsyncIterable<Uint8Array>) {
    reader.push(chunk)
    const reply = reader.next()
    if (typeof reply === 'object') return reply
  }
  return undefined
}

function portOf(address: string): number {
  return parseEndpoint(address)?.port ?? 0
}
