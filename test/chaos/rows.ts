/** Every row of the suite, in the order in which they run. */
import type { Row } from './row.ts'
import { NETWORK_ROWS } from './rows/network.ts'

export const ROWS: readonly Row[] = [...NETWORK_ROWS]
