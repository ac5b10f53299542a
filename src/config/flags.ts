/** The command line of `up`; absent values are not set. */
export interface Flags {
  readonly registry?: string
  readonly registryFingerprint?: string
  readonly beacon?: string
  readonly listen?: string
  readonly endpoint?: string
  readonly hostname?: string
  readonly public?: boolean
  readonly stateDir?: string
  readonly identity?: string
  readonly admin?: string
  readonly http?: string
  readonly proxyListen?: string
  readonly dns?: string
  readonly observe?: string
  readonly allowLan?: boolean
  readonly daemon?: string
  readonly trust?: readonly string[]
  readonly map?: readonly string[]
  readonly expose?: readonly string[]
}
