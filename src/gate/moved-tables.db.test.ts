/** DDL on tables that a stream moves, and that would stop it, is refused at the gate (docs/ddl.md). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keys } from '../topology/keys.ts'
import type { StreamRecord } from '../topology/records.ts'
import { put } from '../topology/typed.ts'
import { gateOnServer } from './testkit/gate-on-server.ts'

const stream = (keyspace: string, onDdl: StreamRecord['options']['onDdl']): StreamRecord => ({
  v: 1,
  uid: `s-${keyspace}`,
  workflowUid: `w-${keyspace}`,
  workflow: 'grow',
  keyspace,
  direction: 'forward',
  wanted: 'running',
  generation: 1,
  source: { shard: 'x', uid: `${keyspace}:${keyspace === 'plain' ? '-' : '-80'}:s1`, serverId: 's1', schema: 'x' },
  targets: [],
  tables: [{ name: 't', reference: false, vindex: null }],
  movesReference: false,
  copy: 'full',
  options: { onDdl, deferSecondaryKeys: false, stopAfterCopy: false, copyBytesPerSecondMax: null, failpoints: {} },
})

test('DDL on a moved table is refused beforehand where its stream would stop, sharded or not, as text and prepared', async () => {
  const world = await gateOnServer({
    keyspaces: { shop: { t: 'by id', u: 'by id' }, plain: 'plain' },
    tables: ['t (id BIGINT PRIMARY KEY, a INT)', 'u (id BIGINT PRIMARY KEY, a INT)'],
  })
  try {
    for (const keyspace of ['shop', 'plain']) {
      const write = (onDdl: StreamRecord['options']['onDdl']): Promise<unknown> =>
        world.store.commit([], [put(keys.stream(`w-${keyspace}`, `s-${keyspace}`), stream(keyspace, onDdl))])
      await write('stop')
      const c = await world.client('app', keyspace)
      for (const sql of [
        'ALTER TABLE t ADD COLUMN b INT',
        'ALTER TABLE T ADD COLUMN b INT',
        `ALTER TABLE ${keyspace}.t ADD COLUMN b INT`,
        'CREATE INDEX i ON t (a)',
        'DROP TABLE u, t',
        'TRUNCATE TABLE t',
        'RENAME TABLE t TO x',
      ]) {
        await assert.rejects(c.query(sql), /SW-GATE-039.*grow/, `${keyspace}: ${sql}`)
        if (keyspace === 'plain') await assert.rejects(c.execute(sql), /SW-GATE-039/, `prepared: ${sql}`)
      }
      await c.query('ALTER TABLE u ADD COLUMN b INT')
      await c.query('CREATE TABLE x LIKE t')
      for (const onDdl of ['ignore', 'exec'] as const) {
        await write(onDdl)
        await c.query(`ALTER TABLE t ADD COLUMN ${onDdl}_ INT`)
      }
      await c.end()
    }
  } finally {
    await world.stop()
  }
})
