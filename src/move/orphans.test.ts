import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '../mysql/connection.ts'
import { OrphanCheck, type Orphans } from './orphans.ts'

const side = { conn: null as unknown as Connection, schema: 's', name: 'target' }
const key = (name: string): Orphans['key'] => ({ name, table: 'child', referenced: 'parent', columns: ['p'], referencedColumns: ['id'] })
const found = (name: string, ...rows: string[]): Orphans => ({ key: key(name), rows, more: false })

async function looks(...each: Orphans[][]): Promise<(string | null)[]> {
  const said: (string | null)[] = []
  const check = new OrphanCheck(() => Promise.resolve(each[said.length] ?? []))
  for (const _ of each) said.push(await check.look(side, side, new Map()))
  return said
}

test('1.11: the same row found three times in a row ends the stream, and is the one that it names', async () => {
  await assert.rejects(looks([found('fk', '1', '2')], [found('fk', '2', '3')], [found('fk', '2')]), /not there: 2$/)
  await assert.rejects(
    looks([found('a', '1'), found('b', '7')], [found('b', '7')], [found('a', '2'), found('b', '7')]),
    /refer by foreign key b/,
  )
})

test('1.11: other rows each time, of an application that checks no foreign keys, are not looked at without end; nor does one end the stream that was gone in between', async () => {
  const said = await looks([found('fk', '1')], [found('fk', '2')], [found('fk', '1', '3')], [found('fk', '3', '4')], [found('fk', '4')], [])
  assert.deepEqual(
    said.map((text) => text !== null),
    [true, false, true, true, false, false],
  )
})

test('1.11: behind a look that did not see all rows, others are looked at as if they were the first', async () => {
  const cut = { ...found('fk', '1'), more: true }
  await assert.rejects(looks([cut], [found('fk', '2')], [found('fk', '2')], [found('fk', '2')]), /not there: 2$/)
  await assert.rejects(
    looks([cut, found('b', '7')], [found('b', '7')], [found('fk', '2')], [found('fk', '2')], [found('fk', '2')]),
    /not there: 2$/,
  )
})
