/**
 * Finds and checks the native port (native/): made by `npm run build`, or installed as a package for this platform. It
 * never makes anything fail: without it, or if it does not agree with node:crypto, the port of node:dgram does the work.
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { equalBytes } from '../../base/bytes.ts'
import { AEAD_TAG_BYTES, nodeCrypto, type CryptoProvider } from '../../crypto/aead.ts'
import { selfTest } from '../../crypto/self-test.ts'
import { nativeCrypto, type NativeKeyClass } from './key.ts'

/** What native/src/lib.rs exports. */
export interface NativeAddon {
  readonly NativeKey: NativeKeyClass
  readonly NativePort: new (
    address: string,
    port: number,
    bufferBytes: number,
    onReadable: () => void,
  ) => NativePortHandle
}

export interface NativePortHandle {
  readonly localAddress: string
  readonly localPort: number
  readonly receiveBufferBytes: number
  readonly sendErrors: number
  readonly backlog: number
  setKeys(sender: number, ids: readonly number[]): void
  send(arena: Uint8Array, about: Uint32Array, count: number): void
  receive(): number
  take(out: Uint8Array, about: Uint32Array): number
  close(): void
}

export interface NativeParts {
  readonly path: string // of the file, or the name of the package
  readonly addon: NativeAddon
  readonly crypto: CryptoProvider
}

/** The addon, or why there is none. Loaded once. */
export function loadNative(): NativeParts | { readonly reason: string } {
  return (loaded ??= load())
}
let loaded: NativeParts | { readonly reason: string } | undefined

function load(): NativeParts | { readonly reason: string } {
  const require = createRequire(import.meta.url)
  const reasons: string[] = []
  for (const candidate of candidates()) {
    try {
      const addon = require(candidate) as NativeAddon
      const crypto = nativeCrypto(addon.NativeKey)
      const trouble = selfTest(crypto) ?? differs(crypto)
      if (trouble === undefined) return { path: candidate, addon, crypto }
      reasons.push(`it fails its self-test: ${trouble}`)
    } catch (error) {
      const { code, message } = error as { readonly code?: string; readonly message: string }
      if (code !== 'MODULE_NOT_FOUND') reasons.push(message.split('\n')[0]!)
    }
  }
  return { reason: reasons[0] ?? `none is installed for ${PLATFORM}` }
}

/** The one that was built here first. */
function candidates(): string[] {
  const root = packageRoot()
  const names = process.platform === 'linux' ? [`${PLATFORM}-gnu`, `${PLATFORM}-musl`] : [PLATFORM]
  const built = root === undefined ? [] : names.map((name) => join(root, 'dist', 'native', `pilotgate.${name}.node`))
  return [...built.filter((path) => existsSync(path)), ...names.map((name) => `pilotgate-native-${name}`)]
}

const PLATFORM = `${process.platform}-${process.arch}`

/** This file lies in src/ or, bundled, in dist/. */
function packageRoot(): string | undefined {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder
    if (folder === dirname(folder)) return undefined
  }
}

/** Random frames, sealed by each and opened by the other. */
function differs(crypto: CryptoProvider): string | undefined {
  for (const bytes of AGREED_SIZES) {
    const [key, nonce, aad, plain] = [randomBytes(32), randomBytes(12), randomBytes(4), randomBytes(bytes)]
    const [ours, theirs] = [crypto.aead(key), nodeCrypto.aead(key)]
    for (const [sealer, opener] of [[ours, theirs] as const, [theirs, ours] as const]) {
      const sealed = new Uint8Array(bytes + AEAD_TAG_BYTES)
      sealer.seal(nonce, aad, plain, sealed, 0)
      const opened = opener.open(nonce, aad, sealed)
      if (opened === undefined || !equalBytes(opened, plain)) return `it disagrees with node:crypto on ${bytes} bytes`
    }
  }
  return undefined
}

/** Below, at and above the block sizes of the fast implementations, and what datagrams carry. */
const AGREED_SIZES = [0, 1, 15, 16, 17, 255, 256, 257, 1_152, 1_400, 16_384, 60_000]
