/** What servers of different ages say of one column. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '../mysql/connection.ts'
import { readTableDefinitions } from './table-definitions.ts'

const answering = (charset: string, collation: string): Connection => {
  const row = { t: 't', c: 'name', d: 'varchar', y: 'varchar(9)', s: charset, o: collation, n: 'NO', e: '' }
  return { flavour: 'mysql', allText: async () => [row] } as unknown as Connection
}

test('1.12: utf8 of an older server is utf8mb3 of a newer one, and no other set', async () => {
  const read = async (charset: string, collation: string) => (await readTableDefinitions(answering(charset, collation), 's')).get('t')![0]!
  assert.deepEqual(await read('utf8', 'utf8_general_ci'), await read('utf8mb3', 'utf8mb3_general_ci'))
  for (const [charset, collation] of [
    ['utf8mb4', 'utf8mb4_bin'],
    ['latin1', 'latin1_swedish_ci'],
  ] as const)
    assert.deepEqual([(await read(charset, collation)).charset, (await read(charset, collation)).collation], [charset, collation])
})
