/** Digests of keys (key-digests.ts): what goes wrong is told by its own error, and sessions are left as they were. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import type { TableInfo, TableKey } from '../mysql/table-info.ts'
import { collisionsOfDigests } from './key-digests.ts'
import type { MergeSource } from './key-collisions.ts'

const key = { name: 'k', parts: [{ column: 'k', prefixLength: 4, descending: false, expression: null }] } as unknown as TableKey
const table = { name: 't', columns: [{ name: 'k', dataType: 'varbinary', charset: null }] } as unknown as TableInfo

test('1.6: merges: a session that is lost while keys are read is told as that, and no other keeps its limit', async () => {
  const asked: string[] = []
  const source = (shard: string, lost: boolean): MergeSource => {
    let open = true
    const connection = {
      flavour: 'mariadb',
      versionNumber: 101100,
      query: (sql: string) => {
        asked.push(`${shard}: ${sql}`)
        return open ? Promise.resolve() : Promise.reject(new Error('nothing is sent on a closed connection'))
      },
      rows: () => {
        if (lost) {
          open = false
          return Promise.reject(new Error('the connection was lost'))
        }
        return Promise.resolve((async function* none() {})())
      },
    } as unknown as Connection
    return { shard, schema: { name: shard } as MergeSource['schema'], connection }
  }
  const until = { clock: systemClock, atMs: systemClock.monotonicMs() + 60_000 }
  const pair = [source('lost', true), source('well', false)] as const
  await assert.rejects(collisionsOfDigests([pair], table, key, until), { message: 'the connection was lost' })
  assert.equal(asked.at(-1), 'well: SET SESSION max_statement_time=0')
})
