/** A few rows of test/chaos, so that the suite itself cannot rot: real processes under load, one fault each. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runLine } from '../chaos/report.ts'
import { ROWS } from '../chaos/rows.ts'
import { runBelievably } from '../chaos/runner.ts'
import { whyNoLab } from './lab.ts'

const why = whyNoLab()
if (why !== undefined) console.log(`skipped: the chaos rows: ${why}`)

for (const name of ['address-a', 'kill-b', 'trust-revoked', 'backend-reset'])
  test(
    `${name}: every byte, end and time limit is as promised (seed 1)`,
    { skip: why ?? false, timeout: 120_000 },
    async () => {
      const row = ROWS.find((candidate) => candidate.name === name)!
      const result = await runBelievably(row, 1)
      console.log(`measured: ${runLine(result)}`)
      assert.deepEqual(result.problems, [])
    },
  )
