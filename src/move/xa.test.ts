import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noFailpoints } from './crash-points.ts'
import type { Lane } from './lane.ts'
import type { TablePlan } from './table-plan.ts'
import { TargetXaStore } from './xa.ts'

test('promise 4, 1.9: rows kept of a table that the stream does not know stop it, and are not passed over', async () => {
  const document = (table: string): Buffer => Buffer.from(`${JSON.stringify([[table, '1', '(1)', null]])}\n`)
  const commit = async (table: string): Promise<unknown> => {
    const read = async (sql: string): Promise<unknown[]> => {
      if (sql.includes('SUM(')) return [{ at_marker: Buffer.from('1'), at_groups: Buffer.from('0'), bytes: Buffer.from('20') }]
      return sql.endsWith('part = 0') ? [{ changes: document(table) }] : []
    }
    const store = new TargetXaStore({
      streamUid: 's',
      workflowUid: 'w',
      sourceName: 'source',
      targets: [{ uid: 't', lane: { read } as unknown as Lane }],
      plans: new Map([['item', { name: 'item' } as TablePlan]]),
      copying: () => false,
      proof: 'marker',
      read: () => '',
      failpoints: noFailpoints,
    })
    return await store.commit('x', { marker: 2, groups: 0 }, 1000)
  }
  assert.equal(((await commit('item')) as unknown[]).length, 1)
  await assert.rejects(commit('other'), { code: 'SW-MOVE-018' })
})
