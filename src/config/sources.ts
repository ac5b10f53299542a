/** Where the options of a gateway come from. */
import type { Environment } from './env.ts'
import type { Flags } from './flags.ts'
import type { LoadedConfig } from './load.ts'

export interface Sources {
  readonly flags: Flags
  readonly env: Environment
  readonly file?: LoadedConfig | undefined
}
