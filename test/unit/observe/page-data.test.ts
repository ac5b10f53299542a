/** Records in, dashboard data out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pageData } from '../../../src/observe/page-data.ts'
import { STATUS } from '../admin/control.ts'

test('the dashboard gets the problems that status reports, and not the counters', () => {
  const problems = [{ name: 'udp', state: 'fail', text: 'UDP is blocked', hint: 'Open it.' } as const]
  const { status } = pageData({ ...STATUS, problems }, [], [])
  assert.deepEqual(status.problems, problems)
  assert.equal('counters' in status, false)
})
