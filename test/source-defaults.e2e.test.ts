/**
 * A source whose sessions have other defaults than a new server's: a reshard to servers of our own making switches, and nobody who set nothing notices.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ranges } from '../src/demo/story.ts'
import { Installation } from './kit/installation.ts'
import { mainFlavour } from './kit/servers.ts'
import { ReshardUnderTest } from './kit/workflow.ts'

for (const flavour of mainFlavour()) {
  test(
    `${flavour}: a source with another time zone, isolation, sql_mode and group_concat_max_len switches to servers that were made for it`,
    { timeout: 240_000 },
    async () => {
      await using installation = await Installation.start({ flavour, rows: 200 })
      const isolation = `(SELECT VARIABLE_VALUE FROM ${flavour === 'mysql' ? 'performance_schema.session_variables' : 'information_schema.SESSION_VARIABLES'} WHERE VARIABLE_NAME IN ('tx_isolation', 'transaction_isolation') LIMIT 1)`
      const seen = `SELECT CONCAT_WS(' ', @@time_zone, @@sql_mode, @@group_concat_max_len, ${isolation}) AS v`
      await installation.onAttached(async (connection) => {
        for (const set of [
          "GLOBAL time_zone = '-03:30'",
          'GLOBAL TRANSACTION ISOLATION LEVEL READ COMMITTED',
          "GLOBAL sql_mode = 'NO_UNSIGNED_SUBTRACTION'",
          'GLOBAL group_concat_max_len = 4242',
        ])
          await connection.query(`SET ${set}`)
      })
      const before = await installation.onAttached(async (connection) => {
        const [rows] = await connection.query(seen)
        return (rows as { v: string }[])[0]?.v
      })
      assert.match(before ?? '', /^-03:30 .*NO_UNSIGNED_SUBTRACTION.* 4242 READ-COMMITTED$/)
      const reshard = ReshardUnderTest.even(installation.client, 1, 2)
      await reshard.create()
      await reshard.untilFollowing()
      await reshard.act('check')
      await reshard.act('switchtraffic')
      for (const shard of ranges(2))
        await installation.onShard(shard, async (connection) => {
          const [rows] = await connection.query(seen)
          assert.equal((rows as { v: string }[])[0]?.v, before, shard)
        })
      await reshard.act('reversetraffic')
    },
  )
}
