/** Every row of the suite, in the order in which they run. */
import type { Row } from './row.ts'
import { ABUSE_ROWS } from './rows/abuse.ts'
import { churnRow } from './rows/churn.ts'
import { DECISION_ROWS } from './rows/decisions.ts'
import { FACT_ROWS } from './rows/facts.ts'
import { MACHINE_ROWS } from './rows/machine.ts'
import { NETWORK_ROWS } from './rows/network.ts'
import { PROCESS_ROWS } from './rows/processes.ts'

export const ROWS: readonly Row[] = [
  ...PROCESS_ROWS,
  ...NETWORK_ROWS,
  ...MACHINE_ROWS,
  ...ABUSE_ROWS,
  ...DECISION_ROWS,
  ...FACT_ROWS,
  churnRow(1),
]
