/** Our tables on a server, made where they are missing. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { hasControlRows } from '../binlog/control-schema.ts'
import { connect } from '../mysql/connect.ts'
import { ensureMoveTables } from './tables.ts'

const pairs = new ServerPairs()
after(() => pairs[Symbol.asyncDispose]())

for (const flavour of flavours())
  test(`our tables on ${flavour} are made again where one of them, or a row that they begin with, is missing`, async () => {
    const { target } = await pairs.of(flavour)
    await using conn = await connect(target.config)
    const there = async (): Promise<string[]> =>
      (await conn.allText("SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = '_shardwright' ORDER BY 1")).map(
        ({ name }) => name ?? '',
      )
    await ensureMoveTables(conn)
    const all = await there()
    for (const sql of ['DROP TABLE _shardwright.marker', 'DROP TABLE _shardwright.move_xa', 'DELETE FROM _shardwright.ddl_announcement']) {
      await conn.query(sql)
      await ensureMoveTables(conn)
      assert.deepEqual(await there(), all)
      assert.ok(await hasControlRows(conn))
    }
  })
