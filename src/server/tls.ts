/**
 * The registry's certificate: from files, or generated once and kept with the store so that clients' pins stay valid.
 * One listening port serves TLS and plain TCP: the first byte of a connection decides (0x16 begins a TLS handshake; a
 * registry message begins with the high byte of its length, which is 0).
 */
import type { Socket } from 'node:net'
import type { SecureContext } from 'node:tls'
import type { Certificate } from './certificate.ts'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSecureContext, TLSSocket } from 'node:tls'
import { PilotError } from '../base/errors.ts'
import { writeFileAtomically } from '../runtime/files/atomic.ts'
import { createCertificate, fingerprintOf } from './certificate.ts'

export interface TlsOptions {
  readonly certFile?: string // PEM; together with keyFile
  readonly keyFile?: string
  readonly storeDir?: string // absent: a new certificate at each start
}

export interface ServerTls {
  readonly context: SecureContext
  readonly fingerprint: string
}

/** @throws PilotError USAGE for files that are missing, unreadable or do not belong together. */
export async function loadTls(options: TlsOptions): Promise<ServerTls> {
  const { certFile, keyFile, storeDir } = options
  if ((certFile === undefined) !== (keyFile === undefined))
    throw new PilotError('USAGE', 'a certificate needs its key: give both --tls-cert and --tls-key')
  if (certFile !== undefined && keyFile !== undefined)
    return toTls(await fromFiles(certFile, keyFile), `${certFile} and ${keyFile}`)
  if (storeDir === undefined) return toTls(createCertificate(Date.now()), 'the generated certificate')
  const file = join(storeDir, CERTIFICATE_FILE)
  return toTls(await kept(file), file)
}

export interface SniffOptions {
  readonly tls: ServerTls
  readonly tlsOnly: boolean // plain TCP clients are disconnected
  readonly patienceMs: number // for the first byte
}

/** Calls `onReady` with the socket to use, once the client has sent its first byte, or finished its TLS handshake. */
export function sniffTls(
  socket: Socket,
  { tls, tlsOnly, patienceMs }: SniffOptions,
  onReady: (socket: Socket) => void,
): void {
  let impatience = setTimeout(() => socket.destroy(), patienceMs)
  const silent = (): void => void socket.destroy() // half-closed before any data
  const look = (): void => {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) return
    clearTimeout(impatience)
    socket.off('readable', look)
    socket.off('end', silent)
    socket.unshift(chunk)
    if (chunk[0] !== TLS_HANDSHAKE) return tlsOnly ? silent() : onReady(socket)
    const secure = new TLSSocket(socket, { isServer: true, secureContext: tls.context })
    impatience = setTimeout(() => socket.destroy(), HANDSHAKE_MS)
    secure.once('error', () => socket.destroy())
    secure.once('secure', () => {
      clearTimeout(impatience)
      onReady(secure)
    })
  }
  socket.on('readable', look)
  socket.once('end', silent)
  socket.once('close', () => clearTimeout(impatience))
}

/** Certificate and key in one file, so that one rename keeps both or neither. */
async function kept(file: string): Promise<Certificate> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw new PilotError('USAGE', `cannot read the registry's certificate: ${error.message}`, { file }, error)
  })
  if (text !== undefined) return { certPem: text, keyPem: text }
  const made = createCertificate(Date.now())
  await writeFileAtomically(file, made.certPem + made.keyPem)
  return made
}

async function fromFiles(certFile: string, keyFile: string): Promise<Certificate> {
  try {
    return { certPem: await readFile(certFile, 'utf8'), keyPem: await readFile(keyFile, 'utf8') }
  } catch (error) {
    throw new PilotError(
      'USAGE',
      `cannot read the registry's certificate: ${error instanceof Error ? error.message : String(error)}`,
      { certFile, keyFile },
      error,
    )
  }
}

function toTls({ certPem, keyPem }: Certificate, where: string): ServerTls {
  try {
    return {
      context: createSecureContext({ cert: certPem, key: keyPem, minVersion: 'TLSv1.2' }),
      fingerprint: fingerprintOf(certPem),
    }
  } catch (error) {
    throw new PilotError(
      'USAGE',
      `${where}: not a certificate with its key: ${error instanceof Error ? error.message : String(error)}`,
      { where },
      error,
    )
  }
}

const CERTIFICATE_FILE = 'registry.pem'
const TLS_HANDSHAKE = 0x16
const HANDSHAKE_MS = 10_000 // a client that needs longer is disconnected
