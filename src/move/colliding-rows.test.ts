/** Which rows stand in each other's way (colliding-rows.ts): whose the other one is. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVindex } from '../keyspace/vindexes/create.ts'
import { ServerError } from '../mysql/errors.ts'
import { rowsThatCollide } from './colliding-rows.ts'
import { intColumn, planOf } from './testkit/samples.ts'

const vindex = createVindex('hash', 'h')
const table = planOf([intColumn('id'), intColumn('v')], ['id'], { vindex, vindexColumns: ['id'] })
const change = { table, key: '1', row: '(1,7)', images: null }
const why = new ServerError(1062, '23000', "Duplicate entry '7' for key 't.v'")
const lane = {
  read: () => Promise.resolve([{ c: Buffer.from('v'), p: null, charset: null, collation: null }]),
  // 3 is in 40-80 by this vindex.
  readWithin: () => Promise.resolve([{ k0: Buffer.from('3'), s0: Buffer.from('3') }]),
}

test('1.6: of two rows that collide it is told where each is; not of which source, where that is unknown since streams of another workflow write there too', async () => {
  const told = (sources: string[]): Promise<string | null> => rowsThatCollide(lane, { schema: 's', source: '-40', sources }, change, why)
  assert.equal(await told(['-40', '40-80', '80-']), 'row 1 of -40 and row 3 of 40-80')
  assert.equal(await told(['-40', '40-80', '80-', '-']), 'row 1 of -40 and row 3 of another source')
})
