import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OrphanCheck, type Orphans } from './orphans.ts'
import { intColumn, planOf } from './testkit/samples.ts'

const plan = planOf(['id', 'p'].map(intColumn), ['id'], { name: 'child' })
const by = { name: 'fk', table: 'child', referenced: 'parent', columns: ['p'], referencedColumns: ['id'] }
const found = (...keys: string[]): Orphans => ({ by, plan, keys, more: false })

async function looks(first: Orphans, ...each: string[][]): Promise<{ said: (string | null)[]; asked: string[] }> {
  const said: (string | null)[] = []
  const asked: string[] = []
  const check = new OrphanCheck(first, 'target', async (standing) => {
    asked.push(standing.keys.join())
    return { ...standing, keys: each[said.length] ?? [] }
  })
  for (const _ of each) said.push(await check.look())
  return { said, asked }
}

test('1.11: the same row found three times ends the stream, and is the one that it names', async () => {
  await assert.rejects(looks(found('1', '2', '3'), ['1', '2'], ['2', '3'], ['2']), /refer by foreign key fk to .*not there: 2$/)
  await assert.rejects(looks({ ...found('1'), more: true }, ['1'], ['1'], ['1']), /not there: 1, …$/)
})

test('1.11: only rows that were found are looked at again, and none that is well by now', async () => {
  const { said, asked } = await looks(found('1', '2', '3'), ['1', '3'], ['3'], [])
  assert.deepEqual(asked, ['1,2,3', '1,3', '3'])
  assert.deepEqual(
    said.map((text) => text !== null),
    [true, true, false],
  )
})
